"""The image encoder of a model in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fvlm_train.config.encoders import IMAGE_ENCODERS

if TYPE_CHECKING:
    from fvlm_train.config import ModelConfig

TRANSFORMERS = ("vit", "mae")
"""Encoders whose sizes stand in train.model.image; of others only patch and window do."""


def encoder_words(model: ModelConfig) -> str:
    """What turns a window into tokens, with its sizes, the package of another, and its start."""
    if model.organ.features_only:
        return "a linear map of what is measured of each organ's own voxels, no transformer"
    name, image = model.image_encoder, model.image
    told = [f"image encoder `{name}`"]
    if by := IMAGE_ENCODERS.made_by(name):
        told.append(f"of package {by}")
    if name in TRANSFORMERS:
        told.append(
            f"a vision transformer of {image.depth} blocks and width {image.width}, stem "
            f"`{image.stem}`"
        )
    if model.image_encoder_options:
        told.append(f"options `{json.dumps(model.image_encoder_options, sort_keys=True)}`")
    started = model.init_image or model.init_mae or model.init_reference
    told.append("begun from a file of weights" if started else "begun at random")
    patch = " x ".join(map(str, image.patch_zyx))
    return f"{', '.join(told)}, a token for {patch} voxels (z, y, x)"
