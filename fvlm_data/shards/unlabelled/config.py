"""Section `unlabelled`: samples of volumes that have no reports or no masks."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fvlm_data.settings import DECIDES_NOTHING
from fvlm_data.shards.config import Hu, PositiveMm, ShardConfig

BODY = "body"
"""What the label array of these shards marks."""


LAYOUT = ("samples_per_shard", "slab_z", "objects_per_array", "compressor", "compression_level")
"""Keys of section `shard` that hold for these shards too."""


class UnlabelledConfig(BaseModel):
    """Preprocessing of unlabelled samples; their shards are laid out as `shard` says."""

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

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.packed(ShardConfig())  # the checks of section `shard` hold here too
        return self

    def packed(self, layout: ShardConfig) -> ShardConfig:
        """The same as settings of the functions that make and write samples.

        `layout` is section `shard`: how many samples a shard holds and how they are packed is the
        same for both.
        """
        own = {"volumes", "body_above_hu"}
        of_layout = {name: getattr(layout, name) for name in LAYOUT}
        return ShardConfig(anatomies=(BODY,), **of_layout, **self.model_dump(exclude=own))
