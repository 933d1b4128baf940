"""From a volume and its anatomies to a training sample: crop, resample, quantise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.shards.target_grid import TargetGrid, locate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fvlm_data.shards.config import ShardConfig

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class PreparedSample:
    """A sample on its target grid.

    `image_zyx` (int16 HU, or uint8 over the window) and `label_zyx` (uint8, value of each
    anatomy by the configuration) have equal shapes; +z superior, +y posterior, +x patient left.
    `affine_ras` (4, 4) maps the arrays' voxel (x, y, z, 1) to RAS+ mm; `spacing_mm` is along
    z, y, x. `boxes` gives z0, y0, x0, z1, y1, x1 (end exclusive) of each anatomy shown.
    """

    image_zyx: Array
    label_zyx: Array
    affine_ras: Array
    spacing_mm: tuple[float, float, float]
    boxes: Mapping[str, Box]


def prepare(
    image_ijk: Array, label_ijk: Array, affine_ras: Array, config: ShardConfig
) -> PreparedSample | None:
    """Crop to the anatomies' box with margin, resample that part, clip, quantise.

    `image_ijk` holds HU, `label_ijk` the values of `config.label_values` on the same grid;
    `affine_ras` (4, 4) maps their voxel (i, j, k, 1) to RAS+ mm. Image (trilinear) and label
    (nearest) are sampled at the same points, but for `config.grid` reference. None: no anatomy
    has a voxel on the target grid.

    Raises:
        ValueError: the shapes differ, or the affine is singular.
    """
    if image_ijk.shape != label_ijk.shape or image_ijk.ndim != 3:
        raise ValueError(
            f"image of shape {image_ijk.shape} and label of shape {label_ijk.shape}; "
            "expected one shape of three axes"
        )
    grid = locate(label_ijk, affine_ras, config)
    return None if grid is None else sampled(image_ijk[grid.source_ijk], label_ijk, grid, config)


def sampled(
    part_ijk: Array, label_ijk: Array, grid: TargetGrid, config: ShardConfig
) -> PreparedSample:
    """The sample of a grid; `part_ijk` is the image's part `grid.source_ijk`, `label_ijk` whole."""
    label = np.ascontiguousarray(grid.turned.view(label_ijk)[np.ix_(*grid.voxels)])
    image = np.empty(label.shape, config.dtype)
    for z, plane in enumerate(planes(part_ijk, label_ijk.shape, grid, config.antialias)):
        image[z] = quantised(plane, config)
    return PreparedSample(image, label, grid.affine_ras, grid.spacing_mm, _boxes(label, config))


def planes(
    part_ijk: Array, shape_ijk: tuple[int, ...], grid: TargetGrid, antialias: bool
) -> Iterator[Array]:
    """The planes (y, x) of the grid, from the lowest z on, in float32 HU.

    Trilinear and separable, one plane at a time: next to nothing beside it is held in memory.
    Beyond the outermost centres the outermost value holds. With `antialias`, an axis whose
    spacing grows is averaged by a triangle of the target's width on each side.
    """
    image_zyx = grid.turned.view(part_ijk)
    z, y, x = (
        _weights(grid, number, shape_ijk[grid.turned.order_zyx[number]], antialias)
        for number in range(3)
    )
    for low, share in zip(z.first, z.shares, strict=True):
        plane = image_zyx[low].astype(np.float32)
        if len(share) == 2:
            if share[1] > 0:
                plane += (image_zyx[low + 1] - plane) * share[1]
        else:
            plane *= share[0]
            for step in range(1, len(share)):
                if share[step] > 0:
                    plane += image_zyx[low + step] * share[step]
        yield _across(_across(plane, y, 0), x, 1)


def quantised(hu: Array, config: ShardConfig) -> Array:
    """Float HU clipped to the window: int16 to 1 HU, or uint8 with 0 = low and 255 = high."""
    low, high = config.hu_window
    clipped = np.clip(hu, low, high)
    if config.dtype == "uint8":
        clipped = (clipped - low) * (255.0 / (high - low))
    return np.asarray(np.rint(clipped), config.dtype)


@dataclass(frozen=True, slots=True)
class _Weights:
    """Along one axis: each target voxel is the sum of `shares` (n, taps; float32, each row sums
    to 1) times the source voxels from `first` (n,) on."""

    first: Array
    shares: Array


def _weights(grid: TargetGrid, number: int, size: int, antialias: bool) -> _Weights:
    """Weights along z, y or x (`number` 0, 1, 2), counted from the start of the kept part."""
    axis, step = grid.turned.order_zyx[number], grid.turned.steps_zyx[number]
    part = grid.source_ijk[axis]
    start, stop = (part.start, part.stop) if step == 1 else (size - part.stop, size - part.start)
    positions = grid.positions[number]
    inside = np.clip(positions, 0, size - 1)
    if not (antialias and grid.reach[number] > 1):
        first = np.clip(np.floor(inside), start, max(start, stop - 2)).astype(np.intp)
        upper = (inside - first).astype(np.float32)
        shares = np.stack([1 - upper, upper], 1)
        return _Weights(first - start, shares[:, :1] if stop - start == 1 else shares)
    reach = grid.reach[number]
    taps = min(2 * int(np.ceil(reach)) + 1, stop - start)
    first = np.clip(np.ceil(positions - reach), start, stop - taps).astype(np.intp)
    distance = np.abs(first[:, None] + np.arange(taps) - positions[:, None])
    shares = np.maximum(0, 1 - distance / reach)
    shares /= shares.sum(axis=1, keepdims=True)
    return _Weights(first - start, shares.astype(np.float32))


def _across(plane: Array, weights: _Weights, axis: int) -> Array:
    taps = weights.shares.shape[1]
    if taps == 2:
        lower: Array = plane.take(weights.first, axis)
        upper: Array = plane.take(weights.first + 1, axis)
        upper -= lower
        upper *= weights.shares[:, 1:] if axis == 0 else weights.shares[:, 1]
        lower += upper
        return lower
    total: Array = np.float32(0)  # type: ignore[assignment]
    for tap in range(taps):
        share = weights.shares[:, tap : tap + 1] if axis == 0 else weights.shares[:, tap]
        total = total + plane.take(weights.first + tap, axis) * share
    return total


def _boxes(label_zyx: Array, config: ShardConfig) -> dict[str, Box]:
    from scipy import ndimage

    found = ndimage.find_objects(label_zyx, max_label=len(config.anatomies))
    return {
        anatomy: (z.start, y.start, x.start, z.stop, y.stop, x.stop)
        for anatomy, (z, y, x) in (
            (anatomy, box)
            for anatomy, box in zip(config.anatomies, found, strict=True)
            if box is not None
        )
    }
