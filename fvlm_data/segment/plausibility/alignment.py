"""Whether a label map lies where the image has its lungs, soft organs and bones.

The label map is moved over the image, and at each place it is counted how well the intensities
under it fit: all places at once, by Fourier transforms on a coarse grid. A label map that fits
better elsewhere was moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

Array = np.ndarray[Any, Any]

COARSE_MM = 6.0
REACH_MM = 60.0

EDGES_HU = (-950, -500, -200, -30, 120, 300)
"""Edges between free air, lung, mixed, fat, soft tissue, dense, bone."""

FIT = {
    "lung": (-0.3, 1.0, 0.3, -1.0, -1.0, -1.0, -1.0),
    "soft": (-2.0, -2.0, -1.0, -1.0, 1.0, 0.7, -1.5),
    "vessel": (-2.0, -2.0, -1.0, -1.0, 0.7, 1.0, 0.7),
    "bone": (-2.0, -2.0, -1.0, -1.0, -0.6, 1.0, 1.0),
}
"""How well a voxel of each of the seven kinds fits under a class of lung, soft tissue or bone."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """`moved_mm` (3) RAS from where the mask fits best to where it lies; `gain` in fit, 0 to 1."""

    moved_mm: tuple[float, float, float]
    gain: float

    @property
    def distance_mm(self) -> float:
        """How far the mask lies from where it fits best."""
        return float(np.linalg.norm(self.moved_mm))


def alignment(
    labels: Array, image_hu: Array, affine_ras: Array, kinds: Mapping[int, str]
) -> Alignment | None:
    """Where a label map (i, j, k) fits its image best; None if no class is of a kind in FIT.

    `kinds` gives the kind of each value that has one.
    """
    from scipy import fft

    spacing_mm = np.linalg.norm(affine_ras[:3, :3], axis=0)
    steps = np.maximum(np.floor(COARSE_MM / spacing_mm + 0.5), 1).astype(int)
    # the middle of each block
    thin = tuple(
        slice(min(step // 2, size - 1), None, step)
        for step, size in zip(steps.tolist(), labels.shape, strict=True)
    )
    coarse, tissue = labels[thin], _tissue(image_hu[thin])
    shape = np.array(coarse.shape)
    reach = np.minimum(np.ceil(REACH_MM / (spacing_mm * steps)).astype(int), shape - 1)
    size = [fft.next_fast_len(int(n), real=True) for n in shape + reach]
    of_kind = np.zeros(int(max(kinds, default=0)) + 1, np.uint8)
    for value, kind in kinds.items():
        of_kind[value] = 1 + list(FIT).index(kind)
    kind_at = _looked_up(of_kind, np.where(coarse < len(of_kind), coarse, 0))
    spectrum: Array | None = None
    weight = 0.0
    for number, fit in enumerate(FIT.values(), start=1):
        mask = kind_at == number
        voxels = int(np.count_nonzero(mask))
        if not voxels:
            continue
        weight += voxels
        product = fft.rfftn(mask.astype(np.float32), size)
        np.conjugate(product, out=product)
        product *= fft.rfftn(_looked_up(np.array(fit, np.float32), tissue), size)
        if spectrum is None:
            spectrum = product
        else:
            spectrum += product
        del product
    if spectrum is None:
        return None
    score = fft.irfftn(spectrum, size, overwrite_x=True)
    del spectrum
    near = score[np.ix_(*(np.arange(-r, r + 1) for r in reach))]
    best = np.unravel_index(int(near.argmax()), near.shape)
    shift = np.array(best) - reach
    gain = float(near[best] - score[0, 0, 0]) / weight
    moved = -(affine_ras[:3, :3] @ (shift * steps))
    return Alignment((float(moved[0]), float(moved[1]), float(moved[2])), gain)


def _tissue(image_hu: Array) -> Array:
    """Number of the kind of tissue of each voxel, by EDGES_HU."""
    lowest, highest = EDGES_HU[0] - 1, EDGES_HU[-1]
    table = np.searchsorted(EDGES_HU, np.arange(lowest, highest + 1), side="right")
    place = np.clip(image_hu, lowest, highest) - np.int16(lowest)
    return _looked_up(table.astype(np.uint8), place)


def _looked_up(table: Array, index: Array) -> Array:
    """`table[index]` a plane at a time: numpy takes eight bytes for each index."""
    made = np.empty(index.shape, table.dtype)
    for plane, place in zip(made, index, strict=True):
        plane[...] = table[place]
    return made
