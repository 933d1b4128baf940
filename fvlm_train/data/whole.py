"""What whole samples show of each organ: measured once a sample, whatever window is drawn of it.

A crop cuts or misses organs, and what is measured of the rest says little of the whole. The token
grid begins at the sample's first voxel, so that no window moves it.

Shapes: A anatomy, F features of an organ, M voxels of organs, P pairs of anatomy and token, U those
that have a voxel, L stored values, W intensity windows; arrays are (z, y, x).
"""

from __future__ import annotations

import math
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from fvlm_train.data.crops import organ_numbers
from fvlm_train.data.windows import end_padded, intensity
from fvlm_train.model.organs import OrganVoxels, measures

if TYPE_CHECKING:
    from fvlm_data.shards import Sample
    from fvlm_train.config import TrainConfig
    from fvlm_train.data.windows import Array, SampleSource


class Whole(NamedTuple):
    """What is kept of a whole sample: `measured` of it, and the sample without its voxels."""

    measured_af: Array
    sample: Sample


class WholeOrgans:
    """Measures of the samples of a source, each read whole when first asked for, then kept.

    Some kilobytes a sample: 4 bytes x (2 + 4 windows) x anatomies. It may be used in threads.
    """

    def __init__(self, source: SampleSource, config: TrainConfig) -> None:
        """Nothing is read yet."""
        self._source = source
        self._config = config
        self._known: dict[int, Whole] = {}
        self._lock = Lock()

    def of(self, index: int) -> Whole:
        """What is kept of sample `index`.

        Raises:
            StoreError: the sample cannot be read.
        """
        found = self._known.get(index)
        if found is None:
            sample = self._source.read(index)
            nothing = np.zeros((0, 0, 0), np.uint8)
            bare = replace(sample, image_zyx=nothing, label_zyx=nothing)
            found = Whole(measured(sample, self._config), bare)
            with self._lock:
                self._known[index] = found
        return found


def measured(sample: Sample, config: TrainConfig) -> Array:
    """Features (A, F; float32) of the trained anatomies of a whole sample, as `measures` has them.

    NaN for an anatomy that the sample does not show.
    """
    patch_zyx, windows = config.model.image.patch_zyx, config.model.organ.histogram_windows
    anatomies = len(config.anatomies)
    organs_zyx = organ_numbers(sample, end_padded(sample.label_zyx, patch_zyx, 0), config)
    grid_zyx = [size // patch for size, patch in zip(organs_zyx.shape, patch_zyx, strict=True)]
    at_m3 = np.nonzero(organs_zyx)
    token_m = np.ravel_multi_index(
        [axis_m // patch for axis_m, patch in zip(at_m3, patch_zyx, strict=True)], grid_zyx
    )
    tokens = math.prod(grid_zyx)
    pair_m = (organs_zyx[at_m3].astype(np.int64) - 1) * tokens + token_m
    count_p = np.bincount(pair_m, minlength=anatomies * tokens)
    sum_pw = np.zeros((anatomies * tokens, windows))
    if windows:
        # padding is of no organ
        sum_pw[count_p > 0] = _window_sums(sample, config, sample.image_zyx[at_m3], pair_m, count_p)
    voxels = OrganVoxels(
        torch.from_numpy(count_p.reshape(1, anatomies, tokens)).float(),
        torch.from_numpy(sum_pw.reshape(1, anatomies, tokens, windows)).float(),
    )
    measured_af: Array = measures(voxels)[0].numpy()
    return measured_af


def _window_sums(
    sample: Sample, config: TrainConfig, stored_m: Array, pair_m: Array, count_p: Array
) -> Array:
    """Sum of each intensity window (U, W) over the voxels of each pair that has any.

    By histograms of the stored values, which are whole numbers: exact, whatever the threads.
    """
    mapping, windows = (
        intensity(sample.hu_window, config.window_hu),
        config.model.organ.histogram_windows,
    )
    # beyond these, values are cut to [0, 1] anyway
    low = math.floor(-mapping.offset / mapping.scale)
    high = math.ceil((1 - mapping.offset) / mapping.scale)
    level_m = np.clip(stored_m.astype(np.int64), low, high) - low
    levels = high - low + 1
    place_p = np.cumsum(count_p > 0) - 1
    pairs = int((count_p > 0).sum())
    count_ul = np.bincount(place_p[pair_m] * levels + level_m, minlength=pairs * levels)
    value_l = np.clip(np.arange(low, high + 1) * mapping.scale + mapping.offset, 0, 1)
    seen_lw = np.clip((value_l[:, None] - (np.arange(windows) + 0.5) / windows) * windows, -1, 1)
    sum_uw: Array = count_ul.reshape(pairs, levels) @ seen_lw
    return sum_uw
