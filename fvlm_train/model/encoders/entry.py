"""What an image encoder of a name is made of, what it cannot do, and how it takes a file's weights.

Packages add encoders by the entry-point group `fvlm_train.image_encoders`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from torch import Tensor

from fvlm_data.errors import ConfigError
from fvlm_data.run.faults import fault_sentence
from fvlm_train.config.encoders import IMAGE_ENCODERS, NoOptions

if TYPE_CHECKING:
    from fvlm_train.config import ModelConfig, TrainConfig
    from fvlm_train.model.encoders.tokens import SizeZYX, TokenEncoder

    Build = Callable[[ModelConfig, Any], TokenEncoder]
    Cell = Callable[[ModelConfig, Any], SizeZYX]


def _same_names(state: dict[str, Tensor], encoder: Any, options: Any) -> dict[str, Tensor]:
    return state


@dataclass(frozen=True, slots=True)
class EncoderEntry:
    """An image encoder.

    `cell_zyx` tells the voxels from one token to the next before anything is built, `build` makes
    the module. `weights` turns a file's weights, given with the encoder and its options, into the
    encoder's own names; parts that it has no place for are left out.
    `blocks`: a transformer of ours, which train.compute and mask_embedding act on.
    `batch_norm`: whether it takes statistics of a batch, by its options.
    """

    build: Build
    cell_zyx: Cell
    options: type[BaseModel] = NoOptions
    weights: Callable[[dict[str, Tensor], Any, Any], dict[str, Tensor]] = _same_names
    blocks: bool = False
    batch_norm: Callable[[Any], bool] = lambda options: False


def encoder_entry(config: ModelConfig) -> tuple[EncoderEntry, Any]:
    """The encoder that a configuration names, and its options, checked.

    Raises:
        ConfigError: it is not known, cannot be loaded, or an option is not possible.
    """
    entry: EncoderEntry = IMAGE_ENCODERS.load(config.image_encoder)
    try:
        return entry, entry.options.model_validate(config.image_encoder_options)
    except ValidationError as error:
        raise ConfigError(
            fault_sentence(
                error, entry.options, "configuration", "train.model.image_encoder_options"
            )
        ) from error


def build_encoder(config: ModelConfig) -> TokenEncoder:
    """The image encoder of a configuration, with random weights.

    Raises:
        ConfigError: its tokens lie otherwise than the configuration's patches, or it cannot be.
        MissingExtraError: what it is made of is not installed.
    """
    entry, options = encoder_entry(config)
    name = config.image_encoder
    with IMAGE_ENCODERS.named_in_errors(name):
        cell_zyx = entry.cell_zyx(config, options)
        _check_cell(name, cell_zyx, config)
        encoder = entry.build(config, options)
    if tuple(encoder.cell_zyx) != tuple(cell_zyx):
        raise ConfigError(
            f"image encoder {name!r}: announces a token for {tuple(cell_zyx)} voxels and is built "
            f"with one for {tuple(encoder.cell_zyx)}: report it to its makers"
        )
    if encoder.width % config.pooling_heads:
        raise ConfigError(
            f"train.model.image_encoder {name} has {encoder.width} features a token, which "
            f"pooling_heads {config.pooling_heads} does not divide"
        )
    return encoder


def _check_cell(name: str, cell_zyx: SizeZYX, config: ModelConfig) -> None:
    if tuple(cell_zyx) != tuple(config.image.patch_zyx):
        raise ConfigError(
            f"train.model.image_encoder {name} gives a token for each {list(cell_zyx)} voxels (z, "
            f"y, x), but image.patch_zyx, by which masks select tokens, is "
            f"{list(config.image.patch_zyx)}: set it to {list(cell_zyx)}, and window_zyx to a "
            "multiple"
        )


def check_encoder(config: TrainConfig) -> None:
    """Refuse, before any work, what the image encoder of a configuration cannot do.

    Raises:
        ConfigError: names the setting.
    """
    model, name = config.model, config.model.image_encoder
    if model.organ.features_only:
        return
    entry, options = encoder_entry(model)
    _check_cell(name, entry.cell_zyx(model, options), model)
    only_blocks = {
        "compute.compile": config.compute.compile,
        "compute.checkpointing": config.compute.checkpointing,
        "model.organ.mask_embedding": model.organ.mask_embedding,
    }
    for setting in (key for key, on in only_blocks.items() if on and not entry.blocks):
        raise ConfigError(
            f"train.{setting} acts on the blocks of our transformer, which image encoder {name} "
            "has not: set it to false, or model.image_encoder to vit or mae"
        )
    if config.compute.micro_batch is not None and entry.batch_norm(options):
        raise ConfigError(
            f"train.compute.micro_batch splits a batch, of which image encoder {name} takes "
            "statistics as a whole: set micro_batch to null, or its option frozen_norm to true"
        )


def loaded_weights(state: Mapping[str, Tensor], encoder: Any, config: ModelConfig) -> list[str]:
    """Take a file's weights into an image encoder; the names that it has filled.

    Raises:
        ConfigError: weights are missing, not known, or of another shape; names each.
    """
    entry, options = encoder_entry(config)
    name = config.image_encoder
    with IMAGE_ENCODERS.named_in_errors(name):
        found = entry.weights(dict(state), encoder, options)
    own = encoder.state_dict()
    # counts of batches decide nothing, and 2-D networks of long ago lack them
    wanted = [one for one in own if not one.endswith("num_batches_tracked")]
    faults = {
        "lacks": [one for one in wanted if one not in found],
        "holds, unknown to this encoder,": [one for one in found if one not in own],
        "holds in other shapes": [
            f"{one} {tuple(weight.shape)} instead of {tuple(own[one].shape)}"
            for one, weight in found.items()
            if one in own and weight.shape != own[one].shape
        ],
    }
    told = "; ".join(f"{what} {', '.join(names)}" for what, names in faults.items() if names)
    if told:
        raise ConfigError(
            f"train.model.init_image: for image encoder {name} the file {told}: set "
            "image_encoder, its options and model.image to what the weights were trained with"
        )
    # not strict: what may be missing was told above
    encoder.load_state_dict(found, strict=False)
    return sorted(found)
