"""HU proof: stored values to int16 HU by each slice's own slope and intercept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.ingest.geometry import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

AIR_HU = -1024
INT16 = np.iinfo(np.int16)
PADDING_TISSUE_HU = (-800, 3071)
"""Padding whose HU lie between these would cut holes into tissue: refused."""

PLAUSIBLE_BELOW_HU = -50
SOFT_RANGE_HU = (-300, 300)
SOFT_SHARE = 0.005


@dataclass(frozen=True, slots=True)
class StoredValues:
    """What the header says of the stored values (DICOM PS3.3 C.7.6.3 and C.7.5.1.1.2).

    `slope` and `intercept` are None where absent; `padding` lists the least and the greatest
    stored value that mean "no image here", or is None.
    """

    slope: float | None
    intercept: float | None
    rescale_type: str
    photometric: str
    samples: int
    frames: int
    bits_stored: int
    high_bit: int
    signed: bool
    padding: tuple[int, int] | None


def check_header(stored: StoredValues) -> Fault | None:
    """Faults of a CT slice's rescale and pixel description that need no pixels (C.8.2.1)."""
    if stored.frames > 1:
        return Fault("multiframe", f"{stored.frames} frames in one file, expected single slices")
    if stored.samples != 1:
        return Fault("colour_image", f"{stored.samples} samples a pixel, expected 1")
    if stored.photometric != "MONOCHROME2":
        known = stored.photometric if stored.photometric == "MONOCHROME1" else "another value"
        return Fault("not_monochrome2", f"photometric is {known}, expected MONOCHROME2")
    if stored.high_bit != stored.bits_stored - 1:
        return Fault(
            "high_bit",
            f"HighBit is {stored.high_bit}, expected {stored.bits_stored - 1} for "
            f"{stored.bits_stored} bits stored",
        )
    return _check_rescale(stored)


def _check_rescale(stored: StoredValues) -> Fault | None:
    if stored.slope is None or stored.intercept is None:
        return Fault(
            "missing_rescale",
            "RescaleSlope or RescaleIntercept is missing, expected both: stored values cannot "
            "become HU; export the series with them",
        )
    if stored.slope == 0 or not math.isfinite(stored.slope) or not math.isfinite(stored.intercept):
        return Fault(
            "bad_rescale",
            f"RescaleSlope {stored.slope:g} and RescaleIntercept {stored.intercept:g}, expected "
            "finite values and a slope other than 0",
        )
    if stored.rescale_type not in ("", "HU"):
        return Fault("rescale_not_hu", "RescaleType is another than HU: the values are no HU")
    return None


def to_hu(pixels: NDArray[Any], stored: StoredValues) -> NDArray[np.int16] | Fault:
    """Stored values (rows, columns) to int16 HU; padding becomes air (-1024 HU).

    HU = stored x slope + intercept (DICOM PS3.3 C.11.1.1.2), rounded to the nearest integer.
    `check_header` must have passed.
    """
    slope, intercept = stored.slope or 0.0, stored.intercept or 0.0
    padded = _padding(pixels, stored)
    values = _used_bits(pixels, padded, stored)
    if isinstance(values, Fault):
        return values
    if slope.is_integer() and intercept.is_integer() and abs(slope) < 2**15 > abs(intercept):
        hu: NDArray[Any] = values.astype(np.int64) * int(slope) + int(intercept)
    else:
        hu = np.rint(values.astype(np.float64) * slope + intercept)
    if padded is not None and stored.padding is not None:
        paint = [value * slope + intercept for value in stored.padding]
        if any(PADDING_TISSUE_HU[0] < value <= PADDING_TISSUE_HU[1] for value in paint):
            return Fault(
                "padding_within_tissue",
                f"PixelPaddingValue stands for {paint[0]:g} HU, a value of tissue, and occurs in "
                "the image; expected one outside it",
            )
        hu[padded] = AIR_HU
    low, high = int(hu.min()), int(hu.max())
    if low < INT16.min or high > INT16.max:
        return Fault(
            "hu_out_of_range",
            f"values run from {low} to {high} HU, expected {INT16.min} to {INT16.max}",
        )
    return hu.astype(np.int16)


def check_plausible(volume_hu: NDArray[np.int16]) -> Fault | None:
    """Catch values that cannot be HU of a CT: forgotten or repeated rescaling, label maps.

    A CT shows something lighter than water (fat, lung, air) and some soft tissue.
    """
    low, high = int(volume_hu.min()), int(volume_hu.max())
    soft = float(np.mean((volume_hu >= SOFT_RANGE_HU[0]) & (volume_hu <= SOFT_RANGE_HU[1])))
    if low > PLAUSIBLE_BELOW_HU or soft < SOFT_SHARE:
        return Fault(
            "values_not_hu",
            f"values run from {low} to {high}, {soft:.1%} of them within {SOFT_RANGE_HU[0]} to "
            f"{SOFT_RANGE_HU[1]}; expected HU with values below {PLAUSIBLE_BELOW_HU} and at least "
            f"{SOFT_SHARE:.1%} soft tissue; check the rescaling, or leave out files that are no CT",
        )
    return None


def _padding(pixels: NDArray[Any], stored: StoredValues) -> NDArray[np.bool_] | None:
    """Where padding is, or None where there is none."""
    if stored.padding is None:
        return None
    padded: NDArray[np.bool_] = (pixels >= stored.padding[0]) & (pixels <= stored.padding[1])
    return padded if padded.any() else None


def _used_bits(
    pixels: NDArray[Any], padded: NDArray[np.bool_] | None, stored: StoredValues
) -> NDArray[Any] | Fault:
    """Stored values, their sign extended where the writer left the unused bits empty."""
    bits = stored.bits_stored
    if bits >= 8 * pixels.dtype.itemsize:
        return pixels
    seen = pixels if padded is None else np.where(padded, 0, pixels)
    low, high = int(seen.min()), int(seen.max())
    if stored.signed:
        if -(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1):
            return pixels
        if low >= 0 and high < 2**bits:
            return np.where(pixels >= 2 ** (bits - 1), pixels.astype(np.int64) - 2**bits, pixels)
    elif high < 2**bits:
        return pixels
    return Fault(
        "values_beyond_bits_stored",
        f"stored values run from {low} to {high}, more than {bits} bits hold; the unused bits may "
        "hold an overlay; export the series again",
    )
