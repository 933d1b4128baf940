"""Matching of the two views' kNN graphs, vertices and edges (after LVM-Med, arXiv 2306.11925).

A view of a batch is a graph: samples are vertices, each with edges to its nearest neighbours among
the others. The true matching of the two graphs is known, and is learned. In place of LVM-Med's
combinatorial solver and its estimated gradient a few rounds of soft matching stand here, which are
differentiable themselves.

Shapes: B samples, k neighbours, E features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows

if TYPE_CHECKING:
    from fvlm_train.config.pretrain import GraphConfig


def neighbours(features_be: Tensor, count: int) -> Tensor:
    """The `count` nearest others of each sample by cosine, (B, k); features have length 1."""
    near_bb = features_be.detach() @ features_be.detach().T
    near_bb.fill_diagonal_(-torch.inf)
    return near_bb.topk(count, dim=1).indices


def edge_affinity(one_be: Tensor, one_bk: Tensor, other_be: Tensor, other_bk: Tensor) -> Tensor:
    """Cosine (B, B, k, k) of the edges of sample i in one graph and of j in the other."""
    one_bke = F.normalize(one_be[one_bk] - one_be[:, None], dim=-1)
    other_bke = F.normalize(other_be[other_bk] - other_be[:, None], dim=-1)
    return torch.einsum("ine,jme->ijnm", one_bke, other_bke)


def matched(one_be: Tensor, other_be: Tensor, config: GraphConfig) -> Tensor:
    """Logits (B, B) of which sample of the other view is which of the one.

    An edge counts where its ends are matched: the affinity of i and j gains the mean, over their
    edges, of what these have in common times the matching of the neighbours so far.
    """
    vertices_bb = one_be @ other_be.T
    logits_bb = vertices_bb / config.temperature
    if config.second_order == 0:
        return logits_bb
    one_bk, other_bk = (neighbours(one, config.neighbours) for one in (one_be, other_be))
    edges = edge_affinity(one_be, one_bk, other_be, other_bk)
    for _ in range(config.rounds):
        soft_bb = (logits_bb.softmax(dim=0) + logits_bb.softmax(dim=1)) / 2
        ends = soft_bb[one_bk[:, None, :, None], other_bk[None, :, None, :]]
        second_bb = (edges * ends).sum(dim=(2, 3)) / config.neighbours
        logits_bb = (vertices_bb + config.second_order * second_bb) / config.temperature
    return logits_bb


class GraphHead(nn.Module):
    """The loss of the matching; it has no weights of its own."""

    def __init__(self, config: GraphConfig) -> None:
        """Settings of the graphs."""
        super().__init__()
        self.config = config

    def forward(self, one_be: Tensor, other_be: Tensor) -> Tensor:
        """Cross-entropy against the true matching, mean over samples and both ways."""
        logits_bb = matched(one_be, other_be, self.config)
        true_b = torch.arange(len(logits_bb), device=logits_bb.device)
        return (F.cross_entropy(logits_bb, true_b) + F.cross_entropy(logits_bb.T, true_b)) / 2
