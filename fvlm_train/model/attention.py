"""Attention with dropout on a CPU, where torch's fused kernel takes none.

torch's way out holds five matrices of tokens by tokens for each head and walks through them a dozen
times. Here one head of one sample is worked at a time, in memory that stays in a CPU's cache, and
one such matrix is kept for the gradient: the weights, negative where they were dropped.

Shapes: B batch, H heads, N tokens, E features of a head, M heads of all samples (B x H).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows

LEAST_TOKENS = 256
"""Below, all heads at once fit the cache, and calling torch head by head takes longer."""

LEAST_SIZE = 16
"""Of a head: narrower products of matrices are rounded otherwise than torch's of all heads."""


def attention(q_bhne: Tensor, k_bhne: Tensor, v_bhne: Tensor, dropout: float) -> Tensor:
    """Softmax of q k / sqrt(E), each weight dropped with probability `dropout`, times v: (B,H,N,E).

    Whichever way is taken, the same weights are dropped for the same state of torch's generator,
    and outputs and gradients are those of `scaled_dot_product_attention`.
    """
    by_head = (
        0 < dropout < 1
        and q_bhne.shape[2] >= LEAST_TOKENS
        and q_bhne.shape[3] >= LEAST_SIZE
        and q_bhne.device.type == "cpu"
        and q_bhne.dtype == torch.float32
        and not torch.compiler.is_compiling()
    )
    if by_head:
        mixed: Tensor = _ByHead.apply(q_bhne, k_bhne, v_bhne, dropout)  # type: ignore[no-untyped-call]
        return mixed
    return F.scaled_dot_product_attention(q_bhne, k_bhne, v_bhne, dropout_p=dropout)


class _ByHead(torch.autograd.Function):
    """A head of a sample at a time; operations and their order are torch's, hence its numbers."""

    @staticmethod
    def forward(ctx: Any, q_bhne: Tensor, k_bhne: Tensor, v_bhne: Tensor, dropout: float) -> Tensor:
        batch, heads, tokens, size = q_bhne.shape
        # half of the scale on either side
        scale = size**-0.25
        q_mne, k_mne, v_mne = (one.reshape(-1, tokens, size) for one in (q_bhne, k_bhne, v_bhne))
        q_mne, k_mne = q_mne * scale, k_mne * scale
        # 1 where a weight is kept, else 0, drawn for all heads at once; weights take its place
        weights_mnn = q_mne.new_empty(batch * heads, tokens, tokens).bernoulli_(1 - dropout)
        mixed_mne = torch.empty_like(q_mne)
        one_nn, other_nn = q_mne.new_empty(2, tokens, tokens)
        rescale = 1 / q_mne.new_tensor(1 - dropout)
        for head, weights_nn in enumerate(weights_mnn):
            torch.mm(q_mne[head], k_mne[head].T, out=one_nn)
            torch.softmax(one_nn, dim=1, out=other_nn)
            weights_nn.mul_(2).sub_(1).mul_(other_nn)
            torch.clamp(weights_nn, min=0, out=one_nn).mul_(rescale)
            torch.mm(one_nn, v_mne[head], out=mixed_mne[head])
        ctx.save_for_backward(q_mne, k_mne, v_mne, weights_mnn, rescale)
        ctx.scale, ctx.shape = scale, q_bhne.shape
        return mixed_mne.reshape(q_bhne.shape)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q_mne, k_mne, v_mne, weights_mnn, rescale = ctx.saved_tensors
        of_mixed = gradients[0].reshape(q_mne.shape)
        of_q, of_v = torch.empty_like(q_mne), torch.empty_like(v_mne)
        of_k = torch.empty_like(k_mne.transpose(1, 2).contiguous())
        one_nn, other_nn = q_mne.new_empty(2, *weights_mnn.shape[1:])
        for head, weights_nn in enumerate(weights_mnn):
            torch.clamp(weights_nn, min=0, out=one_nn).mul_(rescale)
            torch.mm(one_nn.T, of_mixed[head], out=of_v[head])
            torch.mm(of_mixed[head], v_mne[head].T, out=one_nn)
            # 0 where the weight was dropped; one that is 0 anyhow moves nothing
            torch.ops.aten.threshold_backward(one_nn, weights_nn, 0, grad_input=other_nn)
            other_nn.mul_(rescale)
            torch.abs(weights_nn, out=one_nn)
            torch.ops.aten._softmax_backward_data(
                other_nn, one_nn, 1, torch.float32, grad_input=other_nn
            )
            torch.mm(other_nn, k_mne[head], out=of_q[head])
            torch.mm(q_mne[head].T, other_nn, out=of_k[head])
        of_q.mul_(ctx.scale)
        of_k.mul_(ctx.scale)
        shaped = (one.reshape(ctx.shape) for one in (of_q, of_k.transpose(1, 2), of_v))
        return (*shaped, None)  # type: ignore[return-value]
