"""Whether voxels can be HU of a CT: forgotten and repeated rescaling, label maps, derived maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault

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
    below = _share(counts, -OFFSET, BELOW_AIR_HU)
    found = (
        f"values run from {int(volume_hu.min())} to {int(volume_hu.max())}; {tissue:.1%} within "
        f"{TISSUE_HU[0]} to {TISSUE_HU[1]} HU (expected at least {TISSUE_LEAST:.1%}), {light:.1%} "
        f"lighter than water (expected at least {LIGHT_LEAST:.1%}), {below:.1%} below "
        f"{BELOW_AIR_HU} HU (expected at most {BELOW_AIR_MOST:.0%}), {dense:.1%} within "
        f"{DENSE_HU[0]} to {DENSE_HU[1]} HU (expected at most {DENSE_MOST:.0%})"
    )
    if below > BELOW_AIR_MOST:
        return Fault("rescaling_repeated", f"{found}: the intercept seems applied twice; check it")
    if dense > DENSE_MOST or (light < LIGHT_LEAST and dense > tissue):
        return Fault(
            "rescaling_forgotten", f"{found}: slope and intercept seem not applied; check them"
        )
    if tissue < TISSUE_LEAST or light < LIGHT_LEAST:
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
