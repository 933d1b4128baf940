"""Slices whose pixels are mirrored or turned against those beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.ingest.volume.slice_order import changes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

MIRRORED = 0.65
"""A slice is mirrored if it changes so much less from the next one's mirror image: 0.17 to 0.60 in
real CTs of which a slice was mirrored, 0.99 or more in true ones along the body."""

UNUSUAL = 1.6
"""And if the change is so much larger than usual: 1.8 or more against 1.2."""

AROUND = 5
LEAST_HU = 8.0
FEW = 5

TURNS: tuple[Callable[[NDArray[np.int32]], NDArray[np.int32]], ...] = (
    lambda image: image[::-1],
    lambda image: image[:, ::-1],
    lambda image: image[::-1, ::-1],
)
"""Upside down, left for right, both: what a wrong sign of a row or column makes of an image."""


def mirrored_slices(seen: NDArray[np.int32], near: NDArray[np.float64]) -> list[int]:
    """Numbers (k) of slices from which on the pixels are mirrored against those before, in order.

    `seen` holds pixels (k, j, i) in HU, `near` the changes from slice to slice. A body is not so
    symmetrical that its mirror image were nearer than the next slice.
    """
    if len(near) < FEW:
        return []
    found = []
    for number in np.flatnonzero(near >= LEAST_HU).tolist():
        around = near[max(0, number - AROUND) : number + AROUND + 1]
        if near[number] < UNUSUAL * float(np.median(around)):
            continue
        one, other = seen[number], seen[number + 1]
        nearest = min(float(changes(other, turn(one))) for turn in TURNS)
        if nearest < MIRRORED * near[number]:
            found.append(number + 1)
    return found


def mirrored(found: Sequence[int], slices: int) -> Fault:
    """The fault of a volume of so many slices with mirrored ones from those `found` on."""
    return Fault(
        "mirrored_slices",
        f"slice {found[0] + 1} of {slices} along the normal follows the mirror image of the one "
        f"before better than that one ({len(found)} such place(s)): rows or columns of some slices "
        "are written in the other direction; send the series again, or set ingest.unlike_slices to "
        "flag",
    )
