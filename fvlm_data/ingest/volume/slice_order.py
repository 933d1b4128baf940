"""Slices of a volume that follow each other better in another order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault

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


def exchanged_slices(seen: NDArray[np.int32]) -> list[int]:
    """Numbers (k) of slices that follow better exchanged with the next one or left out, in order.

    `seen` holds pixels (k, j, i) in HU. From slice to slice anatomy changes the more the further
    they are apart, and noise is the same at any distance: only where pixels lie in the wrong place,
    or two scans lie between each other, is the second next slice the nearer one.
    """
    if len(seen) < 5:
        return []
    near = _changes(seen[1:], seen[:-1])
    beyond = _changes(seen[2:], seen[:-2])
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


def _changes(one: NDArray[np.int32], other: NDArray[np.int32]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.minimum(np.abs(one - other), MOST_HU).mean(axis=(1, 2))
    return mean
