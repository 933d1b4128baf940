"""Whether a label map goes on from voxel to voxel and from slice to slice, as organs do.

Voxels lost at random leave gaps of a voxel or two within the runs of a class. Slices that were
exchanged, emptied or taken from elsewhere differ from their neighbours more than these differ from
each other.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.plausibility.remark import Remark, whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.segment.plausibility.measures import Runs

Array = np.ndarray[Any, Any]

GAP_VOXELS = 2
LOOPS = frozenset({"small_bowel", "small_intestine", "colon", "duodenum"})
"""Loops with narrow gaps between them are no lost voxels."""

SCATTERED_SHARE = 0.1
SCATTERED_CLASS_SHARE = 0.2
LEAST_RUNS = 100
"""Runs behind a gap, of all runs: 0.02 in true label maps at most (phantoms: 0.03), 0.08 in one of
their classes; 0.14 to 0.5 once 2 to 90 % of the voxels are lost."""

SIDE_VOXELS = 256
"""Slices are compared on a grid of so many rows and columns, or finer."""

LEAST_VOXELS = 60
LEAST_SHARE = 0.02
"""Voxels, and the share of those labelled, that must differ between slices to be compared."""

ORDER_RATIO = 0.8
"""Two slices in each other's place fit better (0.5 to 0.7 times the difference); 1 or more in true
label maps."""

ALONE_SHARE = 0.6
"""Of what both neighbours label alike, so much is something else in a slice: up to 0.03 in true
label maps, 0.46 in phantoms (loops of bowel in slices of 7 mm); 0.9 in a slice that was emptied."""

MIRRORED, UNUSUAL = 0.65, 2.0
"""A slice differs so much less from the mirror image of the next, and so many times as much as
slices do around it: none of 540 true label maps (real, phantoms) and cuts of them does."""

AROUND = 4
SHOWN = 4


def continuity_remarks(
    labels: Array, runs: Runs, affine_ras: Array, classes: Mapping[int, str]
) -> list[Remark]:
    """Faults `voxels_scattered` and `slices_out_of_order` of a label map (i, j, k).

    `affine_ras` maps its voxels to mm; slices lie across the axis nearest to the body's length.
    """
    axis = int(np.abs(affine_ras[2, :3] / np.linalg.norm(affine_ras[:3, :3], axis=0)).argmax())
    return [*_scattered(labels, runs, classes), *_slices(np.moveaxis(labels, axis, 0))]


def _scattered(labels: Array, runs: Runs, classes: Mapping[int, str]) -> list[Remark]:
    if len(runs.values) < LEAST_RUNS:
        return []
    across = [axis for axis in range(3) if axis != runs.axis]
    line, along = runs.first_ijk[:, across], runs.first_ijk[:, runs.axis]
    same = (runs.values[1:] == runs.values[:-1]) & (line[1:] == line[:-1]).all(axis=1)
    gap = same & (along[1:] - along[:-1] - runs.lengths[:-1] <= GAP_VOXELS)
    places = runs.first_ijk[1:][gap].copy()
    places[:, runs.axis] -= 1
    gap[gap] = labels[tuple(places.T)] == 0  # another class, a rib in muscle, is no loss
    size = int(runs.values.max()) + 1
    all_runs = np.bincount(runs.values, minlength=size)
    behind = np.bincount(runs.values[1:][gap], minlength=size)
    judged = np.array([classes.get(value) not in LOOPS for value in range(size)])
    all_runs, behind = all_runs * judged, behind * judged
    share = float(behind.sum() / max(all_runs.sum(), 1))
    bad = (all_runs >= LEAST_RUNS) & (behind >= SCATTERED_CLASS_SHARE * all_runs)
    if not bad.any() and (share < SCATTERED_SHARE or all_runs.sum() < LEAST_RUNS):
        return []
    named = [classes[int(value)] for value in np.argsort(-behind) if behind[value]]
    return [
        whole(
            "voxels_scattered",
            f"{100 * share:.0f} % of the rows within classes are broken by a gap of a voxel or "
            f"two, expected below {100 * SCATTERED_SHARE:.0f} %: voxels are lost "
            f"({', '.join(named[:SHOWN])})",
        )
    ]


def _slices(slices: Array) -> list[Remark]:
    """What of the order of slices (n, rows, columns) is wrong."""
    steps = [max(1, size // SIDE_VOXELS) for size in slices.shape[1:]]
    thin = np.ascontiguousarray(slices[:, :: steps[0], :: steps[1]])
    if len(thin) < 3:
        return []
    near = np.array([np.count_nonzero(a != b) for a, b in pairwise(thin)])
    next_but_one = np.array(
        [np.count_nonzero(a != b) for a, b in zip(thin, thin[2:], strict=False)]
    )
    area = np.array([np.count_nonzero(one) for one in thin])
    seen = []
    exchanged = _exchanged(near, next_but_one, area)
    if exchanged:
        seen.append(
            f"{len(exchanged)} pairs of neighbouring slices fit better in each other's place "
            f"(from slice {_listed(exchanged)})"
        )
    alone = _alone(thin)
    if alone:
        seen.append(
            f"{len(alone)} slices are unlike both neighbours, which are alike ({_listed(alone)})"
        )
    mirrored = [] if exchanged or alone else _mirrored(thin, near, area)
    if mirrored:
        seen.append(
            f"{len(mirrored)} slices follow the mirror image of the one before better than that "
            f"({_listed(mirrored)})"
        )
    return [whole("slices_out_of_order", "; ".join(seen))] if seen else []


def _mirrored(slices: Array, near: Array, area: Array) -> list[int]:
    """Slices from which on labels are mirrored or turned against those before."""
    found = []
    for number in np.flatnonzero(near >= LEAST_VOXELS).tolist():
        around = np.delete(near[max(0, number - AROUND) : number + AROUND + 1], min(number, AROUND))
        much = LEAST_SHARE * max(area[number], area[number + 1])
        if not around.size or near[number] < max(UNUSUAL * np.median(around), much):
            continue
        here, behind = slices[number], slices[number + 1]
        turned = (here[::-1], here[:, ::-1], here[::-1, ::-1])
        if min(np.count_nonzero(one != behind) for one in turned) < MIRRORED * near[number]:
            found.append(number + 1)
    return found


def _exchanged(near: Array, next_but_one: Array, area: Array) -> list[int]:
    """First of each two slices that fit better in each other's place."""
    # beyond the first and the last slice nothing can be compared
    before, after = np.append(0, near[:-1]), np.append(near[1:], 0)
    first, second = np.append(next_but_one, 0), np.append(0, next_but_one)
    as_it_is, exchanged = before + after, first + second
    largest = np.maximum(area[:-1], area[1:])
    judged = as_it_is >= np.maximum(LEAST_VOXELS, LEAST_SHARE * largest)
    return [int(one) for one in np.flatnonzero(judged & (exchanged < ORDER_RATIO * as_it_is))]


def _alone(slices: Array) -> list[int]:
    """Slices unlike both neighbours, where these are alike."""
    found = []
    for number in range(1, len(slices) - 1):
        before, here, behind = slices[number - 1 : number + 2]
        alike = (before == behind) & (before != 0)
        voxels = np.count_nonzero(alike)
        if voxels < LEAST_VOXELS:
            continue
        if np.count_nonzero(alike & (here != before)) > ALONE_SHARE * voxels:
            found.append(number)
    return found


def _listed(numbers: Sequence[int]) -> str:
    more = ", ..." if len(numbers) > SHOWN else ""
    return ", ".join(str(number + 1) for number in numbers[:SHOWN]) + more
