"""Slices that fit neither neighbour: what damage leaves that no decoder noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fvlm_data.ingest.config import IngestConfig

LATTICE, FINEST = 4, 64
"""Every fourth pixel along rows and columns is looked at, of small images more."""

LEAST_PIXELS = 64
"""Fewer pixels of the lattice are no evidence, whatever their share."""

BEYOND_HU = 60
"""A pixel fits where it lies between those of the neighbours, give or take this much."""

LEAST_SHARE = 0.01
TIMES_THE_SERIES = 2.0
"""A slice is unlike its neighbours if 1 % of its pixels do not fit, and twice the share of the
other slices of the volume beside that."""

FEW = 50
"""Of so many slices, one more may be damaged without passing for what the volume shows."""


def slices_unlike_neighbours(image_zyx: NDArray[np.int16]) -> list[int]:
    """Numbers of slices (k) of a volume (k, j, i) in HU that fit neither neighbour, in order.

    Anatomy that comes and goes within one slice, noise and metal are in the other slices too, and
    a jump between two positions of the table fits one of its sides.
    """
    step = min(LATTICE, max(1, min(image_zyx.shape[1:]) // FINEST))
    seen = image_zyx[:, ::step, ::step].astype(np.int32)
    if len(seen) < 5:
        return []
    within = misfits(seen[1:-1], seen[:-2], seen[2:])
    # an end has one side: it is compared with how the others fit what follows them
    first = misfits(seen[:-2], seen[1:-1], seen[2:])
    last = misfits(seen[2:], seen[:-2], seen[1:-1])
    least = max(LEAST_SHARE, LEAST_PIXELS / seen[0].size)
    found = [place + 1 for place in _standing_out(within, least)]
    if 0 in _standing_out(first, least):
        found.insert(0, 0)
    if len(last) - 1 in _standing_out(last, least):
        found.append(len(seen) - 1)
    return found


def misfits(
    slices: NDArray[np.int32], one: NDArray[np.int32], other: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Share of each slice's pixels that lie outside those of two others by more than 60 HU."""
    low, high = np.minimum(one, other) - BEYOND_HU, np.maximum(one, other) + BEYOND_HU
    share: NDArray[np.float64] = ((slices < low) | (slices > high)).mean(axis=(1, 2))
    return share


def _standing_out(shares: NDArray[np.float64], least: float) -> list[int]:
    usual = np.sort(shares)[-2 - len(shares) // FEW]
    above: list[int] = np.flatnonzero(shares > least + TIMES_THE_SERIES * usual).tolist()
    return above


def check_neighbours(image_zyx: NDArray[np.int16], config: IngestConfig) -> Fault | int:
    """How many slices of a volume (k, j, i) in HU fit neither neighbour, or why it is refused."""
    found = slices_unlike_neighbours(image_zyx) if config.unlike_slices != "ignore" else []
    if not found or config.unlike_slices == "flag":
        return len(found)
    named = ", ".join(str(number + 1) for number in found)
    return Fault(
        "slice_unlike_neighbours",
        f"slice {named} of {len(image_zyx)} along the normal fits neither neighbour, as no other "
        "slice of the volume does: damaged in storage or transfer; look at it and send the series "
        "again, or set ingest.unlike_slices to flag",
    )
