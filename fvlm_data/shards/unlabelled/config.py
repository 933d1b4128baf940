"""Section `unlabelled`: samples of volumes that have no reports or no masks."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fvlm_data.settings import DECIDES_NOTHING
from fvlm_data.shards.config import Hu, PositiveMm, ShardConfig

BODY = "body"
"""What the label array of these shards marks."""


class UnlabelledConfig(BaseModel):
    """Preprocessing of unlabelled samples, and layout of their shards, as in section `shard`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    volumes: Literal["without_labels", "all"] = Field(
        default="without_labels",
        description="without_labels: volumes that have no mask, or whose study has no text; all: "
        "also those that section `shard` makes samples of",
        json_schema_extra=DECIDES_NOTHING,
    )
    spacing_mm: tuple[PositiveMm, PositiveMm, PositiveMm] = Field(
        default=(1.0, 1.0, 3.0),
        description="distance of voxel centres along x, y, z, in mm, in that order",
    )
    antialias: bool = Field(
        default=False,
        description="average over the target voxel along axes whose spacing grows",
    )
    body_above_hu: Hu | None = Field(
        default=-500,
        description="voxels above it, in the largest connected part, are the body, which samples "
        "are cropped to and labels mark, HU; null: the whole volume",
    )
    margin_slices: int = Field(
        default=0, ge=0, description="slices kept below and above the body, in voxels of spacing_mm"
    )
    margin_pixels: int = Field(
        default=4,
        ge=0,
        description="pixels kept on each side of the body along y and x, in voxels of spacing_mm",
    )
    dtype: Literal["int16", "uint8"] = Field(
        default="int16", description="stored image, as shard.dtype"
    )
    hu_window: tuple[Hu, Hu] = Field(
        default=(-1150, 350), description="intensities are clipped to [low, high], in HU"
    )
    faces: Literal["remove", "refuse", "keep"] = Field(
        default="remove",
        description="as shard.faces: without a mask only the header tells of a head, and such a "
        "volume is set aside",
    )
    samples_per_shard: int = Field(
        default=64, ge=1, le=4096, description="greatest number of samples in a shard"
    )
    slab_z: int = Field(
        default=4, ge=1, le=256, description="slices of a chunk, the least that a crop reads"
    )
    objects_per_array: int = Field(
        default=8, ge=1, le=256, description="greatest number of data objects of an array"
    )
    compressor: Literal["none", "lz4", "lz4hc", "zstd"] = Field(
        default="lz4hc", description="compressor of the image, as shard.compressor"
    )
    compression_level: int = Field(default=5, ge=1, le=9, description="effort of the compressor")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.packed  # noqa: B018 - the checks of section `shard` hold here too
        return self

    @property
    def packed(self) -> ShardConfig:
        """The same as settings of the functions that make and write samples."""
        own = {"volumes", "body_above_hu"}
        return ShardConfig(anatomies=(BODY,), **self.model_dump(exclude=own))
