"""What whole samples show of each organ: measured once a sample, whatever window is drawn of it.

A crop cuts or misses organs, and what is measured of the rest says little of the whole. The token
grid begins at the sample's first voxel, so that no window moves it.

Shapes: A anatomy, F features of an organ; arrays are (z, y, x).
"""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from fvlm_train.data.crops import organ_numbers
from fvlm_train.data.windows import end_padded, intensity
from fvlm_train.model.organs import OrganVoxels, measures, organ_voxels

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
    organ, patch_zyx = config.model.organ, config.model.image.patch_zyx
    mapping = intensity(sample.hu_window, config.window_hu)
    label_zyx = end_padded(sample.label_zyx, patch_zyx, 0)
    image_zyx = end_padded(sample.image_zyx, patch_zyx, mapping.air)
    parts = []
    depth = patch_zyx[0]
    for start in range(0, len(label_zyx), depth):  # a large scan need not be there as float32
        part = slice(start, start + depth)
        organs_zyx = organ_numbers(sample, label_zyx[part], config)
        stored_zyx = torch.from_numpy(image_zyx[part].astype(np.float32))
        scaled_zyx = stored_zyx.mul_(mapping.scale).add_(mapping.offset).clamp_(0, 1)
        parts.append(
            organ_voxels(
                scaled_zyx[None],
                torch.from_numpy(organs_zyx)[None],
                len(config.anatomies),
                patch_zyx,
                organ.histogram_windows,
            )
        )
    whole = OrganVoxels(
        torch.cat([part.count_ban for part in parts], dim=2),
        torch.cat([part.sum_banw for part in parts], dim=2),
    )
    measured_af: Array = measures(whole)[0].numpy()
    return measured_af
