"""Three planes of a volume as one picture, anatomies outlined."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.qc.outlines import outlined
from fvlm_data.qc.png import png_bytes
from fvlm_data.segment.grid import to_canonical

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = np.ndarray[Any, Any]

PIXEL_MM = 1.5
LONGEST = 480
"""Pixels of the longest side of a plane."""


def three_planes(
    image_hu: Array, labels: Array, affine_ras: Array, window_hu: tuple[int, int]
) -> bytes:
    """PNG of an axial, a coronal and a sagittal slice, at one scale; see `Volume.picture`.

    `image_hu` and `labels` (uint8, 0 for none) are (i, j, k) on the grid of `affine_ras`.
    """
    image_hu, orientation = to_canonical(image_hu, affine_ras)
    labels, _ = to_canonical(labels, affine_ras)
    # spacings move with their axes into canonical order
    spacing_mm = np.linalg.norm(affine_ras[:3, :3], axis=0)[np.argsort(orientation[:, 0])]
    pixel_mm = max(PIXEL_MM, float((np.array(image_hu.shape) * spacing_mm).max()) / LONGEST)
    planes = [
        outlined(slice_hu, named, _palette(), window_hu)
        for slice_hu, named in _slices(image_hu, labels, spacing_mm, pixel_mm)
    ]
    height = max(plane.shape[0] for plane in planes)
    padded = [np.pad(one, ((0, height - len(one)), (0, 4), (0, 0))) for one in planes]
    return png_bytes(np.concatenate(padded, axis=1), "axial coronal sagittal")


def _slices(
    image_hu: Array, labels: Array, spacing_mm: Array, pixel_mm: float
) -> Iterator[tuple[Array, Array]]:
    """HU and labels of each plane (rows, columns), axial, coronal, sagittal.

    Canonical axes point to the right, the front and the head; rows go down from front or head,
    columns from the patient's right or, in the sagittal plane, from the front.
    """
    for across in (2, 1, 0):
        columns, rows = (axis for axis in range(3) if axis != across)
        counts = (labels > 0).sum(axis=(columns, rows))
        at = int(counts.argmax()) if counts.any() else image_hu.shape[across] // 2
        picks = [
            _nearest(image_hu.shape[axis], float(spacing_mm[axis]), pixel_mm)
            for axis in (columns, rows)
        ]
        x, y = (pick[::-1] for pick in picks)
        yield tuple(np.take(array, at, axis=across)[x][:, y].T for array in (image_hu, labels))


def _nearest(size: int, spacing_mm: float, pixel_mm: float) -> Array:
    """Voxel of each pixel along an axis."""
    pixels = max(1, round(size * spacing_mm / pixel_mm))
    return np.minimum(np.arange(pixels) * size // pixels, size - 1)


def _palette() -> Array:
    """Colour of each label; the golden angle keeps neighbours apart."""
    hues = np.arange(256) * 0.381966 % 1.0
    return np.array([[255 * one for one in colorsys.hsv_to_rgb(h, 0.7, 1)] for h in hues], np.uint8)
