"""The same model and loss written straight down, for bench/train.py: loops and eager attention.

It computes with the weights of an `FVLM`: a convolution embeds patches, attention is two matrix
products with a softmax and a dropout between, every anatomy of every sample is pooled by a call of
its own over its own tokens, and every anatomy's texts go through BERT apart, as in public code.

Shapes: B batch, A anatomy, N tokens, D width, H heads, E features of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows

from fvlm_train.model import FVLM
from fvlm_train.model.pooling import AnatomyPooling
from fvlm_train.model.vit import Block, ImageEncoder, PatchEmbedding

if TYPE_CHECKING:
    from fvlm_train.training.loss import Term


def plain_loss(
    model: FVLM,
    image_bzyx: Tensor,
    tokens_ban: Tensor,
    texts: Sequence[Sequence[str]],
    terms: Sequence[Term],
) -> Tensor:
    """Sum over the anatomies that contribute; `texts` are those of each sample, by anatomy."""
    levels = _levels(model, image_bzyx)
    total = torch.zeros(())
    for term in terms:
        members = term.members_m.tolist()
        image_me = torch.stack(
            [_pooled(model, levels, tokens_ban, sample, term.anatomy) for sample in members]
        )
        ids, mask = model.tokenizer.encode([texts[sample][term.anatomy] for sample in members])
        encoded = model.text_projection(model.text_encoder(ids, mask))
        text_me = F.normalize(encoded, dim=-1)
        logits_mm = image_me @ text_me.T / model.temperature
        for one_mm, target_mm in (
            (logits_mm, term.target_mm),
            (logits_mm.T, term.text_target_mm),
        ):
            total = total - (target_mm * one_mm.log_softmax(dim=1)).sum(dim=1).mean() / 2
    return total


def _levels(model: FVLM, image_bzyx: Tensor) -> list[Tensor]:
    """Outputs (B, N, D) of the chosen blocks, then the final norm."""
    encoder = model.image_encoder
    assert isinstance(encoder, ImageEncoder)
    stem = encoder.embedding
    assert isinstance(stem, PatchEmbedding)
    image = F.conv3d(image_bzyx[:, None], stem.weight, stem.bias, stride=stem.patch_zyx)
    x_bnd = encoder.dropout(image.flatten(2).transpose(1, 2) + encoder.positions)
    levels = []
    for number, block in enumerate(encoder.blocks):
        assert isinstance(block, Block)
        x_bnd = x_bnd + _attended(block, block.norm1(x_bnd))
        x_bnd = x_bnd + block.mlp(block.norm2(x_bnd))
        if number in encoder.level_blocks:
            levels.append(x_bnd)
    return [*levels, encoder.norm(x_bnd)]


def _attended(block: Block, x_bnd: Tensor) -> Tensor:
    attn = block.attn
    batch, tokens, width = x_bnd.shape
    size = width // attn.heads
    q_bhne, k_bhne, v_bhne = (
        part.reshape(batch, tokens, attn.heads, size).transpose(1, 2)
        for part in attn.qkv(x_bnd).chunk(3, dim=-1)
    )
    weights_bhnn = (q_bhne @ k_bhne.transpose(2, 3) * size**-0.5).softmax(dim=-1)
    weights_bhnn = F.dropout(weights_bhnn, attn.weight_dropout, attn.training)
    mixed = (weights_bhnn @ v_bhne).transpose(1, 2).reshape(batch, tokens, width)
    return F.dropout(attn.out_proj(mixed), attn.dropout, attn.training)


def _pooled(
    model: FVLM, levels: Sequence[Tensor], tokens_ban: Tensor, sample: int, anatomy: int
) -> Tensor:
    """Unit vector of one anatomy of one sample, over its own tokens."""
    pooling = model.pooling
    assert isinstance(pooling, AnatomyPooling)
    keys = torch.cat([level[sample][tokens_ban[sample, anatomy]] for level in levels])[None]
    pooled, _ = pooling.attention(pooling.queries[None, anatomy : anatomy + 1], keys, keys)
    weight, bias = pooling.projection_weight[anatomy], pooling.projection_bias[anatomy]
    return F.normalize(F.linear(pooled[0, 0], weight, bias), dim=-1)
