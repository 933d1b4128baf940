"""Where the voxels of a sample lie in its volume: turning, target grid, box of the anatomies."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.shards.config import ShardConfig

Array = np.ndarray[Any, Any]

LPS_SIGNS = (-1.0, -1.0, 1.0)
"""Signs in RAS of the wanted axes: x to the left, y to the back, z to the head."""

POSITION_DIGITS = 6
"""Positions are rounded to 1e-6 voxels, so that float noise decides no tie between voxels."""


@dataclass(frozen=True, slots=True)
class Turned:
    """How the axes i, j, k become z, y, x by exchanging and reversing them, not interpolating.

    `order_zyx` are the array axes that become z, y, x; `steps_zyx` is -1 for a reversed axis.
    `affine_ras` maps the turned voxel (x, y, z, 1) to RAS+ mm.
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
        # a reversed axis begins at its last voxel
        origin_ijk[axis] = 0.0 if step == 1 else shape_ijk[axis] - 1
    affine[:3, 3] = (affine_ras @ origin_ijk)[:3]
    x, y, z = order_xyz
    return Turned((z, y, x), (steps_xyz[2], steps_xyz[1], steps_xyz[0]), affine)


def target_positions(size: int, spacing_mm: float, target_mm: float) -> Array:
    """Centres of the target voxels along one axis, in source voxels, float64.

    Both grids begin at the same outer edge. The number of voxels is rounded to the nearest, so
    that every centre lies within the scanned extent; the spacing is exactly `target_mm`.
    """
    # floor(x + 0.5): Python rounds halves to even, which would depend on the size
    count = int(np.floor(np.round(size * spacing_mm / target_mm, POSITION_DIGITS) + 0.5))
    # voxel n covers n - 0.5 to n + 0.5: edges align, not centres
    positions = (np.arange(max(1, count)) + 0.5) * (target_mm / spacing_mm) - 0.5
    return np.round(positions, POSITION_DIGITS)


def nearest_voxels(positions: Array, size: int) -> Array:
    """Index of the voxel that holds each position (an edge belongs to the upper voxel)."""
    return np.asarray(np.clip(np.floor(positions + 0.5), 0, size - 1), np.intp)


@dataclass(frozen=True, slots=True)
class TargetGrid:
    """The part of the target grid that a sample keeps; lists are along z, y, x.

    `positions` (float64) and `voxels` (int) are where image and label are sampled, in voxels of
    the turned source. `reach` is the target spacing in source voxels. `source_ijk` is the part
    of the volume, in its stored axes, that the image needs. `affine_ras` (4, 4) maps the kept
    part's voxel (x, y, z, 1) to RAS+ mm; `spacing_mm` is along z, y, x.
    """

    turned: Turned
    positions: tuple[Array, Array, Array]
    voxels: tuple[Array, Array, Array]
    reach: tuple[float, float, float]
    source_ijk: tuple[slice, slice, slice]
    affine_ras: Array
    spacing_mm: tuple[float, float, float]


def locate(label_ijk: Array, affine_ras: Array, config: ShardConfig) -> TargetGrid | None:
    """The kept part of the target grid: the box of the resampled labels with its margin.

    Box and margins are those of the public recipe (section 3 of arXiv 2501.14548). None: no
    anatomy has a voxel on the target grid.

    Raises:
        ValueError: the affine (4, 4; voxel (i, j, k, 1) to RAS+ mm) is singular.
    """
    axes = turned(label_ijk.shape, np.asarray(affine_ras, np.float64))
    label_zyx = axes.view(label_ijk)
    source_mm = np.linalg.norm(axes.affine_ras[:3, :3], axis=0)[::-1]
    lines = [
        _axis(size, float(source), float(target), step, config.grid)
        for size, source, target, step in zip(
            label_zyx.shape, source_mm, config.spacing_mm[::-1], axes.steps_zyx, strict=True
        )
    ]
    kept = _kept(label_zyx, lines, axes.steps_zyx, config)
    if kept is None:
        return None
    positions = tuple(line.positions[part] for line, part in zip(lines, kept, strict=True))
    voxels = tuple(line.voxels[part] for line, part in zip(lines, kept, strict=True))
    reach = tuple(line.spacing_mm / mm for line, mm in zip(lines, source_mm, strict=True))
    start_zyx = np.array([part.start for part in kept], np.float64)
    return TargetGrid(
        axes,
        positions,  # type: ignore[arg-type]
        voxels,  # type: ignore[arg-type]
        reach,
        _source_part(axes, positions, reach if config.antialias else (1.0, 1.0, 1.0), label_ijk),
        _target_affine(axes.affine_ras, start_zyx, np.array(reach)),
        tuple(line.spacing_mm for line in lines),  # type: ignore[arg-type]
    )


