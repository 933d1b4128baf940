"""From a volume and its anatomies to a training sample: turn, crop, resample, quantise."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.shards.config import ShardConfig

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int, int, int]

LPS_SIGNS = (-1.0, -1.0, 1.0)
"""Signs in RAS of the wanted axes: x to the left, y to the back, z to the head."""

POSITION_DIGITS = 6
"""Positions are rounded to 1e-6 voxels, so that float noise decides no tie between voxels."""


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


@dataclass(frozen=True, slots=True)
class Turned:
    """How the axes i, j, k become z, y, x by exchange and turning round, without interpolation.

    `order_zyx` are the array axes that become z, y, x; `steps_zyx` is -1 where the axis is
    turned round. `affine_ras` maps the turned voxel (x, y, z, 1) to RAS+ mm.
    """

    order_zyx: tuple[int, int, int]
    steps_zyx: tuple[int, int, int]
    affine_ras: Array

    def view(self, array_ijk: Array) -> Array:
        """The array (i, j, k) seen as (z, y, x), without a copy."""
        return array_ijk.transpose(self.order_zyx)[
            tuple(slice(None, None, s) for s in self.steps_zyx)
        ]


def turned(shape_ijk: Sequence[int], affine_ras: Array) -> Turned:
    """The exchange and turning of axes that brings a grid nearest to LPS; exact in space.

    The rotation that is left (an oblique scan) stays in the affine. Axes of LPS as in DICOM
    PS3.3 C.7.6.2.1.1.

    Raises:
        ValueError: an axis of `affine_ras` (4, 4; voxel (i, j, k, 1) to RAS+ mm) has no length.
    """
    lengths_mm = np.linalg.norm(affine_ras[:3, :3], axis=0)
    if not (np.isfinite(affine_ras).all() and (lengths_mm > 0).all()):
        raise ValueError(f"affine with axes of {lengths_mm.tolist()} mm; expected lengths above 0")
    directions = affine_ras[:3, :3] / lengths_mm
    order_xyz = max(
        permutations(range(3)),
        key=lambda order: sum(abs(directions[row, axis]) for row, axis in enumerate(order)),
    )
    steps_xyz = [
        1 if directions[row, axis] * sign >= 0 else -1
        for row, (axis, sign) in enumerate(zip(order_xyz, LPS_SIGNS, strict=True))
    ]
    affine = np.eye(4)
    origin_ijk = np.array([0.0, 0.0, 0.0, 1.0])
    for row, (axis, step) in enumerate(zip(order_xyz, steps_xyz, strict=True)):
        affine[:3, row] = affine_ras[:3, axis] * step
        origin_ijk[axis] = 0.0 if step == 1 else shape_ijk[axis] - 1
    affine[:3, 3] = (affine_ras @ origin_ijk)[:3]
    x, y, z = order_xyz
    return Turned((z, y, x), (steps_xyz[2], steps_xyz[1], steps_xyz[0]), affine)


def target_positions(size: int, spacing_mm: float, target_mm: float) -> Array:
    """Centres of the target voxels along one axis, in source voxels, float64.

    Both grids begin at the same outer edge. The number of voxels is rounded to the nearest, so
    that every centre lies within the scanned extent; the spacing is exactly `target_mm`.
    """
    count = int(np.floor(np.round(size * spacing_mm / target_mm, POSITION_DIGITS) + 0.5))
    positions = (np.arange(max(1, count)) + 0.5) * (target_mm / spacing_mm) - 0.5
    return np.round(positions, POSITION_DIGITS)


def nearest_voxels(positions: Array, size: int) -> Array:
    """Index of the voxel that holds each position (an edge belongs to the upper voxel)."""
    return np.asarray(np.clip(np.floor(positions + 0.5), 0, size - 1), np.intp)


def prepare(
    image_ijk: Array, label_ijk: Array, affine_ras: Array, config: ShardConfig
) -> PreparedSample | None:
    """Crop to the anatomies' box with margin, resample that part, clip, quantise.

    `image_ijk` holds HU, `label_ijk` the values of `config.label_values` on the same grid;
    `affine_ras` (4, 4) maps their voxel (i, j, k, 1) to RAS+ mm. Image (trilinear) and label
    (nearest) are sampled at the same points. Box and margins are those of the public recipe
    (section 3 of arXiv 2501.14548): the box is that of the resampled labels. None: no anatomy
    has a voxel on the target grid.

    Raises:
        ValueError: the shapes differ, or the affine is singular.
    """
    if image_ijk.shape != label_ijk.shape or image_ijk.ndim != 3:
        raise ValueError(
            f"image of shape {image_ijk.shape} and label of shape {label_ijk.shape}; "
            "expected one shape of three axes"
        )
    axes = turned(image_ijk.shape, np.asarray(affine_ras, np.float64))
    image_zyx, label_zyx = axes.view(image_ijk), axes.view(label_ijk)
    source_mm = np.linalg.norm(axes.affine_ras[:3, :3], axis=0)[::-1]
    target_mm = np.array(config.spacing_mm[::-1], np.float64)
    grid = [
        target_positions(size, source, target)
        for size, source, target in zip(image_zyx.shape, source_mm, target_mm, strict=True)
    ]
    kept = _kept(label_zyx, grid, (config.margin_slices,) + (config.margin_pixels,) * 2)
    if kept is None:
        return None
    positions = [axis[part] for axis, part in zip(grid, kept, strict=True)]
    label = resample_nearest(label_zyx, positions)
    start_zyx = np.array([part.start for part in kept], np.float64)
    return PreparedSample(
        resample_quantised(image_zyx, positions, config),
        label,
        _target_affine(axes.affine_ras, start_zyx, target_mm / source_mm),
        (float(target_mm[0]), float(target_mm[1]), float(target_mm[2])),
        _boxes(label, config),
    )


def resample_nearest(label_zyx: Array, positions_zyx: Sequence[Array]) -> Array:
    """Labels at the grid of `positions_zyx` (source voxels along z, y, x), contiguous."""
    indices = [
        nearest_voxels(axis, size)
        for axis, size in zip(positions_zyx, label_zyx.shape, strict=True)
    ]
    return np.ascontiguousarray(label_zyx[np.ix_(*indices)])


def resample_quantised(
    image_zyx: Array, positions_zyx: Sequence[Array], config: ShardConfig
) -> Array:
    """The image in HU at the grid of `positions_zyx`, clipped to the window and quantised.

    Trilinear and separable, one plane at a time: next to nothing beside the result is held in
    memory. Beyond the outermost centres the outermost value holds.
    """
    (z_low, z_high, z_part), (y_low, y_high, y_part), (x_low, x_high, x_part) = (
        _neighbours(axis, size) for axis, size in zip(positions_zyx, image_zyx.shape, strict=True)
    )
    rows = slice(int(y_low[0]), int(y_high[-1]) + 1)
    columns = slice(int(x_low[0]), int(x_high[-1]) + 1)
    out = np.empty((len(z_low), len(y_low), len(x_low)), config.dtype)
    for z in range(len(z_low)):
        plane = image_zyx[z_low[z], rows, columns].astype(np.float32)
        if z_part[z] > 0:
            plane += (image_zyx[z_high[z], rows, columns] - plane) * z_part[z]
        plane = _blend(plane, y_low - rows.start, y_high - rows.start, y_part, 0)
        plane = _blend(plane, x_low - columns.start, x_high - columns.start, x_part, 1)
        out[z] = quantised(plane, config)
    return out


def quantised(hu: Array, config: ShardConfig) -> Array:
    """Float HU clipped to the window: int16 to 1 HU, or uint8 with 0 = low and 255 = high."""
    low, high = config.hu_window
    clipped = np.clip(hu, low, high)
    if config.dtype == "uint8":
        clipped = (clipped - low) * (255.0 / (high - low))
    return np.asarray(np.rint(clipped), config.dtype)


def _kept(label_zyx: Array, grid: Sequence[Array], margins: Sequence[int]) -> list[slice] | None:
    """Part of the target grid to keep: the box of the resampled labels and its margin."""
    from scipy import ndimage

    found = [box for box in ndimage.find_objects(label_zyx) if box is not None]
    if not found:
        return None
    inner: list[tuple[int, Array]] = []
    for number, (axis, size) in enumerate(zip(grid, label_zyx.shape, strict=True)):
        low = min(box[number].start for box in found)
        high = max(box[number].stop for box in found)
        voxels = nearest_voxels(axis, size)
        places = np.flatnonzero((voxels >= low) & (voxels < high))
        if not len(places):
            return None
        inner.append((int(places[0]), axis[places]))
    shown = resample_nearest(label_zyx, [axis for _, axis in inner]) > 0
    kept = []
    for number, ((first, _), margin) in enumerate(zip(inner, margins, strict=True)):
        others = tuple(other for other in range(3) if other != number)
        places = np.flatnonzero(shown.any(axis=others))
        if not len(places):
            return None
        start = max(0, first + int(places[0]) - margin)
        kept.append(slice(start, min(len(grid[number]), first + int(places[-1]) + 1 + margin)))
    return kept


def _neighbours(positions: Array, size: int) -> tuple[Array, Array, Array]:
    """Lower and upper neighbour of each position, and the upper one's share (float32)."""
    inside = np.clip(positions, 0, size - 1)
    low = np.floor(inside).astype(np.intp)
    return low, np.minimum(low + 1, size - 1), (inside - low).astype(np.float32)


def _blend(plane: Array, low: Array, high: Array, part: Array, axis: int) -> Array:
    lower: Array = plane.take(low, axis)
    upper: Array = plane.take(high, axis)
    upper -= lower
    upper *= part[:, None] if axis == 0 else part
    lower += upper
    return lower


def _target_affine(affine_ras: Array, start_zyx: Array, ratio_zyx: Array) -> Array:
    """Affine of the kept part: `affine_ras` is that of the turned source, both (x, y, z, 1)."""
    ratio_xyz = ratio_zyx[::-1]
    first_xyz = (start_zyx[::-1] + 0.5) * ratio_xyz - 0.5
    target = affine_ras.copy()
    target[:3, :3] = affine_ras[:3, :3] * ratio_xyz
    target[:3, 3] = (affine_ras @ np.append(first_xyz, 1.0))[:3]
    return target


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
