"""Whether each organ lies where the image shows it, by what is inside and around its mask.

An organ's own intensities are those in the middle of what its mask covers. They should be frequent
under the mask and rare, where nothing else is labelled, in a rim around it; the mask is moved over
the image, and if the difference is greater elsewhere, the organ was moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.plausibility.remark import Remark, of
from fvlm_data.segment.plausibility.tissue import enough

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.segment.plausibility.expected import Expected
    from fvlm_data.segment.plausibility.measures import Measure

Array = np.ndarray[Any, Any]

GRID_MM = 4.0
REACH_MM = 24.0
RIM = 2
"""Thickness of the rim, voxels of the grid."""

SPREAD_HU = (25.0, 60.0)
"""Least and greatest standard deviation that counts as an organ's own."""

LEAST_VOXELS = 30
LEAST_MM = 6.0
INSIDE_SHARE, RIM_SHARE = 0.6, 0.4
"""A place counts where so much of the mask and of its rim lies inside the volume."""


@dataclass(frozen=True, slots=True)
class Place:
    """`moved_mm` (3) RAS from where the organ fits best to where its mask lies; `gain`, 0 to 2."""

    moved_mm: tuple[float, float, float]
    gain: float

    @property
    def distance_mm(self) -> float:
        """How far the mask lies from where it fits best."""
        return float(np.linalg.norm(self.moved_mm))


def place_remarks(
    labels: Array,
    image_hu: Array,
    affine_ras: Array,
    present: Mapping[int, tuple[str, Measure]],
    expected: Expected,
) -> list[Remark]:
    """Organs that fit better elsewhere: `organ_moved` for certain, else `organ_off_place`.

    `present` gives name and measure of each value; those of `expected.placed` are looked at.
    """
    remarks = []
    for value, (name, one) in present.items():
        canonical = expected.canonical(name)
        sure = canonical in expected.placed.sure
        if not (sure or canonical in expected.placed.likely) or not enough(one):
            continue
        found = place(labels, image_hu, affine_ras, value, one.box)
        if found is None or found.distance_mm < LEAST_MM or found.gain < expected.placed.flag_gain:
            continue
        right, front, up = found.moved_mm
        seen = (
            f"{name} fits the image better if it is moved back by {found.distance_mm:.0f} mm: it "
            f"lies {right:+.0f} mm to the right, {front:+.0f} mm to the front, {up:+.0f} mm up "
            f"from there (gain {found.gain:.2f})"
        )
        certain = sure and found.gain >= expected.placed.fault_gain
        remarks.append(of("organ_moved" if certain else "organ_off_place", canonical, seen))
    return remarks


def place(
    labels: Array, image_hu: Array, affine_ras: Array, value: int, box: tuple[int, ...]
) -> Place | None:
    """Where the class of a value fits best; None if too little of it is shown.

    `labels` and `image_hu` (i, j, k) lie on one grid; `box` is that of the class.
    """
    from scipy import fft, ndimage

    spacing_mm = np.linalg.norm(affine_ras[:3, :3], axis=0)
    steps = np.maximum(np.floor(GRID_MM / spacing_mm + 0.5), 1).astype(int)
    around = np.ceil((REACH_MM + (RIM + 1) * GRID_MM) / spacing_mm).astype(int)
    part = tuple(
        slice(max(box[axis] - int(around[axis]), 0), box[axis + 3] + int(around[axis]), int(step))
        for axis, step in enumerate(steps)
    )
    mask = labels[part] == value
    if np.count_nonzero(mask) < LEAST_VOXELS:
        return None
    hu = image_hu[part].astype(np.float32)
    low, middle, high = np.percentile(hu[mask], (25, 50, 75))
    spread = float(np.clip((high - low) / 1.349, *SPREAD_HU))
    own = np.exp(-0.5 * ((hu - np.float32(middle)) / np.float32(spread)) ** 2)
    # what is labelled as another organ is none of this one's
    own[~mask & (labels[part] != 0)] = 0
    rim = ndimage.binary_dilation(mask, iterations=RIM) & ~mask
    reach = np.minimum(np.ceil(REACH_MM / (spacing_mm * steps)).astype(int), mask.shape)
    reach = np.minimum(reach, np.array(mask.shape) - 1)
    size = [fft.next_fast_len(int(n), real=True) for n in np.array(mask.shape) + reach]
    near = np.ix_(*(np.arange(-r, r + 1) for r in reach))
    spectra = [fft.rfftn(one, size) for one in (own, np.ones_like(own))]
    score = np.zeros(tuple(2 * reach + 1))
    outside = np.zeros(score.shape, bool)
    for shape, sign, share in ((mask, 1, INSIDE_SHARE), (rim, -1, RIM_SHARE)):
        turned = np.conjugate(fft.rfftn(shape.astype(np.float32), size))
        alike, within = (fft.irfftn(one * turned, size)[near] for one in spectra)
        score += sign * alike / np.maximum(within, 1)
        outside |= within < share * np.count_nonzero(shape)
    here = tuple(reach)
    at_home = float(score[here])
    score[outside] = -2.0
    best = np.unravel_index(int(score.argmax()), score.shape)
    moved = -(affine_ras[:3, :3] @ ((np.array(best) - reach) * steps))
    gain = float(score[best]) - at_home
    return Place((float(moved[0]), float(moved[1]), float(moved[2])), gain)