@dataclass(frozen=True, slots=True)
class _Line:
    """One axis of the target grid: centres for the image, voxels for the label, spacing."""

    positions: Array
    voxels: Array
    spacing_mm: float


def _axis(size: int, source_mm: float, target_mm: float, step: int, grid: str) -> _Line:
    if grid == "exact":
        positions = target_positions(size, source_mm, target_mm)
        return _Line(positions, nearest_voxels(positions, size), target_mm)
    # public recipe: the number of voxels is floored and the spacing stretched to fill the scan;
    # the label is taken at each target voxel's first corner, counted in stored order
    count = max(1, int(size * source_mm / target_mm))
    ratio = size / count
    positions = np.round((np.arange(count) + 0.5) * ratio - 0.5, POSITION_DIGITS)
    corners = np.floor(np.round(np.arange(count) * ratio, POSITION_DIGITS)).astype(np.intp)
    voxels = corners if step == 1 else (size - 1 - corners)[::-1]
    return _Line(positions, voxels, ratio * source_mm)


def _kept(
    label_zyx: Array, lines: Sequence[_Line], steps_zyx: Sequence[int], config: ShardConfig
) -> list[slice] | None:
    """Part of the target grid to keep: the box of the resampled labels and its margin."""
    inner = [_shown_span(label_zyx, line.voxels, number) for number, line in enumerate(lines)]
    if any(span is None for span in inner):
        return None
    # labels are first looked at plane by plane: the full target grid need not be built
    spans = [span for span in inner if span is not None]
    shown = label_zyx[np.ix_(*(line.voxels[span] for line, span in zip(lines, spans, strict=True)))]
    margins = (config.margin_slices, config.margin_pixels, config.margin_pixels)
    kept = []
    for number, (span, margin) in enumerate(zip(spans, margins, strict=True)):
        others = tuple(other for other in range(3) if other != number)
        places = np.flatnonzero(shown.any(axis=others))
        if not len(places):
            return None
        low, high = margin, margin
        if config.grid == "reference":  # its margin is laid around an end that is inclusive
            low, high = (low, high - 1) if steps_zyx[number] == 1 else (low - 1, high)
        start = span.start + int(places[0]) - low
        stop = span.start + int(places[-1]) + 1 + high
        kept.append(slice(max(0, start), min(len(lines[number].voxels), stop)))
    return kept


def _shown_span(label_zyx: Array, voxels: Array, number: int) -> slice | None:
    """Target voxels of one axis from the first to the last that meet a labelled plane."""
    others = tuple(other for other in range(3) if other != number)
    planes = label_zyx.any(axis=others)
    places = np.flatnonzero(planes[voxels])
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else None


def _source_part(
    axes: Turned, positions: Sequence[Array], reach: Sequence[float], label_ijk: Array
) -> tuple[slice, slice, slice]:
    """Voxels (i, j, k) within `reach` of the positions, in the volume's stored axes."""
    part = [slice(0)] * 3
    for number, (axis, step) in enumerate(zip(axes.order_zyx, axes.steps_zyx, strict=True)):
        size, around = label_ijk.shape[axis], max(1.0, reach[number])
        # at least one voxel, even if the positions lie beyond the volume's end
        start = min(max(0, int(np.floor(positions[number][0] - around))), size - 1)
        stop = max(min(size, int(np.ceil(positions[number][-1] + around)) + 1), start + 1)
        part[axis] = slice(start, stop) if step == 1 else slice(size - stop, size - start)
    return part[0], part[1], part[2]


def _target_affine(affine_ras: Array, start_zyx: Array, ratio_zyx: Array) -> Array:
    """Affine of the kept part: `affine_ras` is that of the turned source, both (x, y, z, 1)."""
    ratio_xyz = ratio_zyx[::-1]
    first_xyz = (start_zyx[::-1] + 0.5) * ratio_xyz - 0.5
    target = affine_ras.copy()
    target[:3, :3] = affine_ras[:3, :3] * ratio_xyz
    target[:3, 3] = (affine_ras @ np.append(first_xyz, 1.0))[:3]
    return target
