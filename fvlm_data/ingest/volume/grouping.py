"""From the slices of one series to the stacks that it holds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault, Grid, SliceGeometry, heights_mm, prove

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.dicom.slice_header import SliceHeader

SOFT_KEYS: tuple[Callable[[SliceHeader], Hashable], ...] = (
    lambda header: header.temporal_position,
    lambda header: header.acquisition,
    lambda header: (header.temporal_position, header.acquisition),
    lambda header: header.trigger,
    lambda header: header.acquired_at,
    lambda header: header.content_at,
    lambda header: header.thickness,
)
"""Elements that split a stack only if every part is a proved volume.

They are no hard criterion because some scanners increase AcquisitionNumber, or state another time,
with every rotation of a single volume.
"""

FAR_STEPS = 5
FAR_MM = 20.0
"""Two ranges along the normal are separate scans only if they are this many steps and mm apart."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Slices (by their number in the series) that belong together, and what geometry says."""

    members: tuple[int, ...]
    proof: Grid | Fault


def stacks(headers: Sequence[SliceHeader], config: IngestConfig) -> list[Stack]:
    """Split a series into stacks, each with its geometry proof.

    Slices of different study, frame of reference, size, pixel spacing, orientation, image
    type, kernel, tube voltage or stack id never share a stack. A stack is split further by
    time, acquisition or slice thickness if that leaves only proved volumes that lie over each
    other or far apart, and by ranges along the normal if the instance numbers say that no
    slice is missing between them. `members` are ordered as given; which slices form a stack
    does not depend on their order.
    """
    directions = _directions([header.geometry for header in headers], config.direction_tolerance)
    parts = _split(
        range(len(headers)), lambda number: (directions[number], *_hard_key(headers[number]))
    )
    found: list[Stack] = []
    for part in parts:
        found.extend(_prove_or_split(part, headers, config))
    return found


def _hard_key(header: SliceHeader) -> tuple[Hashable, ...]:
    geometry = header.geometry
    spacing = geometry.pixel_spacing_mm
    return (
        header.names.study_uid,
        header.frame_of_reference,
        geometry.rows,
        geometry.columns,
        # 0.1 um: the same spacing may be written with more or fewer digits
        tuple(round(value, 4) for value in spacing) if spacing else (),
        header.image_type,
        header.kernel,
        header.kvp,
        header.stack,
    )


def _prove_or_split(
    members: Sequence[int], headers: Sequence[SliceHeader], config: IngestConfig
) -> list[Stack]:
    """The stack as a whole, or its parts if those are what was scanned.

    Even a stack that is proved as a whole is split if its parts overlap: two time points whose
    slices interleave look like one volume of half the spacing.
    """
    whole = Stack(tuple(members), _proof(members, headers, config))
    heights = heights_mm([headers[number].geometry for number in members])
    if heights is None:
        return [whole]
    height = dict(zip(members, heights.tolist(), strict=True))
    for soft_key in SOFT_KEYS:
        keys = {number: soft_key(headers[number]) for number in members}
        parts = _split(members, keys.__getitem__)
        if len(parts) < 2:
            continue
        # an element that differs on a slice or two is noise, not another time point
        if min(map(len, parts)) < config.min_slices:
            continue
        places = {_place(pair, parts, height) for pair in combinations(range(len(parts)), 2)}
        # parts that continue each other are one scan, as is a sound volume whose parts do not
        # overlap
        if "near" in places or (isinstance(whole.proof, Grid) and "over" not in places):
            continue
        tried = [Stack(tuple(part), _proof(part, headers, config)) for part in parts]
        if all(isinstance(stack.proof, Grid) for stack in tried):
            return tried
    if isinstance(whole.proof, Fault) and whole.proof.reason == "missing_slices":
        return _ranges(members, headers, config, height) or [whole]
    return [whole]


def _place(pair: tuple[int, ...], parts: list[list[int]], height: dict[int, float]) -> str:
    """Whether two parts lie `over` each other, `far` apart, or `near` (side by side)."""
    (low_a, high_a, step_a), (low_b, high_b, step_b) = (
        _extent([height[number] for number in parts[one]]) for one in pair
    )
    between = max(low_a, low_b) - min(high_a, high_b)
    if between > _far(max(step_a, step_b)):
        return "far"
    shorter = min(high_a - low_a, high_b - low_b)
    return "over" if between < -shorter / 2 else "near"


def _extent(heights: list[float]) -> tuple[float, float, float]:
    low, high = min(heights), max(heights)
    return low, high, (high - low) / max(1, len(heights) - 1)


def _far(step_mm: float) -> float:
    return max(FAR_MM, FAR_STEPS * step_mm)


def _ranges(
    members: Sequence[int],
    headers: Sequence[SliceHeader],
    config: IngestConfig,
    height: dict[int, float],
) -> list[Stack]:
    """Proved volumes far apart whose instance numbers continue without a gap; else nothing.

    A gap in the numbers means missing slices: then the parts are the remains of one volume.
    """
    ordered = sorted(members, key=lambda number: height[number])
    numbers = sorted(headers[number].instance for number in members)
    # -1 stands for an absent InstanceNumber
    if numbers[0] < 0 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return []
    distances = np.diff([height[number] for number in ordered])
    cuts = np.flatnonzero(distances > _far(float(np.median(distances)))) + 1
    parts = [part.tolist() for part in np.split(np.array(ordered), cuts)]
    if not all(_runs_on(part, headers) for part in parts):
        return []
    tried = [Stack(tuple(part), _proof(part, headers, config)) for part in parts]
    return tried if all(isinstance(stack.proof, Grid) for stack in tried) else []


def _runs_on(part: Sequence[int], headers: Sequence[SliceHeader]) -> bool:
    """Whether the instance numbers of ordered slices count up or down by one."""
    steps = {headers[after].instance - headers[before].instance for before, after in pairwise(part)}
    return steps in ({1}, {-1})


def _proof(
    members: Sequence[int], headers: Sequence[SliceHeader], config: IngestConfig
) -> Grid | Fault:
    return prove([headers[number].geometry for number in members], config)


def _split(members: Iterable[int], key: Callable[[int], Hashable]) -> list[list[int]]:
    """Members by key, parts in the order of their keys, so that file order plays no part."""
    parts: dict[Hashable, list[int]] = {}
    for member in members:
        parts.setdefault(key(member), []).append(member)
    return [parts[name] for name in sorted(parts, key=repr)]


def _directions(geometries: Sequence[SliceGeometry], tolerance: float) -> list[int]:
    """A number for each slice, equal for slices whose orientations agree within `tolerance`."""
    kinds: list[tuple[float, ...]] = []
    numbers: dict[tuple[float, ...], int] = {}
    for orientation in sorted({one.orientation for one in geometries if one.orientation}):
        match = next(
            (
                number
                for number, kind in enumerate(kinds)
                if max(abs(a - b) for a, b in zip(kind, orientation, strict=True)) <= tolerance
            ),
            None,
        )
        if match is None:
            match = len(kinds)
            kinds.append(orientation)
        numbers[orientation] = match
    return [numbers[one.orientation] if one.orientation else -1 for one in geometries]
