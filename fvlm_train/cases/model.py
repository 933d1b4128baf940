"""Labels of a case from its images: by attention over them, or by their mean.

Shapes: B cases, I images, F features, W width, L labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from fvlm_train.cases.dataset import joined

if TYPE_CHECKING:
    from fvlm_train.cases.dataset import ImagesOfCases

Pooling = Literal["attention", "mean"]


@dataclass(frozen=True, slots=True)
class Fit:
    """How a model of cases is fitted."""

    epochs: int = 60
    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    seed: int = 0


class CaseModel(nn.Module):
    """Logits (B, L) of cases; each label has an attention over the images of its own.

    Source: gated attention of multiple-instance learning (Ilse et al., arXiv 1802.04712).
    """

    mean_f: Tensor
    scale_f: Tensor

    def __init__(self, features: int, labels: int, pooling: Pooling, width: int = 64) -> None:
        """Random weights; features are standardised by `mean_f` and `scale_f`, at first 0 and 1."""
        super().__init__()
        self.pooling = pooling
        self.register_buffer("mean_f", torch.zeros(features))
        self.register_buffer("scale_f", torch.ones(features))
        self.hidden = nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Dropout(0.3))
        self.value, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        self.score = nn.Linear(width, labels)
        self.weight = nn.Parameter(torch.zeros(labels, width))
        self.bias = nn.Parameter(torch.zeros(labels))

    def forward(self, features_bif: Tensor, there_bi: Tensor) -> Tensor:
        """Logits (B, L) from features (B, I, F) of the images that are there (B, I; bool)."""
        hidden_biw = self.hidden((features_bif - self.mean_f) / self.scale_f)
        weights_bil = self.weights(hidden_biw, there_bi)
        pooled_blw = torch.einsum("bil,biw->blw", weights_bil, hidden_biw)
        return (pooled_blw * self.weight).sum(dim=-1) + self.bias

    def weights(self, hidden_biw: Tensor, there_bi: Tensor) -> Tensor:
        """Share (B, I, L) of each image in each label; images that are not there have 0."""
        gated_biw = self.value(hidden_biw).tanh() * self.gate(hidden_biw).sigmoid()
        score_bil: Tensor = self.score(gated_biw)
        if self.pooling == "mean":
            score_bil = torch.zeros_like(score_bil)
        return score_bil.masked_fill(~there_bi[..., None], -torch.inf).softmax(dim=1)


def fitted(train: ImagesOfCases, pooling: Pooling, fit: Fit) -> CaseModel:
    """Fit on cases; the same cases, seed and thread count give the same model on a CPU."""
    features_bif, there_bi, present_bl, known_bl = joined([train[n] for n in range(len(train))])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fit.seed)
        model = CaseModel(features_bif.shape[2], present_bl.shape[1], pooling)
        shown_nf = features_bif[there_bi]
        model.mean_f.copy_(shown_nf.mean(dim=0))
        # a feature that never differs says nothing, whatever its scale
        model.scale_f.copy_(shown_nf.std(dim=0, correction=0).clamp(min=1e-3))
        optimiser = torch.optim.AdamW(
            model.parameters(), fit.learning_rate, weight_decay=fit.weight_decay
        )
        for _ in range(fit.epochs):
            order = torch.randperm(len(train))
            for start in range(0, len(train), fit.batch_size):
                chosen = order[start : start + fit.batch_size]
                logits_bl = model(features_bif[chosen], there_bi[chosen])
                loss_bl = F.binary_cross_entropy_with_logits(
                    logits_bl, present_bl[chosen], reduction="none"
                )
                known = known_bl[chosen]
                loss = (loss_bl * known).sum() / known.sum().clamp(min=1)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
    return model.eval()


def predicted(model: CaseModel, cases: ImagesOfCases) -> Tensor:
    """Probabilities (B, L) of all cases, in their order."""
    features_bif, there_bi, _, _ = joined([cases[n] for n in range(len(cases))])
    with torch.inference_mode():
        logits_bl: Tensor = model(features_bif, there_bi)
        return logits_bl.sigmoid()
