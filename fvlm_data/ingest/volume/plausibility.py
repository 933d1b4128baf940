"""Whether voxels can be HU of a CT: forgotten and repeated rescaling, label maps, derived maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault
from fvlm_data.ingest.volume.hounsfield import PADDING_TISSUE_HU

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_VOXELS = 1 << 20
"""About this many voxels of a large image are counted, on an even lattice."""

OFFSET = 1 << 15
"""Place of 0 HU in the histogram: int16 begins at -32768."""
NO_IMAGE_HU = -1500
"""Only padding lies below it; the two commonest values there are left out of the count."""

TISSUE_HU = (-200, 200)
TISSUE_LEAST = 0.005
LIGHT_HU = (-1020, -50)
LIGHT_LEAST = 0.001
BELOW_AIR_HU = -1200
BELOW_AIR_MOST = 0.05
DENSE_HU = (700, 1400)
DENSE_MOST = 0.15
METAL_HU = 3072
METAL_MOST = 0.05
"""Above what 12 bits hold lies metal alone; so much of a volume is none, but a slope too large."""

CLIPPED_LEAST = 0.15
"""Share of voxels at the least value from which it is a window's end; measured air spreads."""

CLIPPED_ABOVE = 0.002
CLIPPED_ABOVE_HU = 350
NEAR_GREATEST = 20
CLIPPED_TIMES = 3
CLIPPED_VOXELS = 100
"""A window's upper end: such a share of voxels has the greatest value, below where
the window of training ends, so many times what each of the next values has, and no mere handful."""

PADDED_CORNERS = 0.25
PADDED_LEAST = 0.05
"""Shares of the slices' corners, and of all voxels, that have one value of tissue: padding."""

REMEDY = "expected air there; fill it with -1024 HU, or take the file from before that"


def check_filled(image_zyx: NDArray[np.int16]) -> Fault | None:
    """Catch values of tissue, axes (k, j, i), that stand for no tissue in a volume of HU.

    `values_clipped`: a window cut off air (and lung, fat) or bone, so many voxels have the least or
    the greatest value.
    `padding_within_tissue`: the corners of slices, or whole slices, hold one value of tissue, most
    often the 0 of a rotation, a mask or a new grid. Noise spreads what was measured: in real scans
    the commonest value of tissue has 0.6 % of the voxels.
    """
    least = int(image_zyx.min())
    at_least = float((image_zyx == least).mean()) if _is_tissue(least) else 0.0
    if at_least > CLIPPED_LEAST:
        return Fault(
            "values_clipped",
            f"{at_least:.0%} of the voxels have the least value, {least} HU, expected air near "
            "-1000 HU: the values were clipped to a window; take the file from before that",
        )
    return _clipped_above(image_zyx) or _padded_corners(image_zyx) or _empty_slices(image_zyx)


def _clipped_above(image_zyx: NDArray[np.int16]) -> Fault | None:
    greatest = int(image_zyx.max())
    if greatest >= CLIPPED_ABOVE_HU:
        return None
    at_most = np.count_nonzero(image_zyx == greatest)
    below = np.count_nonzero(image_zyx >= greatest - NEAR_GREATEST) - at_most
    share = at_most / image_zyx.size
    few = share <= CLIPPED_ABOVE or at_most < CLIPPED_VOXELS
    if few or at_most * NEAR_GREATEST <= CLIPPED_TIMES * below:
        return None
    return Fault(
        "values_clipped",
        f"{share:.1%} of the voxels have the greatest value, {greatest} HU, expected "
        f"about as many as at each of the {NEAR_GREATEST} values below it: bone was clipped to a "
        "window; take the file from before that",
    )


