"""Anatomy pooling: one feature for each anatomy from the tokens that its mask touches.

Shapes: B batch, A anatomy, L levels, N tokens, K keys (L x N), D width, E projected features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows

LEAST_COVER = 1e-6
"""Share of a token that stands for none, where an absent anatomy attends to everything."""


class OrganProjection(nn.Module):
    """A linear map per anatomy of its features, where there are no tokens."""

    def __init__(self, anatomies: int, features: int, projected: int) -> None:
        """`features` come in and `projected` go out, for an anatomy."""
        super().__init__()
        self.projection_weight = nn.Parameter(torch.empty(anatomies, projected, features))
        self.projection_bias = nn.Parameter(torch.empty(anatomies, projected))
        bound = features**-0.5
        nn.init.uniform_(self.projection_weight, -bound, bound)
        nn.init.uniform_(self.projection_bias, -bound, bound)

    def forward(self, joined_baj: Tensor, measured_ba: Tensor) -> Tensor:
        """Features (B, A, J) -> unit vectors (B, A, E); zeros for an anatomy not measured."""
        features_bae = _projected(joined_baj, self.projection_weight, self.projection_bias)
        return features_bae * measured_ba[..., None]


class AnatomyPooling(nn.Module):
    """A learned query and a linear map per anatomy; one attention without norm or residual."""

    def __init__(
        self,
        anatomies: int,
        width: int,
        heads: int,
        projected: int,
        dropout: float,
        joined: int = 0,
    ) -> None:
        """Queries start at 0: the first step averages the anatomy's tokens.

        `joined` features of the organ follow the pooled ones into the linear map.
        """
        super().__init__()
        self.heads = heads
        self.queries = nn.Parameter(torch.zeros(anatomies, width))
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.projection_weight = nn.Parameter(torch.empty(anatomies, projected, width + joined))
        self.projection_bias = nn.Parameter(torch.empty(anatomies, projected))
        bound = (width + joined) ** -0.5
        nn.init.uniform_(self.projection_weight, -bound, bound)
        nn.init.uniform_(self.projection_bias, -bound, bound)

    def forward(
        self,
        levels_blnd: Tensor,
        tokens_ban: Tensor,
        cover_ban: Tensor | None = None,
        joined_baj: Tensor | None = None,
        measured_ba: Tensor | None = None,
    ) -> Tensor:
        """Features (B, L, N, D) and token masks (B, A, N) -> unit vectors (B, A, E).

        An anatomy without a token gives zeros, unless it is among those that were measured
        (`measured_ba`, bool). `cover_ban` is the share of each token that is the anatomy: attention
        then weighs tokens by it; `joined_baj` are features of the organ.
        """
        present_ba1 = tokens_ban.any(dim=2, keepdim=True)
        pooled_bad, _ = self._attended(levels_blnd, tokens_ban, cover_ban, weights=False)
        if joined_baj is not None:
            seen_bad = pooled_bad * present_ba1  # without a token it is of the whole window
            pooled_bad = torch.cat([seen_bad, joined_baj.to(pooled_bad.dtype)], dim=-1)
        if measured_ba is not None:
            present_ba1 = present_ba1 | measured_ba[..., None]
        features_bae = _projected(pooled_bad, self.projection_weight, self.projection_bias)
        return features_bae * present_ba1

    def token_weights(
        self, levels_blnd: Tensor, tokens_ban: Tensor, cover_ban: Tensor | None = None
    ) -> Tensor:
        """Share (B, A, N) of each token in its anatomy's pooled output, over all levels and heads.

        Shares of an anatomy sum to 1 in evaluation mode, to 0 where it has no token.
        """
        batch, levels, tokens, _ = levels_blnd.shape
        _, weights_bak = self._attended(levels_blnd, tokens_ban, cover_ban, weights=True)
        weights_baln = weights_bak.reshape(batch, -1, levels, tokens)
        present_ba1 = tokens_ban.any(dim=2, keepdim=True)
        return weights_baln.sum(dim=2) * present_ba1

    def _attended(
        self,
        levels_blnd: Tensor,
        tokens_ban: Tensor,
        cover_ban: Tensor | None,
        *,
        weights: bool,
    ) -> tuple[Tensor, Tensor]:
        """Pooled tokens (B, A, D) and, if asked for, mean weights (B, A, K) of the heads."""
        batch, levels, tokens, width = levels_blnd.shape
        anatomies = tokens_ban.shape[1]
        keys_bkd = levels_blnd.reshape(batch, levels * tokens, width)
        present_ba1 = tokens_ban.any(dim=2, keepdim=True)
        # softmax over no keys is NaN, and so is its gradient, which multiplying by 0 does not
        # undo: an absent anatomy attends to everything, and its feature is zeroed at the end
        closed_bak = ~(tokens_ban | ~present_ba1).repeat(1, 1, levels)
        attended: tuple[Tensor, Tensor] = self.attention(
            self.queries.expand(batch, anatomies, width),
            keys_bkd,
            keys_bkd,
            # torch wants a mask of (B x heads, A, K), the heads of one sample next to each other
            attn_mask=_attention_mask(closed_bak, cover_ban, levels).repeat_interleave(
                self.heads, dim=0
            ),
            need_weights=weights,
        )
        return attended


def _projected(features_bad: Tensor, weight_aed: Tensor, bias_ae: Tensor) -> Tensor:
    """Unit vectors (B, A, E)."""
    projected_bae = torch.einsum("bad,aed->bae", features_bad, weight_aed)
    # float32 under autocast too: cosines in bfloat16 have two to three digits
    return F.normalize((projected_bae + bias_ae).float(), dim=-1)


def _attention_mask(closed_bak: Tensor, cover_ban: Tensor | None, levels: int) -> Tensor:
    """Which keys are closed (bool), or with covers what is added to the logits."""
    if cover_ban is None:
        return closed_bak
    bias_ban = cover_ban.clamp(min=LEAST_COVER).log()
    return bias_ban.repeat(1, 1, levels).masked_fill(closed_bak, float("-inf"))
