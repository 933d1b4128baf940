"""Bones by their cortex, filled with their marrow; vessels full of contrast medium left out.

What tells them apart:
- A lumen is even: deeper than `CORE_MM` within dense voxels it varies by noise only. Bone that is
  as thick holds cortex and spongy bone.
- What the blood pool's level explains (thin vessels, partial volume of thick ones) is no bone.
- Soft tissue ends at some HU, higher in an enhanced scan; what is denser, joins cortex and is no
  lumen is bone. The end is measured in the scan itself, away from all that is dense.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.density.working import (
    closed,
    depth_mm,
    grown,
    pieces,
)

if TYPE_CHECKING:
    from fvlm_data.segment.density.working import Working

Array = np.ndarray[Any, Any]

CORTEX_HU = 300
SOFT_HU = (100, 226)
"""Where soft tissue can end: 226 HU is the customary preset for bone of planning programs."""

SOFT_SHARE = 0.99
AWAY_MM = 10.0
NOISE_MM = 1.5
"""Noise is smoothed over that (sigma) before levels are read."""

CORE_MM = 4.0
LUMEN_ML = 5.0
BLOOD_HU = 130
POOL_HU = 700
"""A mass denser than that is cortex or metal, not blood with contrast medium."""

EVEN = 0.12
EVEN_SOFT = 0.08
"""Median deviation over median within a mass of contrast medium, or of an enhanced organ or vessel
below `SOFT_HU`; within bone it is two to five times as large."""

LIKE = 0.15
LIKE_ML = 0.3
"""A small even mass is a lumen if its level is that of a large one."""

RIM_MM = 3.0
SURFACE_SHARE = 0.4
"""A surface lies between cortex and fat or muscle, somewhat nearer to these."""

LEAST_ML = 0.3
CORTEX_ML = 0.1
GAP_MM = 4.5
CANAL_HU = (-30.0, 60.0)
CANAL_MM2 = (100.0, 500.0)
"""A hole in an axial section of bone with fluid or cord in it, so large, and with more bone in
front of it than behind, is the spinal canal. Marrow of ribs is smaller, of long bones fat, and that
of a vertebral body has its arch behind it."""


@dataclass(frozen=True, slots=True)
class Dense:
    """Bone, and the least HU of its surface around each voxel of the working grid."""

    bone: Array
    surface_hu: Array


def bones_of(grid: Working, body: Array, lung: Array) -> Dense:
    """Bones of `body`, bool (x, y, z), with their marrow."""
    from scipy import ndimage

    tissue = body & ~lung
    sigma = [NOISE_MM / size for size in grid.spacing_mm]
    even_hu = ndimage.gaussian_filter(grid.hu, sigma)
    soft_hu = soft_end(grid, even_hu, tissue)
    lumen = _lumens(grid, even_hu, tissue & (even_hu > BLOOD_HU), EVEN, like=True)
    level = float(np.percentile(grid.hu[lumen], 90)) if lumen.any() else 0.0
    soft = tissue & (even_hu > soft_hu) & (even_hu < SOFT_HU[1])
    organs = _lumens(grid, even_hu, soft, EVEN_SOFT, like=False)
    if organs.any():
        soft_hu = min(max(soft_hu, float(np.percentile(even_hu[organs], 95))), SOFT_HU[1])
    lumen |= organs
    around = grown(lumen, RIM_MM, grid.spacing_mm)
    dense = tissue & (grid.hu > soft_hu) & ~around
    bone = _with_cortex(grid, dense, max(CORTEX_HU, level))
    # half way between cortex and what lies beside it is where the surface is
    surface_hu = np.maximum(ndimage.maximum_filter(grid.hu, 3) * SURFACE_SHARE, soft_hu)
    return Dense(_marrow(grid, bone, around) & tissue, surface_hu)


def soft_end(grid: Working, even_hu: Array, tissue: Array) -> float:
    """HU below which `SOFT_SHARE` of the soft tissue lies, measured away from what is dense."""
    soft = tissue & (grid.hu > CANAL_HU[0])
    soft &= ~grown(tissue & (even_hu > SOFT_HU[1]), AWAY_MM, grid.spacing_mm)
    if not soft.any():
        return float(SOFT_HU[1])
    return float(np.clip(np.quantile(even_hu[soft], SOFT_SHARE), *SOFT_HU))


def _lumens(grid: Working, even_hu: Array, dense: Array, even: float, *, like: bool) -> Array:
    """Thick masses of `dense` that vary by no more than `even`, with their surface."""
    from scipy import ndimage

    if not dense.any():
        return dense
    numbered, sizes = pieces(depth_mm(dense, grid.spacing_mm) > CORE_MM)
    levels = np.zeros(sizes.size)
    for number, box in enumerate(ndimage.find_objects(numbered), 1):
        if sizes[number] * grid.voxel_ml >= LIKE_ML:
            levels[number] = _level(even_hu[box][numbered[box] == number], even)
    kept = (levels > 0) & (sizes * grid.voxel_ml >= LUMEN_ML)
    if like:
        for level in levels[kept]:
            kept |= np.abs(levels - level) <= LIKE * level
    return grown(kept[numbered], CORE_MM, grid.spacing_mm) & dense


def _level(hu: Array, even: float) -> float:
    """Median of an even mass, 0 for one that is not."""
    level = float(np.median(hu))
    deviation = float(np.median(np.abs(hu - level)))
    return level if level <= POOL_HU and deviation <= even * level else 0.0


def _with_cortex(grid: Working, dense: Array, cortex_hu: float) -> Array:
    """Pieces of a bone's least size with enough voxels as dense as cortex."""
    numbered, sizes = pieces(dense)
    cortex = np.bincount(numbered[dense & (grid.hu > cortex_hu)], minlength=sizes.size)
    kept = (sizes * grid.voxel_ml >= LEAST_ML) & (cortex * grid.voxel_ml >= CORTEX_ML)
    kept[0] = False
    return np.asarray(kept[numbered])


def _marrow(grid: Working, bone: Array, around: Array) -> Array:
    """Bone with the marrow that its cortex encloses, the spinal canal left open."""
    whole = closed(bone, GAP_MM, grid.spacing_mm) & ~around
    area_mm2 = float(np.prod(grid.spacing_mm[:2]))
    for k in np.flatnonzero(whole.any(axis=(0, 1))):
        whole[:, :, k] = _filled(whole[:, :, k], grid.hu[:, :, k], area_mm2)
    return whole


def _filled(bone: Array, hu: Array, area_mm2: float) -> Array:
    """An axial section (x, y) with all its holes but the spinal canal."""
    from scipy import ndimage

    filled = ndimage.binary_fill_holes(bone)
    holes, count = ndimage.label(filled & ~bone)
    for number, box in enumerate(ndimage.find_objects(holes), 1):
        hole = holes[box] == number
        if not CANAL_MM2[0] < hole.sum() * area_mm2 < CANAL_MM2[1]:
            continue
        if not CANAL_HU[0] < np.median(hu[box][hole]) < CANAL_HU[1]:
            continue
        columns = filled[box[0]]
        if columns[:, box[1].stop :].sum() > columns[:, : box[1].start].sum():
            filled[box][hole] = False
    return np.asarray(filled if count else bone)
