"""Targets of abnormal pairs, corrected by a peer or by an average of the text encoder.

Source: fVLM (arXiv 2501.14548), section on abnormal false negatives (co-teaching), and its
successor RADAR (momentum). Terms and features are those of all ranks, so that each rank corrects
alike.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fvlm_data.errors import ConfigError
from fvlm_train.model.text import text_features
from fvlm_train.training.learner import arithmetic, gathered_features
from fvlm_train.training.loss import judged, similarities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_train.config import TrainConfig
    from fvlm_train.model import FVLM
    from fvlm_train.training.distributed import Ranks
    from fvlm_train.training.inputs import Inputs
    from fvlm_train.training.loss import Term


class TextAverage(nn.Module):
    """Exponential average of a model's text encoder and projection; starts as a copy."""

    def __init__(self, model: FVLM) -> None:
        """On the device of `model`; without dropout and gradient."""
        super().__init__()
        self.text_encoder = deepcopy(model.text_encoder)
        self.text_projection = deepcopy(model.text_projection)
        self.requires_grad_(False).eval()

    def forward(self, ids_ts: Tensor, mask_ts: Tensor) -> Tensor:
        """Unit vectors (T, E) of tokenised texts."""
        return text_features(self.text_encoder, self.text_projection, ids_ts, mask_ts)

    @torch.no_grad()
    def follow(self, model: FVLM, momentum: float) -> None:
        """Average = momentum * average + (1 - momentum) * model; called after each step."""
        # parameters suffice: BERT has no buffers that training changes
        theirs = chain(model.text_encoder.parameters(), model.text_projection.parameters())
        for own, weight in zip(self.parameters(), theirs, strict=True):
            own.mul_(momentum).add_(weight, alpha=1 - momentum)


def corrected_from(config: TrainConfig, steps_per_epoch: int, steps: int) -> int:
    """First step (from 0) whose targets are corrected; `steps` where none are.

    Raises:
        ConfigError: the warm-up leaves no step of the whole training.
    """
    if config.loss.correction.kind == "none":
        return steps
    warmup_epochs = config.loss.correction.warmup_epochs
    first = round(warmup_epochs * steps_per_epoch)
    if first >= steps:
        raise ConfigError(
            f"train.loss.correction.warmup_epochs is {warmup_epochs:g}, {first} steps, but the "
            f"whole training has {steps}: nothing would be corrected; lower it, or train longer"
        )
    return first


def corrected_by_peer(
    terms: Sequence[Term], inputs: Inputs, peer: FVLM, config: TrainConfig, place: Ranks
) -> list[Term]:
    """Targets of abnormal pairs: alpha T + (1 - alpha) softmax(similarity to the peer).

    The peer reads the batch as in evaluation: without dropout, hidden tokens and gradient.
    """
    peer.eval()
    with torch.no_grad():
        image_bae, text_bae, learned, _ = gathered_features(peer, inputs, config, place)
    peer.train()
    temperature = _temperature(config, learned)
    alpha = config.loss.correction.alpha
    return [
        judged(term, similarities(image_bae, text_bae, term) / temperature, alpha) for term in terms
    ]


def corrected_by_average(
    terms: Sequence[Term],
    inputs: Inputs,
    average: TextAverage,
    learned_temperature: Tensor,
    config: TrainConfig,
    place: Ranks,
) -> list[Term]:
    """Targets of abnormal pairs that the policy counts as negative: softmax(t t' / temperature).

    What the policy counts as positive (identical text, say) stays as it is.
    """
    with torch.no_grad(), arithmetic(config, place):
        text_te = average(inputs.ids_ts, inputs.mask_ts)
    text_bae = place.gather(text_te[inputs.place_ba])
    temperature = _temperature(config, learned_temperature)
    negative = [
        replace(term, abnormal_mm=term.abnormal_mm & (term.target_mm == 0)) for term in terms
    ]
    return [
        judged(term, similarities(text_bae, text_bae, term) / temperature, keep=0)
        for term in negative
    ]


def pairs_of(terms: Sequence[Term]) -> int:
    """Pairs of samples, over all anatomies, whose targets a model may correct."""
    return sum(int(term.abnormal_mm.sum()) for term in terms) // 2


def _temperature(config: TrainConfig, learned: Tensor) -> float | Tensor:
    bounds = config.model.temperature_min, config.model.temperature_max
    # the model clamps it at the start of a step; since then the optimiser may have moved it outside
    return config.loss.correction.temperature or learned.detach().clamp(*bounds)
