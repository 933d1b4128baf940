"""Whether a series came whole: ends that were lost leave no gap, so other evidence is asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.attributes import decimal
from fvlm_data.ingest.volume.geometry import GAP_FACTOR, Fault, Grid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from fvlm_data.ingest.dicom.slice_header import SliceHeader
    from fvlm_data.ingest.volume.geometry import SliceGeometry
    from fvlm_data.ingest.volume.stacks.stack import Stack

PARALLEL_COSINE = 0.999

SPACING_AGREES = 0.01
"""SpacingBetweenSlices is believed where it is this near, as a share, to what the numbers say."""


def announced_more(members: Sequence[int], headers: Sequence[SliceHeader]) -> str:
    """What the headers of a stack announce that did not come; empty where nothing lacks.

    `headers` are those of the whole series. Asked are ImagesInAcquisition (DICOM PS3.3 C.7.3.1)
    and the parts of a concatenation (PS3.3 C.7.6.16.2.2.4).
    """
    mine = [headers[one] for one in members]
    return _short_concatenation(mine) or _short_acquisition(mine, headers)


def thinned(stack: Stack, headers: Sequence[SliceHeader]) -> str:
    """What tells that only each second (third, ...) image of a scan came; empty where nothing does.

    What is left is an even grid. InstanceNumber counts in equal steps over numbers that no other
    image of the series has, and slices lie as many times further apart than SpacingBetweenSlices
    says, or than they are thick.
    """
    step = _count_step(stack, headers)
    if step < 2 or not isinstance(stack.proof, Grid):
        return ""
    distance = stack.proof.spacing_mm[2]
    for keyword, told_mm in _told_distances([headers[one] for one in stack.members]):
        if abs(step * told_mm - distance) <= SPACING_AGREES * distance:
            return (
                f"InstanceNumber counts in steps of {step} and {keyword} is {told_mm:g} mm, "
                f"found slices {distance:g} mm apart"
            )
    return ""


def _told_distances(mine: Sequence[SliceHeader]) -> Iterator[tuple[str, float]]:
    """The one value of SpacingBetweenSlices and of SliceThickness that all slices state, mm."""
    between = {one.spacing_between_mm for one in mine}
    thick = {decimal(one.thickness) for one in mine}
    if len(between) == 1 and (spacing := between.pop()) is not None:
        yield "SpacingBetweenSlices", abs(spacing)
    if len(thick) == 1 and (thickness := thick.pop()) is not None:
        yield "SliceThickness", thickness[0]


def _count_step(stack: Stack, headers: Sequence[SliceHeader]) -> int:
    """By how much the instance numbers of a proved stack grow from slice to slice; 0: unevenly."""
    if not isinstance(stack.proof, Grid):
        return 0
    numbers = [headers[stack.members[place]].instance for place in stack.proof.order]
    steps = {abs(after - before) for before, after in pairwise(numbers)}
    within = range(min(numbers), max(numbers) + 1)
    come = {one.instance for one in headers} & set(within)
    return next(iter(steps)) if len(steps) == 1 and come == set(numbers) else 0


def _short_acquisition(mine: Sequence[SliceHeader], headers: Sequence[SliceHeader]) -> str:
    announced: dict[str, int] = defaultdict(int)
    for one in mine:
        announced[one.acquisition] = max(announced[one.acquisition], one.images_in_acquisition)
    found = Counter(one.acquisition for one in headers if one.acquisition in announced)
    total = found.total()
    short = [name for name, number in announced.items() if number > found[name]]
    # some scanners count AcquisitionNumber up with every rotation and announce all images on each
    if not short or all(announced[name] == total for name in short):
        return ""
    name = max(short, key=lambda name: announced[name] - found[name])
    return f"ImagesInAcquisition announces {announced[name]} images, found {found[name]}"


def _short_concatenation(mine: Sequence[SliceHeader]) -> str:
    parts: dict[str, dict[int, int]] = defaultdict(dict)
    for one in mine:
        if one.concatenation.uid:
            parts[one.concatenation.uid][one.concatenation.number] = one.concatenation.total
    for numbers in parts.values():
        # InConcatenationTotalNumber may be left out; the numbers count from 1
        total = max(*numbers.values(), *numbers)
        if len(numbers) < total:
            return f"a concatenation has {total} parts, found {len(numbers)}"
    return ""


def set_aside_next_to(stack: Stack, others: Iterable[Stack], headers: Sequence[SliceHeader]) -> int:
    """Number of refused slices that may be the lost end of a proved stack.

    Those one step beyond an end, in a plane like those of the stack; and those without a
    position that have the stack's size.
    """
    if not isinstance(stack.proof, Grid):
        return 0
    mine = [headers[one].geometry for one in stack.members]
    refused = [
        [headers[one].geometry for one in other.members]
        for other in others
        if isinstance(other.proof, Fault)
    ]
    return sum(len(other) for other in refused if _continues(mine, other))


def _continues(mine: Sequence[SliceGeometry], other: Sequence[SliceGeometry]) -> bool:
    size = (mine[0].rows, mine[0].columns)
    if any(one.position_mm is None or one.orientation is None for one in other):
        return any((one.rows, one.columns) == size for one in other)
    axes = _axes(mine[0])
    own = _placed(mine, axes)
    theirs = _placed(other, axes)
    low, high = float(own[:, 2].min()), float(own[:, 2].max())
    step = (high - low) / (len(mine) - 1)
    outside = np.maximum(low - theirs[:, 2], theirs[:, 2] - high)
    # a scan of its own over the same range reaches a step further now and then
    if (outside <= 0).mean() >= 0.5:
        return False
    beyond = (outside > 0) & (outside <= GAP_FACTOR * step)
    near = np.abs(theirs[:, :2] - own[:, :2].mean(axis=0)).max(axis=1) <= _half_field_mm(mine[0])
    # a scout or a reformat may start anywhere: its planes are others, and so is its size
    alike = np.array(
        [
            abs(float(_axes(one)[:, 2] @ axes[:, 2])) >= PARALLEL_COSINE
            or (one.rows, one.columns) == size
            for one in other
        ]
    )
    return bool((beyond & near & alike).any())


def _axes(one: SliceGeometry) -> NDArray[np.float64]:
    """Directions of columns, rows and normal as columns of a 3 x 3 array."""
    along = np.array(one.orientation, dtype=np.float64)
    axes: NDArray[np.float64] = np.stack(
        [along[:3], along[3:], np.cross(along[:3], along[3:])], axis=1
    )
    return axes


def _placed(slices: Sequence[SliceGeometry], axes: NDArray[np.float64]) -> NDArray[np.float64]:
    placed: NDArray[np.float64] = np.array([one.position_mm for one in slices]) @ axes
    return placed


def _half_field_mm(one: SliceGeometry) -> float:
    between_rows, between_columns = one.pixel_spacing_mm or (1.0, 1.0)
    return max(one.rows * between_rows, one.columns * between_columns) / 2
