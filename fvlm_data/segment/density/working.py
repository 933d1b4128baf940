"""The grid on which shapes are judged, distances on it in mm, and the way back to the full grid.

Block means of about 2 mm are as fine as a rib's cortex or a lobe's bronchus, have little noise,
and make a volume of 512 x 512 x 300 about a twentieth of its size. Arrays are (x, y, z), axes
towards the patient's right, front and head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]

WORKING_MM = 2.0


@dataclass(frozen=True, slots=True)
class Working:
    """`hu` float32 (x, y, z): means of blocks of `factors` voxels, `spacing_mm` apart."""

    hu: Array
    spacing_mm: tuple[float, ...]
    factors: tuple[int, ...]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel of this grid, ml."""
        return float(np.prod(self.spacing_mm)) / 1000


def working(image_hu: Array, spacing_mm: Sequence[float]) -> Working:
    """The working grid of `image_hu` (x, y, z), whose voxels are `spacing_mm` large."""
    factors = tuple(max(1, round(WORKING_MM / float(size))) for size in spacing_mm)
    sizes = tuple(float(s) * f for s, f in zip(spacing_mm, factors, strict=True))
    return Working(_block_mean(image_hu, factors), sizes, factors)


def away_mm(mask: Array, spacing_mm: Sequence[float]) -> Array:
    """Distance of each voxel outside `mask` to its nearest voxel, float32 mm; not above 0 within.

    `mask` holds something.
    """
    import SimpleITK as sitk  # noqa: N813

    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(tuple(spacing_mm)[::-1])
    # outside positive, not squared, in mm
    distance = sitk.SignedMaurerDistanceMap(image, False, False, True)
    return np.asarray(sitk.GetArrayFromImage(distance))


def depth_mm(mask: Array, spacing_mm: Sequence[float]) -> Array:
    """Distance of each voxel of `mask` to the nearest voxel outside; not above 0 outside.

    Where the mask reaches the side of the image it is taken to go on.
    """
    if mask.all():
        return np.full(mask.shape, np.inf, np.float32)
    return away_mm(~mask, spacing_mm)


def grown(mask: Array, by_mm: float, spacing_mm: Sequence[float]) -> Array:
    """`mask` and all within `by_mm` of it."""
    return np.asarray(away_mm(mask, spacing_mm) <= by_mm) if mask.any() else mask.copy()


def shrunk(mask: Array, by_mm: float, spacing_mm: Sequence[float]) -> Array:
    """The part of `mask` deeper than `by_mm`."""
    return np.asarray(depth_mm(mask, spacing_mm) > by_mm)


def opened(mask: Array, by_mm: float, spacing_mm: Sequence[float]) -> Array:
    """The part of `mask` that a ball of radius `by_mm` reaches without leaving it."""
    return grown(shrunk(mask, by_mm, spacing_mm), by_mm, spacing_mm) & mask


def closed(mask: Array, by_mm: float, spacing_mm: Sequence[float]) -> Array:
    """`mask` and the gaps that a ball of radius `by_mm` cannot enter."""
    return shrunk(grown(mask, by_mm, spacing_mm), by_mm, spacing_mm) | mask


def pieces(mask: Array) -> tuple[Array, Array]:
    """Numbered pieces (joined by faces), int32, and voxels of each number, 0 being background."""
    from scipy import ndimage

    numbered, count = ndimage.label(mask)
    sizes = np.bincount(numbered.ravel(), minlength=count + 1)
    return numbered, sizes


def joined_to(seeds: Array, mask: Array) -> Array:
    """The pieces of `mask` that hold a voxel of `seeds`."""
    numbered, sizes = pieces(mask)
    kept = np.zeros(sizes.size, bool)
    kept[np.unique(numbered[seeds])] = True
    kept[0] = False
    return np.asarray(kept[numbered])


def filled_in_slices(mask: Array) -> Array:
    """`mask` with what it encloses in axial slices."""
    from scipy import ndimage

    filled = mask.copy()
    for k in np.flatnonzero(mask.any(axis=(0, 1))):
        filled[:, :, k] = ndimage.binary_fill_holes(mask[:, :, k])
    return filled


def paint(
    labels: Array,
    image_hu: Array,
    part: Array,
    value: int,
    grid: Working,
    *,
    within_hu: tuple[float | Array, float] | None = None,
    room: Array | None = None,
) -> None:
    """Write `value` into `labels` (full grid) where `part` (working grid) is.

    With `within_hu` the surface is found on the full grid: a working voxel around and within it
    is taken by its own HU, the lower limit being a number or one for each working voxel; `room`
    says where the surface may reach.
    """
    from scipy import ndimage

    inner = outer = part
    low: float | Array = -np.inf
    high = np.inf
    if within_hu is not None:
        low, high = within_hu
        outer = ndimage.binary_dilation(part)
        inner = ndimage.binary_erosion(part, border_value=1)
        if room is not None:
            outer &= room
    lows = np.broadcast_to(np.asarray(low, np.float32), part.shape)
    # slabs along the axis that memory is laid out by
    order = _slow_first(image_hu)
    labels, image_hu = labels.transpose(order), image_hu.transpose(order)
    inner, outer, lows = (each.transpose(order) for each in (inner, outer, lows))
    deep, *across = (grid.factors[axis] for axis in order)
    for place in np.flatnonzero(outer.any(axis=(1, 2))):
        slab = slice(place * deep, (place + 1) * deep)
        size = labels[slab].shape[1:]
        hu = image_hu[slab]
        whole = _repeated(inner[place], across, size)[None]
        if within_hu is not None:
            edge = _repeated(outer[place], across, size)
            lowest = _repeated(lows[place], across, size)
            whole = whole | (edge & (hu >= lowest) & (hu <= high))
        np.copyto(labels[slab], np.uint8(value), where=whole)


def _slow_first(array: Array) -> list[int]:
    return [int(axis) for axis in np.argsort([-abs(s) for s in array.strides], kind="stable")]


def _repeated(plane: Array, across: Sequence[int], size: Sequence[int]) -> Array:
    return plane.repeat(across[0], 0).repeat(across[1], 1)[: size[0], : size[1]]


def _block_mean(image_hu: Array, factors: tuple[int, ...]) -> Array:
    """Means of blocks of `factors` voxels, float32; the last block is filled by its edge."""
    if all(factor == 1 for factor in factors):
        return image_hu.astype(np.float32)
    order = _slow_first(image_hu)
    image_hu = image_hu.transpose(order)
    deep, across, along = (factors[axis] for axis in order)
    room = [(0, -image_hu.shape[1] % across), (0, -image_hu.shape[2] % along)]
    layers = []
    # a slab at a time: a padded copy of the whole would double the memory
    for start in range(0, image_hu.shape[0], deep):
        plane = image_hu[start : start + deep].mean(axis=0, dtype=np.float32)
        padded = np.pad(plane, room, mode="edge")
        shape = (padded.shape[0] // across, across, padded.shape[1] // along, along)
        layers.append(padded.reshape(shape).mean(axis=(1, 3), dtype=np.float32))
    return np.ascontiguousarray(np.stack(layers).transpose(np.argsort(order)))
