"""Section `shard`: how volumes become training samples, and samples shards."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fvlm_data.vocabulary.files import built_in_classes

State = Literal["abnormal", "normal_stated", "not_mentioned"]
PositiveMm = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Hu = Annotated[int, Field(ge=-32768, le=32767)]


def _trained() -> tuple[str, ...]:
    """The anatomies of the built-in vocabulary that samples keep."""
    return built_in_classes().trained


class ShardConfig(BaseModel):
    """Preprocessing of a sample and layout of a shard; the whole section enters item keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    anatomies: tuple[str, ...] = Field(
        default_factory=_trained,
        min_length=1,
        max_length=254,
        description="anatomies kept; the label value of each is 1 + its place in this list; "
        "`trained` stands for the default",
    )
    spacing_mm: tuple[PositiveMm, PositiveMm, PositiveMm] = Field(
        default=(1.0, 1.0, 3.0),
        description="distance of voxel centres along x, y, z, in mm, in that order",
    )
    grid: Literal["exact", "reference"] = Field(
        default="exact",
        description="exact: spacing_mm exactly, image and label at the same points; reference: "
        "as the public recipe resizes (number of voxels floored, spacing stretched to fill the "
        "scan, label taken at a voxel's corner), for use with its weights",
    )
    antialias: bool = Field(
        default=False,
        description="average over the target voxel along axes whose spacing grows, in place of "
        "interpolating between the nearest two voxels: less noise, no aliasing, a softer image",
    )
    margin_slices: int = Field(
        default=5,
        ge=0,
        description="slices kept below and above the anatomies' box, in voxels of spacing_mm",
    )
    margin_pixels: int = Field(
        default=20,
        ge=0,
        description="pixels kept on each side of the box along y and x, in voxels of spacing_mm",
    )
    dtype: Literal["int16", "uint8"] = Field(
        default="int16",
        description="stored image: int16 holds HU rounded to 1 HU; uint8 holds 0 to 255 over "
        "hu_window, off by at most half a step of (high - low) / 255 HU",
    )
    hu_window: tuple[Hu, Hu] = Field(
        default=(-1150, 350), description="intensities are clipped to [low, high], in HU"
    )
    faces: Literal["remove", "refuse", "keep"] = Field(
        default="remove",
        description="the part of a volume that shows a head: remove makes the mask's class face "
        "air and refuses where there is none, refuse sets the sample aside, keep does nothing",
    )
    keep_states: tuple[State, ...] = Field(
        default=("abnormal", "normal_stated", "not_mentioned"),
        min_length=1,
        description="anatomies whose state is another are left out of a sample's texts",
    )
    samples_per_shard: int = Field(
        default=64, ge=1, le=4096, description="greatest number of samples in a shard"
    )
    slab_z: int = Field(
        default=4, ge=1, le=256, description="slices of a chunk, the least that a crop reads"
    )
    objects_per_array: int = Field(
        default=8,
        ge=1,
        le=256,
        description="greatest number of data objects of an array; writing holds one in memory",
    )
    compressor: Literal["none", "lz4", "lz4hc", "zstd"] = Field(
        default="lz4hc",
        description="compressor of the image, within blosc; zstd is smaller than lz4hc and slower "
        "to read, none is read faster from a warm page cache and takes twice the disk",
    )
    compression_level: int = Field(default=5, ge=1, le=9, description="effort of the compressor")

    @field_validator("anatomies", mode="before")
    @classmethod
    def _named_list(cls, value: Any) -> Any:
        return _trained() if value == "trained" else value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.hu_window[0] >= self.hu_window[1]:
            message = f"hu_window {list(self.hu_window)} is empty: give [low, high] in HU"
            raise ValueError(message)
        if len(set(self.anatomies)) != len(self.anatomies):
            message = "anatomies holds a name twice"
            raise ValueError(message)
        return self

    @property
    def label_values(self) -> dict[str, int]:
        """Value of each anatomy in label maps."""
        return {anatomy: 1 + place for place, anatomy in enumerate(self.anatomies)}
