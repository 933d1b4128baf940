"""Lungs by their air, told from gas by how much of it there is in a voxel and what surrounds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.density.working import (
    away_mm,
    closed,
    depth_mm,
    filled_in_slices,
    grown,
    joined_to,
    opened,
    pieces,
)

if TYPE_CHECKING:
    from fvlm_data.segment.density.working import Working

Array = np.ndarray[Any, Any]

LUNG_HU = -300
"""Upper end of aerated lung, partial volume at its surface included."""

SURE_HU = -500
GAS_HU = -950
GAS_MEDIAN_HU = -940
GAS_RIM_MM = 5.0
"""As far as gas reaches by partial volume, voxels that look like lung are its edge."""

BULLA_SHARE = 0.6
"""Gas of which that much of the surroundings is lung lies in the lung (emphysema, bulla)."""

GAS_ML = 0.5
"""Less is a noisy voxel of lung, or too little to be taken for lung."""

THICK_MM = 2.0
"""Half thickness that a lung has somewhere, and what surrounds gas has not."""

LEAST_LUNG_ML = 20.0
VESSEL_MM = 5.0
"""Radius of the vessels and nodules that a lung encloses."""

JOINED_SHARE = 0.15
"""A lung that is split in two has at least this share of both in each half."""

PARTING_MM = (0.0, 2.5, 5.0, 7.5, 10.0, 14.0, 18.0)
LEFT, RIGHT = 1, 2


def lungs_of(grid: Working, inner_air: Array) -> Array:
    """Pieces of aerated tissue within the body, gas of gut and airways left out; bool (x, y, z)."""
    spacing = grid.spacing_mm
    air = inner_air & (grid.hu < LUNG_HU)
    gas = _gas(grid, air)
    aerated = air & ~grown(gas, GAS_RIM_MM, spacing)
    seeds = opened(aerated & (grid.hu < SURE_HU), THICK_MM, spacing)
    lung = _likely(grid, joined_to(seeds, aerated))
    if not lung.any():
        return lung
    # the rim of gas is lung again where it joins lung more closely than the gas
    lung |= air & ~gas & grown(lung, GAS_RIM_MM, spacing) & ~grown(gas, GAS_RIM_MM / 2, spacing)
    whole = closed(lung, VESSEL_MM, spacing) & ~gas
    return filled_in_slices(whole) & inner_air & ~gas


def sides_of(lung: Array, body: Array, grid: Working) -> Array:
    """LEFT or RIGHT at each voxel of `lung`, uint8; x goes to the patient's right."""
    sides = np.zeros(lung.shape, np.uint8)
    if not lung.any():
        return sides
    seeds, sizes = _separated(lung, grid)
    centers = _centers_x(seeds, sizes.size)
    order = np.argsort(-sizes)
    single = np.count_nonzero(sizes) < 2
    # between the two largest pieces; a single lung is judged by the body's middle
    middle = np.argwhere(body.any(axis=(1, 2))).mean() if single else centers[order[:2]].mean()
    of_piece = np.where(centers > middle, RIGHT, LEFT)
    of_piece[0] = 0
    marked = of_piece[seeds]
    if single:
        sides[lung] = of_piece[order[0]]
        return sides
    away = [away_mm(marked == side, grid.spacing_mm) for side in (LEFT, RIGHT)]
    sides[lung] = np.where(away[0] <= away[1], LEFT, RIGHT)[lung]
    return sides


def _gas(grid: Working, air: Array) -> Array:
    """Pieces of gas in gut and elsewhere, but not in lung."""
    numbered, sizes = pieces(air & (grid.hu < GAS_HU))
    sizes[(sizes * grid.voxel_ml < GAS_ML) | (np.arange(sizes.size) == 0)] = 0
    numbered[sizes[numbered] == 0] = 0
    ring = grown(numbered > 0, GAS_RIM_MM, grid.spacing_mm) & (numbered == 0)
    owner = _owners(numbered, ring, grid)
    aerated = air & (grid.hu < SURE_HU)
    # two voxels of partial volume are no proof of lung: only the outer ring counts
    outer = ring & ~grown(numbered > 0, GAS_RIM_MM / 2, grid.spacing_mm)
    total = np.bincount(owner[outer], minlength=sizes.size)
    lung = np.bincount(owner[outer & aerated], minlength=sizes.size)
    bulla = lung >= BULLA_SHARE * np.maximum(total, 1)
    return np.asarray(((sizes > 0) & ~bulla)[numbered])


def _owners(numbered: Array, ring: Array, grid: Working) -> Array:
    """Number of the nearest piece at each voxel of `ring`, by steps of one voxel."""
    from scipy import ndimage

    owner = numbered
    steps = int(np.ceil(GAS_RIM_MM / min(grid.spacing_mm)))
    for _ in range(steps):
        owner = np.where(owner > 0, owner, np.where(ring, ndimage.grey_dilation(owner, 3), 0))
    return np.asarray(owner)


def _likely(grid: Working, seeds: Array) -> Array:
    """The pieces large enough for a lung, of which most is not free air."""
    numbered, sizes = pieces(seeds)
    kept = np.zeros(sizes.size, bool)
    for number in np.flatnonzero(sizes * grid.voxel_ml >= LEAST_LUNG_ML):
        if number:
            kept[number] = np.median(grid.hu[numbered == number]) > GAS_MEDIAN_HU
    return np.asarray(kept[numbered])


def _centers_x(numbered: Array, count: int) -> Array:
    """Mean x of each piece, voxels."""
    x = np.broadcast_to(np.arange(numbered.shape[0])[:, None, None], numbered.shape)
    flat = numbered.ravel()
    total = np.bincount(flat, minlength=count)
    return np.asarray(np.bincount(flat, weights=x.ravel(), minlength=count) / np.maximum(total, 1))


def _separated(lung: Array, grid: Working) -> tuple[Array, Array]:
    """Pieces of `lung`, shrunk as far as it takes to part two lungs that touch; sizes without 0."""
    depth = depth_mm(lung, grid.spacing_mm)
    whole = pieces(lung)
    whole[1][0] = 0
    for parting_mm in PARTING_MM:
        numbered, sizes = pieces(depth > parting_mm)
        sizes[0] = 0
        ordered = np.sort(sizes)[::-1]
        if ordered[0] == 0:
            break
        if ordered.size > 2 and ordered[1] >= JOINED_SHARE * ordered[0]:
            return numbered, sizes
    return whole
