"""Anatomy pooling: one feature for each anatomy from the tokens that its mask touches.

Shapes: B batch, A anatomy, L levels, N tokens, K keys (L x N), D width, E projected features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows


class AnatomyPooling(nn.Module):
    """A learned query an anatomy, one attention without norm or residual, one linear map each."""

    def __init__(
        self, anatomies: int, width: int, heads: int, projected: int, dropout: float
    ) -> None:
        """Queries start at 0: the first step averages the anatomy's tokens."""
        super().__init__()
        self.heads = heads
        self.queries = nn.Parameter(torch.zeros(anatomies, width))
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.projection_weight = nn.Parameter(torch.empty(anatomies, projected, width))
        self.projection_bias = nn.Parameter(torch.empty(anatomies, projected))
        bound = width**-0.5
        nn.init.uniform_(self.projection_weight, -bound, bound)
        nn.init.uniform_(self.projection_bias, -bound, bound)

    def forward(self, levels_blnd: Tensor, tokens_ban: Tensor) -> Tensor:
        """Features (B, L, N, D) and token masks (B, A, N) -> unit vectors (B, A, E).

        An anatomy without a token gives zeros.
        """
        projected = torch.einsum(
            "bad,aed->bae", self.pooled(levels_blnd, tokens_ban), self.projection_weight
        )
        features_bae = F.normalize((projected + self.projection_bias).float(), dim=-1)
        return features_bae * tokens_ban.any(dim=2)[..., None]

    def pooled(self, levels_blnd: Tensor, tokens_ban: Tensor) -> Tensor:
        """Attention outputs (B, A, D), before projection; of no meaning for absent anatomies."""
        batch, levels, tokens, width = levels_blnd.shape
        anatomies = tokens_ban.shape[1]
        keys_bkd = levels_blnd.reshape(batch, levels * tokens, width)
        # a query with no key would be NaN, also in the gradient: let it see all, drop it later
        open_ban = tokens_ban | ~tokens_ban.any(dim=2, keepdim=True)
        closed_bak = ~open_ban.repeat(1, 1, levels)
        pooled_bad: Tensor = self.attention(
            self.queries.expand(batch, anatomies, width),
            keys_bkd,
            keys_bkd,
            attn_mask=closed_bak.repeat_interleave(self.heads, dim=0),
            need_weights=False,
        )[0]
        return pooled_bad

    @torch.no_grad()
    def centre(self, levels_blnd: Tensor, tokens_ban: Tensor) -> None:
        """Set the projections' biases so that the mean feature of each anatomy projects to 0."""
        present_ba1 = tokens_ban.any(dim=2)[..., None].float()
        total_ad = (self.pooled(levels_blnd, tokens_ban) * present_ba1).sum(dim=0)
        mean_ad = total_ad / present_ba1.sum(dim=0).clamp(min=1)
        self.projection_bias.copy_(-torch.einsum("ad,aed->ae", mean_ad, self.projection_weight))
