"""Trachea and bronchi: a tube of air that leaves the chest between the lungs.

The lumen is grown from the tube while the threshold rises, and stops before it leaks into the
lung: Mori et al., IEEE Trans Med Imaging 15:824 (1996). Sizes of the trachea: Breatnach, Abbott
and Fraser, AJR 142:903 (1984), 10 to 27 mm in adults; children's down to 5 mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.density.working import joined_to

if TYPE_CHECKING:
    from fvlm_data.segment.density.working import Working

Array = np.ndarray[Any, Any]

LUMEN_HU = -900
AREA_MM2 = (25.0, 750.0)
"""Cross-sections from a child's trachea to that of a large man, slanted."""

LENGTH_MM = 20.0
BETWEEN_MM = 15.0
"""A tube is that long at least, and that much of it lies between two lungs."""

STEP_MM = 6.0
"""The centre of the tube moves by no more between slices, beside their own distance."""

MOUTH_MM = 30.0
"""The tube begins above the lungs or that far below their top: it leads out of the chest."""

LONGEST, FULL = 2.5, 0.5
"""Longest by shortest side of a round section at most, and its share of their product at least."""

AERATED_HU = -500
GROWING_HU = tuple(range(-940, -760, 20))
LEAK_FACTOR = 1.6
"""A step of the threshold by which the tree grows more than this has leaked into the lung."""

LARGEST_ML = 150.0
"""Well above the lumen of trachea and bronchi as far as they can be seen."""


@dataclass(frozen=True, slots=True)
class Section:
    """A round section of slice `k`: centre (x, y) mm, voxels (n, 2), whether between lungs."""

    k: int
    center_mm: Array
    voxels: Array
    between: bool


def airway_of(grid: Working, inner_air: Array, lung: Array) -> Array:
    """Lumen of trachea and bronchi, bool (x, y, z); nothing where no tube proves to be one."""
    aerated = inner_air & (grid.hu < AERATED_HU)
    tube = _tube(grid, aerated & (grid.hu < LUMEN_HU), aerated, lung)
    return _tree(grid, aerated, tube) if tube.any() else tube


def _tree(grid: Working, aerated: Array, tube: Array) -> Array:
    """What the tube leads to, as far as the walls hold."""
    tree = tube
    for threshold in GROWING_HU:
        further = joined_to(tube, tube | (aerated & (grid.hu < threshold)))
        before_ml, ml = tree.sum() * grid.voxel_ml, further.sum() * grid.voxel_ml
        if ml > LARGEST_ML or (tree is not tube and ml > LEAK_FACTOR * before_ml):
            break
        tree = further
    return tree


def _tube(grid: Working, lumen: Array, aerated: Array, lung: Array) -> Array:
    """The longest chain of round cross-sections that leads out of the chest at its top."""
    tube = np.zeros_like(lumen)
    held = np.flatnonzero(lung.any(axis=(0, 1)))
    if not held.size:
        return tube
    deep = grid.spacing_mm[2]
    proved = [
        chain
        for chain in _chains(grid, lumen, aerated, lung)
        if len(chain) * deep >= LENGTH_MM
        and chain[0].k >= held[-1] - MOUTH_MM / deep
        and sum(section.between for section in chain) * deep >= BETWEEN_MM
    ]
    for section in max(proved, key=len, default=[]):
        tube[section.voxels[:, 0], section.voxels[:, 1], section.k] = True
    return tube


def _chains(grid: Working, lumen: Array, aerated: Array, lung: Array) -> list[list[Section]]:
    """Cross-sections that follow each other from slice to slice, downwards."""
    reach = STEP_MM + grid.spacing_mm[2]
    chains: list[list[Section]] = []
    for k in range(lumen.shape[2] - 1, -1, -1):
        going_on = [chain for chain in chains if chain[-1].k == k + 1]
        for section in _sections(k, lumen[:, :, k], aerated[:, :, k], lung[:, :, k], grid):
            away = [float(np.linalg.norm(c[-1].center_mm - section.center_mm)) for c in going_on]
            if away and min(away) <= reach:
                going_on.pop(int(np.argmin(away))).append(section)
            else:
                chains.append([section])
    return chains


def _sections(k: int, lumen: Array, aerated: Array, lung: Array, grid: Working) -> list[Section]:
    """Round pieces of one axial slice with a wall around them."""
    from scipy import ndimage

    numbered, count = ndimage.label(lumen)
    sizes_mm = np.array(grid.spacing_mm[:2])
    columns = np.flatnonzero(lung.any(axis=1))
    found = []
    for number, box in enumerate(ndimage.find_objects(numbered), 1):
        whole = numbered[box] == number
        extent = np.array(whole.shape) * sizes_mm
        area = whole.sum() * float(np.prod(sizes_mm))
        slim = extent.max() > LONGEST * extent.min() or area < FULL * np.prod(extent)
        if (
            not AREA_MM2[0] <= area <= AREA_MM2[1]
            or slim
            or not _walled(numbered == number, aerated)
        ):
            continue
        voxels = np.argwhere(numbered == number)
        x = voxels[:, 0]
        between = bool(columns.size and columns[0] < x.min() and columns[-1] > x.max())
        found.append(Section(k, voxels.mean(axis=0) * sizes_mm, voxels, between))
    return found if count else []


def _walled(section: Array, aerated: Array) -> bool:
    """Whether tissue, not lung, lies around a cross-section, two voxels away."""
    from scipy import ndimage

    near = ndimage.binary_dilation(section, iterations=2)
    ring = ndimage.binary_dilation(near) & ~near
    return bool(ring.any() and aerated[ring].mean() < 0.5)
