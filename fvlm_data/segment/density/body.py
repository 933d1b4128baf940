"""The patient without the table: thick tissue and what it encloses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.density.working import depth_mm, grown, joined_to, pieces

if TYPE_CHECKING:
    from fvlm_data.segment.density.working import Working

Array = np.ndarray[Any, Any]

TISSUE_HU = -300
"""Between fat (-100 HU) and lung, foam or clothes."""

THICK_MM = 7.0
"""Half thickness that a part of a body has somewhere, and shells of tables and rests have not."""

WALL_MM = 3.0
"""Half thickness of a chest wall; a table that touches the body is joined to it by less."""

THIN_WALL_MM = 8.0
SKIN_MM = 4.0
BETWEEN_SHARE = 0.5
"""A lung has body in front of and behind that much of it; foam below the back has not."""

PART_SHARE = 0.02
"""Arms beside the trunk are parts of the body from this share of the largest piece on."""

LEAST_BODY_ML = 2.0
OVER_AIR_SHARE = 0.5
"""A pocket that lies so far over free air of the slice beside it is free air."""

GAS_MEDIAN_HU = -940
"""Air, at the side of a slice, is outside of the body if its median lies below."""


def body_of(grid: Working) -> tuple[Array, Array]:
    """The body with what it encloses in axial slices, and the air in it; bool (x, y, z).

    Thin shells (table, head rest, blanket) go with an opening: they hold nothing thick, and join
    what does by contacts thinner than a chest wall. A pocket of air that reaches the side of a
    slice is outside only if it is mostly free air: in a cut field of view a lung reaches it too.
    """
    tissue = grid.hu > TISSUE_HU
    depth = depth_mm(tissue, grid.spacing_mm)
    thick = _parts(depth > THICK_MM, grid)
    if not thick.any():
        return thick, thick.copy()
    # at least one voxel of a slice: else a table that touches is not parted
    wall_mm = max(WALL_MM, *grid.spacing_mm[:2])
    walls = joined_to(thick, depth > wall_mm)
    solid = tissue & grown(walls, wall_mm + SKIN_MM, grid.spacing_mm)
    solid = joined_to(thick, solid)
    inner = _inner(solid, tissue, grid.hu)
    # walls of a chest that are too thin for the opening
    solid |= tissue & grown(inner, THIN_WALL_MM, grid.spacing_mm)
    return solid | inner, inner


def _parts(thick: Array, grid: Working) -> Array:
    numbered, sizes = pieces(thick)
    sizes[0] = 0
    least = max(PART_SHARE * sizes.max(), 1)
    if sizes.max() * grid.voxel_ml < LEAST_BODY_ML:
        return np.zeros_like(thick)
    return np.asarray((sizes >= least)[numbered])


def _inner(solid: Array, tissue: Array, hu: Array) -> Array:
    """Air that axial slices of the body hold, also at the side of a cut field of view."""
    enclosed = np.zeros_like(solid)
    doubtful = np.zeros(solid.shape, np.int32)
    held = np.flatnonzero(solid.any(axis=(0, 1)))
    for k in held:
        enclosed[:, :, k], doubtful[:, :, k] = _pockets(solid[:, :, k], hu[:, :, k])
        enclosed[:, :, k] |= _between(solid[:, :, k], tissue[:, :, k], hu[:, :, k])
    outside = ~solid & ~enclosed & (doubtful == 0)
    # foam beside a cut body looks like lung, and goes on as free air a few slices away
    for step, order in ((1, held[1:]), (-1, held[-2::-1])):
        for k in order:
            for number in np.unique(doubtful[:, :, k])[1:]:
                pocket = doubtful[:, :, k] == number
                if outside[:, :, k - step][pocket].mean() > OVER_AIR_SHARE:
                    outside[:, :, k][pocket] = True
                    doubtful[:, :, k][pocket] = 0
    return enclosed | (doubtful > 0)


def _pockets(solid: Array, hu: Array) -> tuple[Array, Array]:
    """Air of an axial slice: what tissue encloses; numbered pockets at its side, no free air."""
    from scipy import ndimage

    numbered, count = ndimage.label(~solid)
    frame = np.ones(solid.shape, bool)
    frame[1:-1, 1:-1] = False
    at_side = np.zeros(count + 1, bool)
    at_side[np.unique(numbered[frame])] = True
    at_side[0] = False
    enclosed = ~at_side
    enclosed[0] = False
    doubtful = np.zeros(count + 1, np.int32)
    sides = np.flatnonzero(at_side)
    if sides.size:
        medians = np.asarray(ndimage.median(hu, numbered, sides))
        doubtful[sides] = np.where(medians > GAS_MEDIAN_HU, sides, 0)
    return enclosed[numbered], doubtful[numbered]


def _between(solid: Array, tissue: Array, hu: Array) -> Array:
    """Aerated pockets that thin walls close and that lie between front and back of the body."""
    from scipy import ndimage

    walls = np.pad(tissue | solid, 2, mode="edge")
    # a wall that partial volume has cut through is closed
    walls = ndimage.binary_closing(walls, iterations=2)[2:-2, 2:-2] | tissue
    numbered, count = ndimage.label(~walls)
    if not count:
        return np.zeros_like(solid)
    sides = np.concatenate([numbered[[0, -1]].ravel(), numbered[:, [0, -1]].ravel()])
    behind = np.logical_or.accumulate(solid, axis=1)
    before = np.logical_or.accumulate(solid[:, ::-1], axis=1)[:, ::-1]
    numbers = np.arange(1, count + 1)
    share = np.asarray(ndimage.mean(behind & before, numbered, numbers))
    kept = (share >= BETWEEN_SHARE) & ~np.isin(numbers, sides)
    for number in numbers[kept]:
        kept[number - 1] = np.median(hu[numbered == number]) > GAS_MEDIAN_HU
    pockets = np.concatenate([[False], kept])[numbered]
    return np.asarray(ndimage.binary_dilation(pockets, iterations=2, mask=~(tissue | solid)))
