"""A 2-D ViT's weights (MAE, timm's names) drawn out to the 3-D transformer of train.model.image.

Shapes: D width; patches are (z, y, x).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows

from fvlm_data.errors import ConfigError

if TYPE_CHECKING:
    from fvlm_train.model.vit import ImageEncoder, SizeZYX

MEAN_RGB = (0.485, 0.456, 0.406)
DEVIATION_RGB = (0.229, 0.224, 0.225)
"""ImageNet's, by which the 2-D network's images were standardised."""

BLOCK = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.qkv": "attn.qkv",
    "attn.proj": "attn.out_proj",
    "mlp.fc1": "mlp.0",
    "mlp.fc2": "mlp.3",
}
OTHERS = ("cls_token", "mask_token", "decoder_", "head.", "fc_norm.", "pos_embed", "patch_embed.")
"""Of a checkpoint's names those that have no place here, or are drawn out."""


def inflated(
    state: dict[str, Tensor], encoder: ImageEncoder, how: Literal["mean", "centre"]
) -> dict[str, Tensor]:
    """Weights under the encoder's names.

    Blocks and the last norm are taken as they are. The patch layer sees a grey value three times,
    standardised as ImageNet's colours were; both are worked into its weights and bias. Positions
    are resized bilinearly to (y, x) of the grid and repeated along z; the class token has none.

    Raises:
        ConfigError: patch layer or positions are missing, or have no form that is known.
    """
    lacking = [name for name in ("pos_embed", *PATCH_LAYER) if name not in state]
    if lacking:
        raise ConfigError(
            f"train.model.init_image: the file has no weight {', '.join(lacking)}, which a 2-D "
            "transformer (MAE, timm) has"
        )
    found = {"positions": _positions(state["pos_embed"], encoder.grid_zyx)}
    weight_dcyx, bias_d = (state[name] for name in PATCH_LAYER)
    if weight_dcyx.ndim != 4 or weight_dcyx.shape[1] != len(MEAN_RGB):
        raise ConfigError(
            f"train.model.init_image: {PATCH_LAYER[0]} has the shape {tuple(weight_dcyx.shape)}, "
            "expected (width, 3, y, x)"
        )
    found |= _patch_layer(weight_dcyx, bias_d, encoder.patch_zyx, how)
    for name, weight in state.items():
        if not name.startswith(OTHERS):
            found[_ours(name)] = weight
    return found


PATCH_LAYER = ("patch_embed.proj.weight", "patch_embed.proj.bias")


def _ours(name: str) -> str:
    first, _, rest = name.partition(".")
    number, _, inner = rest.partition(".")
    layer, _, part = inner.rpartition(".")
    return f"{first}.{number}.{BLOCK[layer]}.{part}" if layer in BLOCK else name


def _positions(given_1nd: Tensor, grid_zyx: SizeZYX) -> Tensor:
    """(1, 1 + side^2, D) or (1, side^2, D) -> (1, N, D)."""
    side = math.isqrt(given_1nd.shape[1])
    plane = given_1nd[:, given_1nd.shape[1] - side**2 :].transpose(1, 2)
    plane = plane.reshape(1, -1, side, side)
    if grid_zyx[1:] != (side, side):
        plane = F.interpolate(plane, size=grid_zyx[1:], mode="bilinear", align_corners=False)
    repeated = plane[:, :, None].expand(-1, -1, grid_zyx[0], -1, -1)
    return repeated.flatten(2).transpose(1, 2).contiguous()


def _patch_layer(
    weight_dcyx: Tensor, bias_d: Tensor, patch_zyx: SizeZYX, how: Literal["mean", "centre"]
) -> dict[str, Tensor]:
    depth, height, width = patch_zyx
    mean_c, deviation_c = weight_dcyx.new_tensor(MEAN_RGB), weight_dcyx.new_tensor(DEVIATION_RGB)
    scaled_dcyx = weight_dcyx / deviation_c[:, None, None]
    shift_d = (scaled_dcyx.sum(dim=(2, 3)) * mean_c).sum(dim=1)
    grey_dyx = scaled_dcyx.sum(dim=1)
    if grey_dyx.shape[1:] != (height, width):
        area = grey_dyx.shape[1] * grey_dyx.shape[2] / (height * width)
        resized = F.interpolate(grey_dyx[:, None], (height, width), mode="bilinear")
        # so that an even patch gives the same
        grey_dyx = resized[:, 0] * area
    drawn_dzyx = grey_dyx.new_zeros(len(grey_dyx), *patch_zyx)
    if how == "mean":
        drawn_dzyx[:] = grey_dyx[:, None] / depth
    else:
        drawn_dzyx[:, depth // 2] = grey_dyx
    return {"embedding.weight": drawn_dzyx[:, None], "embedding.bias": bias_d - shift_d}


def same_patch_layer(own: dict[str, Tensor]) -> bool:
    """Whether an encoder has the patch layer that can be drawn out (model.image.stem: patch)."""
    weight = own.get("embedding.weight")
    return isinstance(weight, torch.Tensor) and weight.ndim == 5
