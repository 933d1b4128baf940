from __future__ import annotations

import torch
from torch import Tensor

from fvlm_train.model import FVLM


def reference_state(ours: FVLM, seed: int = 1) -> dict[str, Tensor]:
    """Random weights under the names and shapes of the public reference code."""
    torch.manual_seed(seed)
    image, text = ours.config.image, ours.config.text
    width, hidden, projected = image.width, 4 * image.width, ours.config.projection_dim
    z, y, x = image.grid_zyx
    shapes: dict[str, tuple[int, ...]] = {
        "visual_encoder.patch_embedding.patch_embeddings.weight": (width, 1, *image.patch_zyx),
        "visual_encoder.patch_embedding.patch_embeddings.bias": (width,),
        "visual_encoder.patch_embedding.position_embeddings": (1, z * y * x, width),
        "query_tokens": (len(ours.anatomies), width),
        "attention.in_proj_weight": (3 * width, width),
        "attention.in_proj_bias": (3 * width,),
        "attention.out_proj.weight": (width, width),
        "attention.out_proj.bias": (width,),
        "text_proj.weight": (projected, text.width),
        "text_proj.bias": (projected,),
        "temp": (),
        "text_encoder.embeddings.position_ids": (1, text.max_tokens),
        "text_encoder.cls.predictions.bias": (ours.tokenizer.size,),
        "text_encoder.cls.predictions.decoder.weight": (ours.tokenizer.size, text.width),
    }
    for part in ("weight", "bias"):
        shapes[f"visual_encoder.norm.{part}"] = (width,)
    for block in range(image.depth):
        start = f"visual_encoder.blocks.{block}."
        for name, out, into in (
            ("mlp.linear1", hidden, width),
            ("mlp.linear2", width, hidden),
            ("attn.qkv", 3 * width, width),
            ("attn.out_proj", width, width),
        ):
            shapes[f"{start}{name}.weight"] = (out, into)
            shapes[f"{start}{name}.bias"] = (out,)
        for name in ("norm1", "norm2"):
            shapes[f"{start}{name}.weight"] = (width,)
            shapes[f"{start}{name}.bias"] = (width,)
    for number in range(len(ours.anatomies)):
        shapes[f"vision_projs.{number}.weight"] = (projected, width)
        shapes[f"vision_projs.{number}.bias"] = (projected,)
    for name, weight in ours.text_encoder.bert.state_dict().items():
        if "token_type" not in name and "position_ids" not in name:
            shapes[f"text_encoder.{name}"] = tuple(weight.shape)
    return {name: 0.3 * torch.randn(shape) for name, shape in shapes.items()}
