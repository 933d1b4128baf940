"""The image encoders of this package, as `fvlm_train.config.encoders` lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.errors import ConfigError
from fvlm_train.config.encoders import MaeOptions, ResNetOptions, SwinOptions
from fvlm_train.model.encoders.entry import EncoderEntry
from fvlm_train.model.encoders.i3d_resnet import CELL_ZYX, I3dResNet, resnet_weights
from fvlm_train.model.encoders.inflation import inflated, same_patch_layer
from fvlm_train.model.encoders.swin import SwinEncoder, swin_weights
from fvlm_train.model.vit import ImageEncoder

if TYPE_CHECKING:
    from torch import Tensor

    from fvlm_train.config import ModelConfig
    from fvlm_train.model.vit import SizeZYX


def _vit(config: ModelConfig, options: Any) -> ImageEncoder:
    return ImageEncoder(config.image)


def _patch(config: ModelConfig, options: Any) -> SizeZYX:
    return config.image.patch_zyx


def _vit_weights(
    state: dict[str, Tensor], encoder: ImageEncoder, options: Any
) -> dict[str, Tensor]:
    """Those of a run of ours: bare, or under `image_encoder.` among the whole model's."""
    under = "image_encoder."
    whole = any(name.startswith(under) for name in state)
    return {
        name.removeprefix(under): weight
        for name, weight in state.items()
        if not whole or name.startswith(under)
    }


def _mae_weights(
    state: dict[str, Tensor], encoder: ImageEncoder, options: MaeOptions
) -> dict[str, Tensor]:
    if not same_patch_layer(encoder.state_dict()):
        raise ConfigError("train.model.init_image: a 2-D patch layer needs model.image.stem: patch")
    return inflated(state, encoder, options.inflation)


def _swin(config: ModelConfig, options: SwinOptions) -> SwinEncoder:
    return SwinEncoder(options)


def _resnet(config: ModelConfig, options: ResNetOptions) -> I3dResNet:
    return I3dResNet(options)


VIT = EncoderEntry(_vit, _patch, weights=_vit_weights, blocks=True)
MAE = EncoderEntry(_vit, _patch, MaeOptions, _mae_weights, blocks=True)
SWIN = EncoderEntry(
    _swin,
    lambda config, options: (options.stride,) * 3,
    SwinOptions,
    lambda state, encoder, options: swin_weights(state, encoder),
)
I3D_RESNET = EncoderEntry(
    _resnet,
    lambda config, options: CELL_ZYX,
    ResNetOptions,
    lambda state, encoder, options: resnet_weights(state, encoder),
    batch_norm=lambda options: not options.frozen_norm,
)
