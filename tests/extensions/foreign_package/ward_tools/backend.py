"""Backend `air`: lungs by one threshold, for images in which nothing else holds air."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from fvlm_data.segment.backend import BackendEntry, Segmentation

if TYPE_CHECKING:
    from fvlm_data.segment.backend import VolumeImage
    from fvlm_data.segment.config import SegmentConfig

OUTSIDE_HU = -950


class AirOptions(BaseModel):
    """`segment.options` of this backend."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    below_hu: int = Field(default=-500, description="density below which a voxel is lung, HU")


@dataclass(frozen=True, slots=True)
class Air:
    below_hu: int
    name: str = "air"
    version: str = "3"

    def __call__(self, volume: VolumeImage) -> Segmentation:
        index = np.indices(volume.image_hu.shape).reshape(3, -1)
        x_mm = (volume.affine_ras[:3, :3] @ index + volume.affine_ras[:3, 3:])[0]
        left = (x_mm < np.median(x_mm)).reshape(volume.image_hu.shape)
        lung = (volume.image_hu < self.below_hu) & (volume.image_hu > OUTSIDE_HU)
        body = volume.image_hu >= self.below_hu
        labels = np.where(lung, np.where(left, 2, 3), np.where(body, 1, 0)).astype(np.uint8)
        classes = {1: "body", 2: "lung_left", 3: "lung_right"}
        return Segmentation(labels, classes, "threshold")


def make(config: SegmentConfig, options: AirOptions) -> Air:
    return Air(options.below_hu)


AIR = BackendEntry(make=make, options=AirOptions)
