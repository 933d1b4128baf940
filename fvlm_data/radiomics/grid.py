"""Resampling to one grid, as the IBSI has it (2.4): centres of both grids lie on each other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]
Box = tuple[slice, ...]


def new_shape(shape: Sequence[int], spacing_mm: Sequence[float], new_mm: float) -> tuple[int, ...]:
    """Voxels along each axis of the new grid, which covers the old one."""
    return tuple(
        max(1, math.ceil(size * step / new_mm - 1e-9))
        for size, step in zip(shape, spacing_mm, strict=True)
    )


def box_of(mask: Array) -> Box:
    """Box of a bool mask (i, j, k) that holds something."""
    found = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        held = np.flatnonzero(mask.any(axis=others))
        found.append(slice(int(held[0]), int(held[-1]) + 1))
    return tuple(found)


def resampled(
    array: Array, spacing_mm: Sequence[float], new_mm: float, at: Box | None = None
) -> Array:
    """Linear interpolation of (i, j, k) at the voxels of the new grid, float32; edges go on.

    With `at` (a box on the new grid) only those.
    """
    from scipy import ndimage

    shape = new_shape(array.shape, spacing_mm, new_mm)
    at = at or tuple(slice(0, size) for size in shape)
    scale = np.array([new_mm / step for step in spacing_mm])
    offset = [
        (old - 1) / 2 + (box.start - (new - 1) / 2) * factor
        for old, new, box, factor in zip(array.shape, shape, at, scale, strict=True)
    ]
    size = tuple(box.stop - box.start for box in at)
    return np.asarray(
        ndimage.affine_transform(array, scale, offset, size, np.float32, order=1, mode="nearest")
    )


def new_box(box: Box, shape: Sequence[int], spacing_mm: Sequence[float], new_mm: float) -> Box:
    """Box on the new grid that holds all of what a box of the old one holds, and a voxel more."""
    made = []
    sizes = new_shape(shape, spacing_mm, new_mm)
    for part, old, new, step in zip(box, shape, sizes, spacing_mm, strict=True):
        low, high = (
            (at - (old - 1) / 2) * step / new_mm + (new - 1) / 2
            for at in (part.start - 1, part.stop)
        )
        made.append(slice(max(0, math.floor(low)), min(new, math.ceil(high) + 1)))
    return tuple(made)
