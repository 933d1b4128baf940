"""Label maps from stored values: whole numbers, or so near to them that no other can be meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fvlm_data.segment.nifti import NiftiImage

Array = np.ndarray[Any, Any]

GREATEST = 65535
NEAR = 1e-3
"""How far a value may lie from a whole number: scaling in float32 leaves up to 1e-4."""


def whole_numbers(image: NiftiImage) -> Array | str:
    """The image's values as uint8 or uint16 (i, j, k), or why they are no labels.

    uint8 without scaling comes back as it is; others are looked at slice by slice.
    """
    stored = image.stored
    if stored.size == 0:
        return "it has no voxels"
    if stored.dtype == np.uint8 and not image.scaled:
        return stored
    lowest, highest, off = np.inf, -np.inf, 0.0
    for _, values in _slices(image):
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            return "it holds values that are not finite"
        lowest, highest = min(lowest, low), max(highest, high)
        if values.dtype.kind == "f":
            off = max(off, float(np.abs(values - np.rint(values)).max()))
    if lowest < -NEAR or highest > GREATEST + NEAR:
        return f"its values reach from {lowest:g} to {highest:g}"
    if off > NEAR:
        return f"its values are up to {off:.3g} from whole numbers, allowed {NEAR:g}"
    labels = np.empty(stored.shape, np.uint8 if highest < 255.5 else np.uint16, order="F")
    for k, values in _slices(image):
        labels[:, :, k] = np.rint(values) if values.dtype.kind == "f" else values
    return labels


def _slices(image: NiftiImage) -> Any:
    """Each slice (i, j) of the values along k, with its number."""
    for k in range(image.stored.shape[2]):
        plane = image.stored[:, :, k]
        if image.scaled:
            plane = plane * np.float64(image.slope) + image.intercept
        yield k, plane
