"""Image encoders by name, and the options of each of ours (train.model.image_encoder)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fvlm_data.extensions import Extensions
from fvlm_train.config.section import Section

IMAGE_ENCODERS = Extensions(
    "fvlm_train.image_encoders",
    "image encoder",
    {
        "vit": "fvlm_train.model.encoders.own:VIT",
        "mae": "fvlm_train.model.encoders.own:MAE",
        "swin": "fvlm_train.model.encoders.own:SWIN",
        "i3d_resnet": "fvlm_train.model.encoders.own:I3D_RESNET",
    },
    extra="train",
)
"""Each is a `fvlm_train.model.encoders.entry.EncoderEntry`."""


class NoOptions(Section):
    """An encoder whose sizes all stand in train.model.image."""


class MaeOptions(Section):
    """Of `mae`: the transformer of train.model.image, begun from a 2-D one."""

    inflation: Literal["mean", "centre"] = Field(
        default="mean",
        description="Where the 2-D patch layer's weights go along z: 'mean' spreads them evenly, "
        "so that an image that is the same in all slices gives what the 2-D one gave; 'centre' "
        "puts them in the middle slice of the patch.",
    )


class SwinOptions(Section):
    """Of `swin`: defaults are SwinUNETR's, as SuPreM trained it."""

    feature_size: int = Field(default=48, ge=4, description="Features of the first stage.")
    depths: tuple[int, int, int, int] = Field(
        default=(2, 2, 2, 2), description="Blocks of each stage."
    )
    heads: tuple[int, int, int, int] = Field(
        default=(3, 6, 12, 24), description="Attention heads of each stage."
    )
    window: int = Field(default=7, ge=2, description="Attention window, tokens along each axis.")
    stage: int = Field(
        default=3,
        ge=1,
        le=4,
        description="Stage whose output are the tokens: every 4, 8, 16 or 32 voxels, with 2, 4, 8 "
        "or 16 times feature_size features.",
    )

    @property
    def stride(self) -> int:
        """Voxels from one token to the next, along each axis."""
        return int(2 ** (self.stage + 1))

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for number, heads in enumerate(self.heads[: self.stage]):
            if self.feature_size * 2**number % heads:
                raise ValueError(
                    f"stage {number + 1} has {self.feature_size * 2**number} features, which "
                    f"{heads} heads do not divide"
                )
        return self


class ResNetOptions(Section):
    """Of `i3d_resnet`: defaults are the ResNet-152's that Merlin inflated."""

    blocks: tuple[int, int, int, int] = Field(
        default=(3, 8, 36, 3), description="Bottleneck blocks of each layer."
    )
    width: int = Field(
        default=64, ge=2, description="Channels of the first layer; tokens have 32 times as many."
    )
    frozen_norm: bool = Field(
        default=False,
        description="Batch norms keep the statistics that they began with, as small batches "
        "should, if weights were loaded.",
    )
