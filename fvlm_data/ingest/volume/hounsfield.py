"""HU proof: stored values to int16 HU by each slice's own slope and intercept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

AIR_HU = -1024
"""What padding becomes: 0 of a 12-bit CT with the usual intercept, as dark as any air."""

OUT_OF_FIELD_HU = -2000
WRAPPED_HU, WRAPPED_SHARE, WRAPPED_LEAST = 700, 0.25, 4
"""Outside the field of view lie air, skin and fat at its border, seldom bone: so many voxels beside
it, and such a share of them, that are as dense as cortical bone are within the body."""

METAL_SHARE = 0.01
INT16 = np.iinfo(np.int16)
RESCALE_TYPES = frozenset(
    {"OD", "US", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT", "MGPML", "MGPCC", "UM2PML", "SUV"}
)
"""Other rescale types (DICOM PS3.3 C.11.1.1.2 and what scanners write); a message may name them."""

PADDING_TISSUE_HU = (-800, 3071)
"""Padding with HU between these would cut holes into tissue, and is refused."""


@dataclass(frozen=True, slots=True)
class StoredValues:
    """What the header says of the stored values (DICOM PS3.3 C.7.6.3 and C.7.5.1.1.2).

    `slope` and `intercept` are None where absent; `padding` lists the least and the greatest
    stored value that mean "no image here", or is None. `overlay_bits` has a 1 for each bit of a
    value that the header gives to an overlay (OverlayBitPosition). `modality_lut`: the header holds
    a Modality LUT Sequence.
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
    overlay_bits: int = 0
    modality_lut: bool = False


def check_header(stored: StoredValues) -> Fault | None:
    """Faults of a CT slice's rescale and pixel description that need no pixels (C.8.2.1)."""
    if stored.frames > 1:
        return Fault("multiframe", f"{stored.frames} frames in one file, expected single slices")
    if stored.samples != 1:
        return Fault("colour_image", f"{stored.samples} samples a pixel, expected 1")
    if stored.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return Fault(
            "not_monochrome",
            "PhotometricInterpretation is another than MONOCHROME1 and MONOCHROME2, expected one "
            "of them for CT; export the series again",
        )
    # required by PS3.5 8.1.1: with another value the bits would have to be shifted first
    if stored.high_bit != stored.bits_stored - 1:
        return Fault(
            "high_bit",
            f"HighBit is {stored.high_bit}, expected {stored.bits_stored - 1} for "
            f"{stored.bits_stored} bits stored",
        )
    return _check_rescale(stored)


def _check_rescale(stored: StoredValues) -> Fault | None:
    # the one excludes the other (PS3.3 C.11.1), and a table need not give HU
    if stored.modality_lut:
        return Fault(
            "ambiguous_rescale",
            "a Modality LUT Sequence stands in the header, expected RescaleSlope and "
            "RescaleIntercept alone: which of the two makes HU is not known; export the series "
            "without it",
        )
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
        named = stored.rescale_type if stored.rescale_type in RESCALE_TYPES else "another one"
        return Fault(
            "rescale_not_hu",
            f"RescaleType is {named}, expected HU or none: the values are no HU; leave the series "
            "out, or export the reconstruction in HU",
        )
    return None


FREE_AIR_HU = -900


@dataclass(frozen=True, slots=True)
class Rescaled:
    """HU of one slice, (rows, columns), and how many pixels were set to air or clipped."""

    image_hu: NDArray[np.int16]
    padding: int = 0
    clipped: int = 0


def without_overlays(pixels: NDArray[Any], stored: StoredValues) -> NDArray[Any]:
    """Stored values (rows, columns) with overlays taken out of the bits above BitsStored.

    Old files keep overlays there, which are no part of the value (DICOM PS3.5 8.1.1); the header
    says so by an overlay with a bit position of its own (PS3.3-2004 C.9.2). Where any other bit is
    set there as well, nothing is changed: `to_hu` refuses such values.
    """
    size = 8 * pixels.dtype.itemsize
    above = ((1 << size) - 1) & ~((1 << stored.bits_stored) - 1)
    if not stored.overlay_bits & above or pixels.dtype.kind not in "iu":
        return pixels
    bits = pixels.view(f"u{pixels.dtype.itemsize}")
    kept: NDArray[Any] = bits & bits.dtype.type(((1 << size) - 1) & ~(stored.overlay_bits & above))
    return kept.view(pixels.dtype)


