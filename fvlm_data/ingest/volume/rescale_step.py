"""A slope or intercept that changes within a scan and is not true of its slices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.ingest.volume.outlier_slices import JUMP_HU, jumps_between_slices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fvlm_data.ingest.volume.hounsfield import StoredValues


OFFSET_HU = 10.0
"""Measured scans differ by less from slice to slice, by the median of tissue."""

LIGHT_HU = -500
LEAST_PIXELS = 64


def rescale_step(image_zyx: NDArray[np.int16], stored: Sequence[StoredValues]) -> Fault | None:
    """The fault of a volume (k, j, i) in HU that jumps where the headers' rescaling changes.

    Each slice may have its own slope and intercept (DICOM PS3.3 C.11.1.1.2). Where HU jump at such
    a change and would not with the rescaling of the slice before, the header is wrong.
    """
    rescaling = [(one.slope or 1.0, one.intercept or 0.0) for one in stored]
    if len(set(rescaling)) < 2:
        return None
    jumps = set(jumps_between_slices(image_zyx))
    for number in range(1, len(rescaling)):
        before, here = rescaling[number - 1], rescaling[number]
        if before == here:
            continue
        pair = image_zyx[number - 1], image_zyx[number]
        if _offset(*pair, before, here) or (number in jumps and _fits(*pair, before, here)):
            return Fault(
                "rescale_step",
                f"HU jump between slices {number} and {number + 1} of {len(stored)} along the "
                f"normal, where slope and intercept change from {before[0]:g} and {before[1]:g} to "
                f"{here[0]:g} and {here[1]:g}; stored values do not jump: one of the two is wrong; "
                "correct the headers and send the series again",
            )
    return None


def _offset(
    one: NDArray[np.int16],
    other: NDArray[np.int16],
    before: tuple[float, float],
    here: tuple[float, float],
) -> bool:
    """Whether all tissue of `other` is lighter or denser than in `one` (both (j, i), HU).

    The median change tells, which anatomy that comes and goes moves little; with the rescaling
    `before` it has to vanish.
    """
    tissue = (one > LIGHT_HU) & (other > LIGHT_HU)
    if np.count_nonzero(tissue) < LEAST_PIXELS:
        return False
    mine, theirs = one[tissue].astype(np.float64), other[tissue].astype(np.float64)
    alike = (theirs - here[1]) / here[0] * before[0] + before[1]
    as_told = abs(float(np.median(theirs - mine)))
    return as_told > OFFSET_HU and abs(float(np.median(alike - mine))) < as_told / 4


def _fits(
    one: NDArray[np.int16],
    other: NDArray[np.int16],
    before: tuple[float, float],
    here: tuple[float, float],
) -> bool:
    """Whether `other` follows `one` (both (j, i), HU) better with the rescaling `before`."""
    stored = (other.astype(np.float64) - here[1]) / here[0]
    alike = stored * before[0] + before[1]
    as_told = float((np.abs(one - other.astype(np.float64)) > JUMP_HU).mean())
    return float((np.abs(one - alike) > JUMP_HU).mean()) < as_told / 2
