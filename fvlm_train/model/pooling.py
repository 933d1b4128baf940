"""Anatomy pooling: one feature for each anatomy from the tokens that its mask touches.

Shapes: B batch, A anatomy, L levels, N tokens, K keys (L x N), D width, E projected features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows


class AnatomyPooling(nn.Module):
    """A learned query and a linear map per anatomy; one attention without norm or residual."""

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
        batch, levels, tokens, width = levels_blnd.shape
        anatomies = tokens_ban.shape[1]
        keys_bkd = levels_blnd.reshape(batch, levels * tokens, width)
        present_ba1 = tokens_ban.any(dim=2, keepdim=True)
        # softmax over no keys is NaN, and so is its gradient, which multiplying by 0 does not
        # undo: an absent anatomy attends to everything, and its feature is zeroed at the end
        closed_bak = ~(tokens_ban | ~present_ba1).repeat(1, 1, levels)
        pooled_bad, _ = self.attention(
            self.queries.expand(batch, anatomies, width),
            keys_bkd,
            keys_bkd,
            # torch wants a mask of (B x heads, A, K), the heads of one sample next to each other
            attn_mask=closed_bak.repeat_interleave(self.heads, dim=0),
            need_weights=False,
        )
        projected = torch.einsum("bad,aed->bae", pooled_bad, self.projection_weight)
        # float32 under autocast too: cosines in bfloat16 have two to three digits
        features_bae = F.normalize((projected + self.projection_bias).float(), dim=-1)
        return features_bae * present_ba1
