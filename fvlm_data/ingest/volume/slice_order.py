"""Slices of a volume that follow each other better in another order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault, is_along_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_HU = 300
"""Larger changes count as this one: an edge of metal must not outweigh the rest of the image."""

LEAST_HU = 4.0
"""Mean gain of a pixel below which an exchange tells of noise."""

STRAY = 0.75
"""A slice stands where it does not belong if the way past it is so much shorter than to it."""

BETTER = 0.85
"""Two slices stand in each other's place if the way through both is so much shorter exchanged."""

STEP_SPACING_MM = 7.0
"""Slices further apart show other parts of the body anyway: a step of a few mm is not told."""

STEP = 1.5
STEP_LEAST_HU = 8.0
STEP_AROUND = 4
"""A step is so much larger than the usual change of the four slices before and behind it: at most
1.32 along the body in five real CTs whole and thinned, 1.3 in phantoms; 1.6 and more where 7 mm of
the body lie between two slices or are shown twice."""


def changes(one: NDArray[np.int32], other: NDArray[np.int32]) -> NDArray[np.float64]:
    """Mean change of a pixel between slices (k, j, i) of two stacks, HU."""
    mean: NDArray[np.float64] = np.minimum(np.abs(one - other), MOST_HU).mean(axis=(-1, -2))
    return mean


def may_show_steps(affine_ras: NDArray[np.float64]) -> bool:
    """Whether slices (k) of a volume follow each other along the body, and closely enough.

    In other directions an arm or the table begins all at once.
    """
    apart = float(np.linalg.norm(affine_ras[:3, 2]))
    return is_along_body(affine_ras) and apart <= STEP_SPACING_MM


def steps_between(near: NDArray[np.float64]) -> list[int]:
    """Numbers (k) of slices before which more of the body lies than between others, in order.

    `near` are the changes from slice to slice, HU. Two breaths that meet in one scan make such a
    step where a part of the body is left out or shown twice; at an end of the body one side of the
    step changes as much.
    """
    found = []
    for number in range(STEP_AROUND - 1, len(near) - STEP_AROUND + 1):
        before = near[max(0, number - STEP_AROUND) : number]
        behind = near[number + 1 : number + 1 + STEP_AROUND]
        usual = max(float(np.median(before)), float(np.median(behind)))
        if near[number] >= STEP_LEAST_HU and near[number] > STEP * usual:
            found.append(number + 1)
    return found


def exchanged_slices(seen: NDArray[np.int32], near: NDArray[np.float64]) -> list[int]:
    """Numbers (k) of slices that follow better exchanged with the next one or left out, in order.

    `seen` holds pixels (k, j, i) in HU, `near` the changes from slice to slice. Anatomy changes the
    more the further slices are apart, and noise is the same at any distance: only where pixels lie
    in the wrong place, or two scans lie between each other, is the next but one the nearer.
    """
    if len(seen) < 5:
        return []
    beyond = changes(seen[2:], seen[:-2])
    # slices k-1, k, k+1, k+2 with the two in the middle exchanged
    gain = near[:-2] + near[2:] - beyond[:-1] - beyond[1:]
    better = beyond[:-1] + beyond[1:] < BETTER * (near[:-2] + near[2:])
    exchanged = np.flatnonzero(better & (gain > 2 * LEAST_HU)) + 1
    # a slice from further away: its neighbours follow each other better without it
    around = near[:-1] + near[1:]
    stray = (2 * beyond < STRAY * around) & (around - 2 * beyond > 2 * LEAST_HU)
    return sorted({*exchanged.tolist(), *(np.flatnonzero(stray) + 1).tolist()})


def out_of_order(found: Sequence[int], slices: int) -> Fault:
    """The fault of a volume of so many slices, of which those `found` follow in another order."""
    return Fault(
        "slices_out_of_order",
        f"{len(found)} of {slices} slices along the normal, the first at slice {found[0] + 1}, "
        "follow better in another place: pixels lie in the wrong place, or two "
        "scans lie between each other; send the series again, or set ingest.unlike_slices to flag",
    )
