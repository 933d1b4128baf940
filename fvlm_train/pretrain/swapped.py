"""Online clustering with swapped assignments (SwAV, arXiv 2006.09882).

Shapes: B samples, K prototypes, E features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows

if TYPE_CHECKING:
    from fvlm_train.config.pretrain import SwappedConfig


@torch.no_grad()
def sinkhorn(scores_bk: Tensor, epsilon: float, rounds: int) -> Tensor:
    """Soft assignments (B, K) of samples to prototypes that are used alike (section 3.1).

    Rows sum to 1, columns nearly to B / K, the nearer the more rounds. In float64 logarithms: a
    small epsilon overflows no exponential.
    """
    log_bk = scores_bk.double() / epsilon
    samples, prototypes = scores_bk.shape
    spread = torch.log(torch.tensor(samples / prototypes, dtype=torch.float64))
    for _ in range(rounds):
        log_bk = log_bk - torch.logsumexp(log_bk, dim=0, keepdim=True) + spread
        log_bk = log_bk - torch.logsumexp(log_bk, dim=1, keepdim=True)
    return log_bk.exp().to(scores_bk.dtype)


class SwappedHead(nn.Module):
    """Prototypes, and the loss of predicting each view's assignment from the other view."""

    def __init__(self, width: int, config: SwappedConfig) -> None:
        """`width` are the features compared; prototypes are directions."""
        super().__init__()
        self.config = config
        self.prototypes = nn.Parameter(torch.randn(config.prototypes, width))

    def scores(self, features_be: Tensor) -> Tensor:
        """Cosine (B, K) of features, which have length 1, and prototypes."""
        return features_be @ F.normalize(self.prototypes, dim=1).T

    def forward(self, one_be: Tensor, other_be: Tensor) -> Tensor:
        """Cross-entropy of the swapped assignments, mean over samples and both ways."""
        scores = [self.scores(one_be), self.scores(other_be)]
        wanted = [sinkhorn(one, self.config.epsilon, self.config.sinkhorn_rounds) for one in scores]
        told = [F.log_softmax(one / self.config.temperature, dim=1) for one in scores]
        first = -(wanted[1] * told[0]).sum(dim=1).mean()
        second = -(wanted[0] * told[1]).sum(dim=1).mean()
        return (first + second) / 2
