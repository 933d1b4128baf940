"""Other projects' weights under our names: the public reference code, and ImageNet MAE.

Names and shapes were read off the public checkpoints' code (alibaba-damo-academy/fvlm; MAE).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows

from fvlm_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PLAIN = {
    "visual_encoder.patch_embedding.patch_embeddings.weight": "image_encoder.embedding.weight",
    "visual_encoder.patch_embedding.patch_embeddings.bias": "image_encoder.embedding.bias",
    "visual_encoder.patch_embedding.position_embeddings": "image_encoder.positions",
    "visual_encoder.norm.weight": "image_encoder.norm.weight",
    "visual_encoder.norm.bias": "image_encoder.norm.bias",
    "query_tokens": "pooling.queries",
    "attention.in_proj_weight": "pooling.attention.in_proj_weight",
    "attention.in_proj_bias": "pooling.attention.in_proj_bias",
    "attention.out_proj.weight": "pooling.attention.out_proj.weight",
    "attention.out_proj.bias": "pooling.attention.out_proj.bias",
    "text_proj.weight": "text_projection.weight",
    "text_proj.bias": "text_projection.bias",
    "temp": "temperature",
}

_REFERENCE_BLOCK = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.qkv": "attn.qkv",
    "attn.out_proj": "attn.out_proj",
    "mlp.linear1": "mlp.0",
    "mlp.linear2": "mlp.3",
}

_MAE_BLOCK = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.qkv": "attn.qkv",
    "attn.proj": "attn.out_proj",
    "mlp.fc1": "mlp.0",
    "mlp.fc2": "mlp.3",
}

UNDER = ("model", "state_dict", "net")
"""Where checkpoints of other projects keep their weights, beside optimisers and counts."""

MAE_GRID = 14
"""Patches along each side of a 224 x 224 image, 16 x 16 pixels each."""


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dictionary of a file, bare or under a name of UNDER; runs no code of it.

    Files of safetensors are told by their ending.

    Raises:
        ConfigError: the file cannot be read as weights.
    """
    state = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
    # the prefix that DistributedDataParallel puts before names
    return {
        name.removeprefix("module."): value
        for name, value in state.items()
        # counts and names stand beside them in some checkpoints
        if isinstance(value, Tensor)
    }


def _safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"checkpoint {path}: cannot be read as weights ({type(error).__name__})"
        ) from error


def _pickled(path: Path) -> dict[str, Any]:
    try:
        # weights_only: a pickle from elsewhere could run code
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise ConfigError(
            f"checkpoint {path}: cannot be read as weights ({type(error).__name__})"
        ) from error
    except Exception as error:  # pickle's refusals have no common root
        raise ConfigError(
            f"checkpoint {path}: holds more than weights ({type(error).__name__}), expected tensors"
        ) from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"checkpoint {path}: expected a dictionary of weights")
    inner = (loaded[name] for name in UNDER if isinstance(loaded.get(name), dict))
    return next(inner, loaded)


def from_reference(
    state_dict: Mapping[str, Tensor], anatomies: int, depth: int
) -> tuple[dict[str, Tensor], list[str]]:
    """Reference weights under our names, and the reference's keys that have no place here.

    Those are buffers of position ids and the decoder of its masked-language head.
    """
    names = dict(_PLAIN)
    for block in range(depth):
        for theirs, ours in _REFERENCE_BLOCK.items():
            for part in ("weight", "bias"):
                source = f"visual_encoder.blocks.{block}.{theirs}.{part}"
                names[source] = f"image_encoder.blocks.{block}.{ours}.{part}"
    mapped = {ours: state_dict[theirs] for theirs, ours in names.items() if theirs in state_dict}
    used = set(names)
    for theirs, weight in state_dict.items():
        if _is_bert_weight(theirs):
            mapped["text_encoder.bert." + theirs.removeprefix("text_encoder.")] = weight
            used.add(theirs)
    for part in ("weight", "bias"):
        keys = [f"vision_projs.{anatomy}.{part}" for anatomy in range(anatomies)]
        if all(key in state_dict for key in keys):
            if len({state_dict[key].shape for key in keys}) > 1:
                raise ConfigError(
                    f"The reference checkpoint's {keys[0]} and others differ in shape."
                )
            mapped[f"pooling.projection_{part}"] = torch.stack([state_dict[k] for k in keys])
            used.update(keys)
    return mapped, sorted(set(state_dict) - used)


def from_mae(
    state_dict: Mapping[str, Tensor], grid_zyx: tuple[int, int, int], depth: int
) -> dict[str, Tensor]:
    """MAE weights under our names.

    Positions (1, 197, D): the class token's is dropped, the 14 x 14 rest is resized bilinearly
    to (y, x) of `grid_zyx` and repeated along z, as the public code does.

    Raises:
        ConfigError: a weight is missing.
    """
    names = {f"norm.{part}": f"image_encoder.norm.{part}" for part in ("weight", "bias")}
    for block in range(depth):
        for theirs, ours in _MAE_BLOCK.items():
            for part in ("weight", "bias"):
                names[f"blocks.{block}.{theirs}.{part}"] = (
                    f"image_encoder.blocks.{block}.{ours}.{part}"
                )
    missing = [name for name in (*names, "pos_embed") if name not in state_dict]
    if missing:
        raise ConfigError(f"The MAE checkpoint has no weight {missing[0]}.")
    mapped = {ours: state_dict[theirs] for theirs, ours in names.items()}
    plane = state_dict["pos_embed"][:, 1:].transpose(1, 2).reshape(1, -1, MAE_GRID, MAE_GRID)
    resized = F.interpolate(plane, size=grid_zyx[1:], mode="bilinear", align_corners=False)
    repeated = resized[:, :, None].expand(-1, -1, grid_zyx[0], -1, -1)
    mapped["image_encoder.positions"] = repeated.flatten(2).transpose(1, 2).contiguous()
    return mapped


def _is_bert_weight(name: str) -> bool:
    body = name.removeprefix("text_encoder.")
    kept = body.startswith(("embeddings.", "encoder.")) and "crossattention" not in body
    return name != body and kept and not body.endswith("position_ids")