def to_hu(pixels: NDArray[Any], stored: StoredValues) -> Rescaled | Fault:
    """Stored values (rows, columns) to int16 HU; padding becomes air (-1024 HU).

    HU = stored x slope + intercept (DICOM PS3.3 C.11.1.1.2), rounded to the nearest integer,
    whatever the photometric interpretation, which concerns display only. A few values above int16
    are metal and get clipped. `check_header` must have passed.
    """
    slope, intercept = stored.slope or 0.0, stored.intercept or 0.0
    padded = _padding(pixels, stored)
    values = _used_bits(pixels, padded, stored)
    if isinstance(values, Fault):
        return values
    if padded is None and slope == 1 and intercept.is_integer():
        low, high = int(values.min()) + int(intercept), int(values.max()) + int(intercept)
        if INT16.min <= low and high <= INT16.max:
            # int16 wraps around modulo 2**16, which is exact here since every result fits
            return Rescaled(values.astype(np.int16) + np.int64(intercept).astype(np.int16))
    # float64: in float32 a 16-bit value times a slope may round to the neighbouring HU
    hu = np.rint(values.astype(np.float64) * slope + intercept)
    if padded is not None and stored.padding is not None:
        paint = [value * slope + intercept for value in stored.padding]
        # a stated padding value that is also a value of tissue would cut holes into it
        if any(PADDING_TISSUE_HU[0] < value <= PADDING_TISSUE_HU[1] for value in paint):
            return Fault(
                "padding_within_tissue",
                f"PixelPaddingValue stands for {paint[0]:g} HU, a value of tissue, and occurs in "
                f"the image; expected one at or below {PADDING_TISSUE_HU[0]} HU or above "
                f"{PADDING_TISSUE_HU[1]} HU; correct the element and send the series again",
            )
        hu[padded] = AIR_HU
    low, high = int(hu.min()), int(hu.max())
    beyond = int(np.count_nonzero(hu > INT16.max)) if high > INT16.max else 0
    if low < INT16.min or beyond > METAL_SHARE * hu.size:
        return Fault(
            "hu_out_of_range",
            f"values run from {low} to {high} HU, expected {INT16.min} to {INT16.max}, above it "
            f"at most {METAL_SHARE:.0%} of a slice (metal); check slope and intercept",
        )
    image = np.minimum(hu, INT16.max).astype(np.int16)
    return Rescaled(image, 0 if padded is None else int(padded.sum()), beyond)


def out_of_field_to_air(volume_hu: NDArray[np.int16]) -> int | Fault:
    """Set voxels outside the field of view (stored as -2000, -3024 or below) to air, in place.

    Axes (k, j, i). Returns how many voxels were set; `check_plausible` must have passed. Where such
    voxels lie among the densest they are values that went round the end of their bits: refused.
    """
    if volume_hu.min() > OUT_OF_FIELD_HU:
        return 0
    outside = volume_hu <= OUT_OF_FIELD_HU
    edge = outside[..., 1:] != outside[..., :-1]
    beside = np.maximum(volume_hu[..., 1:], volume_hu[..., :-1])[edge]
    dense = int(np.count_nonzero(beside > WRAPPED_HU))
    if dense >= WRAPPED_LEAST and dense > WRAPPED_SHARE * beside.size:
        return Fault(
            "values_wrapped",
            f"{dense} of {beside.size} voxels beside those of {OUT_OF_FIELD_HU} HU and below are "
            f"denser than {WRAPPED_HU} HU: values went round the end of their bits, bone or metal "
            "stands as air; correct BitsStored or PixelRepresentation, or export the series again",
        )
    volume_hu[outside] = AIR_HU
    return int(np.count_nonzero(outside))


def check_wrapped_up(volume_hu: NDArray[np.int16]) -> Fault | None:
    """Catch air that went round the end of its bits and stands as the densest metal.

    Axes (k, j, i). Negative values that are read as unsigned become 32767 HU after clipping; metal
    lies among bone and tissue, not in air.
    """
    if volume_hu.max() < INT16.max:
        return None
    dense = volume_hu == INT16.max
    edge = dense[..., 1:] != dense[..., :-1]
    beside = np.minimum(volume_hu[..., 1:], volume_hu[..., :-1])[edge]
    air = int(np.count_nonzero(beside < FREE_AIR_HU))
    if air < WRAPPED_LEAST or 2 * air < beside.size:
        return None
    return Fault(
        "values_wrapped",
        f"{air} of {beside.size} voxels beside those of {INT16.max} HU are air: values went round "
        "the end of their bits, air stands as metal; correct PixelRepresentation, or export the "
        "series again",
    )


def _padding(pixels: NDArray[Any], stored: StoredValues) -> NDArray[np.bool_] | None:
    """Mask of the padding pixels, or None if there are none."""
    if stored.padding is None:
        return None
    padded: NDArray[np.bool_] = (pixels >= stored.padding[0]) & (pixels <= stored.padding[1])
    return padded if padded.any() else None


def _used_bits(
    pixels: NDArray[Any], padded: NDArray[np.bool_] | None, stored: StoredValues
) -> NDArray[Any] | Fault:
    """Stored values, with their sign extended if the writer left the unused bits empty.

    The bits above BitsStored are not part of the value (DICOM PS3.5 8.1.1). Old files keep
    overlays there: then the values are beyond what BitsStored can hold.
    """
    bits = stored.bits_stored
    if bits >= 8 * pixels.dtype.itemsize:
        return pixels
    # padding may lie outside the range of BitsStored, and says nothing about the image
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