def _padded_corners(image_zyx: NDArray[np.int16]) -> Fault | None:
    corners = image_zyx[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    values, counts = np.unique(corners, return_counts=True)
    padding, of_corners = int(values[counts.argmax()]), float(counts.max() / corners.size)
    if not _is_tissue(padding) or of_corners <= PADDED_CORNERS:
        return None
    share = float((image_zyx == padding).mean())
    if share <= PADDED_LEAST:
        return None
    return Fault(
        "padding_within_tissue",
        f"{of_corners:.0%} of the slices' corners and {share:.0%} of all voxels are exactly "
        f"{padding} HU, a value of tissue: padding of a rotation, a mask or a new grid; {REMEDY}",
    )


def _empty_slices(image_zyx: NDArray[np.int16]) -> Fault | None:
    first = image_zyx[:, 0, 0]
    empty = [
        number
        for number, value in enumerate(first.tolist())
        if _is_tissue(value) and (image_zyx[number] == value).all()
    ]
    if not empty:
        return None
    return Fault(
        "padding_within_tissue",
        f"{len(empty)} of {len(first)} slices hold nothing but {int(first[empty[0]])} HU, a value "
        f"of tissue: padding; {REMEDY}",
    )


def _is_tissue(value_hu: int) -> bool:
    return PADDING_TISSUE_HU[0] < value_hu <= PADDING_TISSUE_HU[1]


def check_plausible(volume_hu: NDArray[np.int16]) -> Fault | None:
    """Catch int16 values, any axes, that cannot be HU of a CT; padding of -1500 or less may stand.

    A CT shows tissue around 0 HU, something lighter than water (air near -1000, lung, fat),
    hardly anything below air, and little that is as dense as cortical bone. A forgotten intercept
    moves tissue to about 1000 HU, one applied twice moves air to about -2000 HU. Reasons:
    `rescaling_forgotten`, `rescaling_repeated`, `values_not_hu`.
    """
    counts = _histogram(volume_hu)
    total = int(counts.sum())
    if total == 0:
        return Fault("values_not_hu", "all voxels are padding, expected an image")
    # one value painted or clipped within the range must not pass for measured air
    light = _share(counts, *LIGHT_HU) - _commonest_share(counts, *LIGHT_HU)
    light = max(light, _share(counts, -900, -50))
    tissue, dense = _share(counts, *TISSUE_HU), _share(counts, *DENSE_HU)
    below, metal = _share(counts, -OFFSET, BELOW_AIR_HU), _share(counts, METAL_HU, OFFSET - 1)
    found = (
        f"values run from {int(volume_hu.min())} to {int(volume_hu.max())}; {tissue:.1%} within "
        f"{TISSUE_HU[0]} to {TISSUE_HU[1]} HU (expected at least {TISSUE_LEAST:.1%}), {light:.1%} "
        f"lighter than water (expected at least {LIGHT_LEAST:.1%}), {below:.1%} below "
        f"{BELOW_AIR_HU} HU (expected at most {BELOW_AIR_MOST:.0%}), {dense:.1%} within "
        f"{DENSE_HU[0]} to {DENSE_HU[1]} HU (expected at most {DENSE_MOST:.0%}), {metal:.1%} from "
        f"{METAL_HU} HU on (expected at most {METAL_MOST:.0%})"
    )
    if below > BELOW_AIR_MOST:
        return Fault("rescaling_repeated", f"{found}: the intercept seems applied twice; check it")
    if dense > DENSE_MOST or (light < LIGHT_LEAST and dense > tissue):
        return Fault(
            "rescaling_forgotten", f"{found}: slope and intercept seem not applied; check them"
        )
    if tissue < TISSUE_LEAST or light < LIGHT_LEAST or metal > METAL_MOST:
        return Fault(
            "values_not_hu", f"{found}; check the rescaling, or leave out files that are no CT"
        )
    return None


def _histogram(volume_hu: NDArray[np.int16]) -> NDArray[np.int64]:
    """Voxel counts by value + 32768, without the two commonest padding values."""
    step = max(1, round((volume_hu.size / SAMPLE_VOXELS) ** (1 / volume_hu.ndim)))
    sample = volume_hu[(slice(None, None, step),) * volume_hu.ndim]
    # int32 before the offset, which int16 cannot hold
    counts = np.bincount(sample.ravel().astype(np.int32) + OFFSET, minlength=2 * OFFSET)
    padding = counts[: NO_IMAGE_HU + OFFSET]
    # padding is a view: this changes the counts
    padding[np.argsort(padding)[-2:]] = 0
    return counts.astype(np.int64)


def _share(counts: NDArray[np.int64], low_hu: int, high_hu: int) -> float:
    """Share of the counted voxels from `low_hu` to `high_hu`, both included."""
    return float(counts[low_hu + OFFSET : high_hu + OFFSET + 1].sum() / counts.sum())


def _commonest_share(counts: NDArray[np.int64], low_hu: int, high_hu: int) -> float:
    """Share of the commonest single value: air that was clipped or painted, not measured."""
    return float(counts[low_hu + OFFSET : high_hu + OFFSET + 1].max() / counts.sum())
