"""From a volume and its anatomies to a training sample: crop, resample, quantise."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.shards.target_grid import TargetGrid, locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fvlm_data.shards.config import ShardConfig

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int, int, int]

K = 2
"""Number of the axis k, along which files are read."""


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
    (nearest) are sampled at the same points, except under `config.grid` reference. None: no anatomy
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
    if grid is None:
        return None
    return sampled(iter([image_ijk[grid.source_ijk]]), label_ijk, grid, config)


def sampled(
    slabs: Iterator[Array], label_ijk: Array, grid: TargetGrid, config: ShardConfig
) -> PreparedSample:
    """The sample of a grid.

    `slabs` are the image's part `grid.source_ijk` in HU, cut along k, in order; each is used
    until the next is taken. `label_ijk` is whole.
    """
    # labels are picked, never interpolated: between 2 and 4 there is no 3
    label = np.ascontiguousarray(grid.turned.view(label_ijk)[np.ix_(*grid.voxels)])
    image = np.empty(label.shape, config.dtype)
    for z, plane in planes(slabs, label_ijk.shape, grid, config.antialias):
        image[z] = quantised(plane, config)
    return PreparedSample(image, label, grid.affine_ras, grid.spacing_mm, boxes_of(label, config))


def planes(
    slabs: Iterator[Array], shape_ijk: tuple[int, ...], grid: TargetGrid, antialias: bool
) -> Iterator[tuple[int, Array]]:
    """Numbers and planes (y, x) of the grid, in float32 HU, in the order of the slabs.

    Trilinear and separable, one plane at a time, so that hardly anything else is in memory.
    Beyond the outermost centres the outermost value holds. With `antialias`, an axis whose
    spacing grows is averaged by a triangle of the target's width on each side.
    """
    z, y, x = (
        _weights(grid, number, shape_ijk[grid.turned.order_zyx[number]], antialias)
        for number in range(3)
    )
    source = _planes_along_z(slabs, grid)
    upwards = grid.turned.steps_zyx[0] == 1
    for number in range(len(z.first)) if upwards else reversed(range(len(z.first))):
        low, share = int(z.first[number]), z.shares[number]
        # planes of no weight are not fetched, which would make the source hold more of them
        needed = [low + tap for tap in range(len(share)) if tap == 0 or share[tap] > 0]
        around = source(needed)
        plane = around[0].astype(np.float32)
        if len(share) == 2:
            if len(needed) == 2:
                # lower + (upper - lower) * share: one multiplication, and exact where both are
                # equal
                plane += (around[1] - plane) * share[1]
        else:
            plane *= share[0]
            for place, one in zip(needed[1:], around[1:], strict=True):
                plane += one * share[place - low]
        yield number, _across(_across(plane, y, 0), x, 1)


def _planes_along_z(slabs: Iterator[Array], grid: TargetGrid) -> Callable[[list[int]], list[Array]]:
    """Planes (y, x) of the source by their numbers along z, requested in one direction only.

    If k is z, slices are held until they were used; otherwise the whole part is assembled first.
    """
    if grid.turned.order_zyx[0] != K:
        image_zyx = grid.turned.view(_together(slabs, grid))
        return lambda numbers: [image_zyx[number] for number in numbers]
    depth = grid.source_ijk[K].stop - grid.source_ijk[K].start
    upwards = grid.turned.steps_zyx[0] == 1
    held: dict[int, Array] = {}
    arrived = 0

    def planes_of(numbers: list[int]) -> list[Array]:
        nonlocal arrived
        # the file always runs along growing k; numbers count along z
        wanted = numbers if upwards else [depth - 1 - number for number in numbers]
        for old in [k for k in held if k < min(wanted)]:
            del held[old]
        while arrived <= max(wanted):
            # the next slab reuses the buffer: planes that are still needed move out of it
            held.update({k: plane.copy() for k, plane in held.items()})
            slab_zyx = grid.turned.view(next(slabs))
            size = len(slab_zyx)
            order = range(size) if upwards else reversed(range(size))
            held.update({arrived + at: slab_zyx[place] for at, place in enumerate(order)})
            arrived += size
            for old in [k for k in held if k < min(wanted)]:
                del held[old]
        return [held[k] for k in wanted]

    return planes_of


def _together(slabs: Iterator[Array], grid: TargetGrid) -> Array:
    first = next(slabs)
    size = [axis.stop - axis.start for axis in grid.source_ijk]
    # Fortran order, as the slabs come: i fastest
    part_ijk = np.empty(size, first.dtype, order="F")
    at = 0
    for slab in chain([first], slabs):
        part_ijk[:, :, at : at + slab.shape[K]] = slab
        at += slab.shape[K]
    return part_ijk


def quantised(hu: Array, config: ShardConfig) -> Array:
    """Float HU clipped to the window: int16 to 1 HU, or uint8 with 0 = low and 255 = high."""
    low, high = config.hu_window
    clipped = np.clip(hu, low, high)
    if config.dtype == "uint8":
        clipped = (clipped - low) * (255.0 / (high - low))
    return np.asarray(np.rint(clipped), config.dtype)


@dataclass(frozen=True, slots=True)
class _Weights:
    """Along one axis: each target voxel is a weighted sum of source voxels.

    These are the voxels from `first` (n,) on, with `shares` (n, taps; float32, rows sum to 1).
    """

    first: Array
    shares: Array


def _weights(grid: TargetGrid, number: int, size: int, antialias: bool) -> _Weights:
    """Weights along z, y or x (`number` 0, 1, 2), counted from the start of the kept part."""
    axis, step = grid.turned.order_zyx[number], grid.turned.steps_zyx[number]
    part = grid.source_ijk[axis]
    start, stop = (part.start, part.stop) if step == 1 else (size - part.stop, size - part.start)
    positions = grid.positions[number]
    # beyond the outermost centres: the outermost value
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
    # normalised: at the border part of the triangle lies outside the volume
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


def boxes_of(label_zyx: Array, config: ShardConfig) -> dict[str, Box]:
    """Box z0, y0, x0, z1, y1, x1 (end exclusive) of each anatomy that a label map shows."""
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
