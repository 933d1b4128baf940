"""Whether classes end flat inside the image, or leave planes out: a label map of parts of the scan.

Organs taper. Where several end in one plane, each nearly as large as in the plane before, the plane
is none of anatomy; it is none of the field of view either if the image goes on behind it. Nor does
an organ leave planes out between two that show much of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.plausibility.measures import planes_of, sides_of
from fvlm_data.segment.plausibility.remark import Remark, of, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fvlm_data.segment.plausibility.expected import Expected
    from fvlm_data.segment.plausibility.measures import Runs

Array = np.ndarray[Any, Any]

LEAST_VOXELS = 10
LEAST_COMPACT_VOXELS = 100
OF_LARGEST = 0.3
OF_BEFORE = 0.7
"""A class ends flat if its last plane has so much of its largest, and as much as the one before:
half at most where a sphere ends."""

TOGETHER, TOGETHER_SHARE = 3, 0.25
TWO_SHARE = 0.5
"""So many classes and so much of what is labelled in the plane, or two along the body with half of
it: in true label maps one ends so, two to the side (ribs in a thin slab)."""

GOES_ON_HU = 150
"""The image goes on where half of the voxels behind the plane differ by less from those before."""

SHOWN = 5


@dataclass(frozen=True, slots=True)
class End:
    """Classes (values) that end behind plane `plane` of `axis`, where `step` is 1, or before it."""

    axis: int
    step: int
    plane: int
    values: tuple[int, ...]
    share: float


def end_remarks(
    labels: Array,
    image_hu: Array,
    affine_ras: Array,
    runs: Runs,
    classes: Mapping[int, str],
    expected: Expected,
) -> list[Remark]:
    """Faults `slices_missing` and `mask_incomplete`, remark `cut_inside` of one organ.

    `labels` and `image_hu` (i, j, k) lie on one grid, `affine_ras` maps its voxels to mm.
    """
    sides = sides_of(affine_ras)
    along = int(np.abs(affine_ras[2, :3] / np.linalg.norm(affine_ras[:3, :3], axis=0)).argmax())
    holes = _holes(runs, along, classes, expected)
    if holes:
        return holes
    seen, single = [], []
    for end in _ends(runs):
        names = [classes[value] for value in end.values]
        side = sides[end.axis][1 if end.step > 0 else 0]
        several = len(names) >= TOGETHER and end.share >= TOGETHER_SHARE
        several |= len(names) == 2 and end.share >= TWO_SHARE and end.axis == along
        compact = [
            (value, name)
            for value, name in zip(end.values, names, strict=True)
            if end.axis == along and expected.canonical(name) in expected.one_piece
        ]
        if not (several or compact) or not _goes_on(labels, image_hu, end):
            continue
        if several:
            more = ", ..." if len(names) > SHOWN else ""
            seen.append(
                f"{len(names)} classes end flat in plane {end.plane + 1} towards the {side}, where "
                f"the image goes on ({', '.join(names[:SHOWN])}{more})"
            )
            continue
        single += [
            of("cut_inside", expected.canonical(name), f"{name} ends flat towards the {side}")
            for value, name in compact
            if _area(labels, end, value) >= LEAST_COMPACT_VOXELS
        ]
    return [whole("mask_incomplete", "; ".join(seen))] if seen else single


def _holes(runs: Runs, along: int, classes: Mapping[int, str], expected: Expected) -> list[Remark]:
    """Classes that planes are left out of: a fault of several, else remarks on compact organs."""
    if not len(runs.values):
        return []
    present = np.unique(runs.values)
    for axis in range(3):
        planes = planes_of(runs, axis, int(present[-1]) + 1)[present]
        named = [
            classes[int(value)]
            for value, mine in zip(present, planes, strict=True)
            if _has_holes(mine)
        ]
        if len(named) >= TOGETHER:
            more = ", ..." if len(named) > SHOWN else ""
            seen = f"planes without a voxel within {', '.join(named[:SHOWN])}{more}"
            return [whole("slices_missing", seen)]
        compact = [name for name in named if expected.canonical(name) in expected.one_piece]
        if compact and axis == along:
            seen = "planes without a voxel lie within it"
            return [of("cut_inside", expected.canonical(name), seen) for name in compact]
    return []


def _has_holes(planes: Array) -> bool:
    """Whether empty planes lie between two that hold much of a class."""
    shown = np.flatnonzero(planes)
    least = max(LEAST_VOXELS, OF_LARGEST * int(planes.max()))
    much = planes[shown] >= least
    return bool((much[1:] & much[:-1] & (np.diff(shown) > 1)).any())


def _ends(runs: Runs) -> Iterator[End]:
    """Planes in which classes end flat, by axis and direction."""
    if not len(runs.values):
        return
    present = np.unique(runs.values)
    for axis in range(3):
        planes = planes_of(runs, axis, int(present[-1]) + 1)[present]
        for step in (1, -1):
            yield from _ends_along(planes[:, ::step], present, axis, step)


def _ends_along(planes: Array, present: Array, axis: int, step: int) -> Iterator[End]:
    """`planes` (classes, n) voxels of each class in each plane, in the direction of `step`."""
    size = planes.shape[1]
    before, here, behind = planes[:, :-2], planes[:, 1:-1], planes[:, 2:]
    flat = (behind == 0) & (here >= LEAST_VOXELS)
    flat &= here >= OF_LARGEST * planes.max(axis=1, keepdims=True)
    flat &= (here >= OF_BEFORE * before) & (before >= OF_BEFORE * here)
    labelled = np.maximum(here.sum(axis=0), 1)
    for place in np.flatnonzero(flat.any(axis=0)):
        mine = flat[:, place]
        share = float(here[mine, place].sum() / labelled[place])
        plane = int(place) + 1
        yield End(
            axis,
            step,
            plane if step > 0 else size - 1 - plane,
            tuple(int(value) for value in present[mine]),
            share,
        )


def _goes_on(labels: Array, image_hu: Array, end: End) -> bool:
    """Whether the image behind the plane is like that before it, and unlabelled."""
    here, behind = (_plane(labels, end, far) for far in (0, 1))
    mine = np.isin(here, end.values) & (behind == 0)
    if np.count_nonzero(mine) < LEAST_VOXELS:
        return False
    before_hu, behind_hu = (_plane(image_hu, end, far)[mine].astype(float) for far in (0, 1))
    return bool(np.ptp(behind_hu) > 0 and np.median(np.abs(behind_hu - before_hu)) < GOES_ON_HU)


def _area(labels: Array, end: End, value: int) -> int:
    return int(np.count_nonzero(_plane(labels, end, 0) == value))


def _plane(array: Array, end: End, far: int) -> Array:
    return np.asarray(np.take(array, end.plane + far * end.step, axis=end.axis))
