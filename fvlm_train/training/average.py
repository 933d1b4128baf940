"""Exponential moving average of a model's weights, which often scores better than the last ones."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn


class WeightAverage:
    """Average of the weights; counts and other buffers are those of the last step."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Starts as a copy."""
        self.decay = decay
        self.weights = {name: value.clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def follow(self, model: nn.Module, step: int) -> None:
        """Average = decay * average + (1 - decay) * model, after `step` (from 0).

        Decay is (1 + step) / (10 + step) at first, or the random start would stay for long.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        learned = {name for name, _ in model.named_parameters()}
        for name, value in model.state_dict().items():
            if name in learned:
                self.weights[name].lerp_(value, 1 - decay)
            else:
                self.weights[name].copy_(value)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from a checkpoint's."""
        for name, value in weights.items():
            self.weights[name].copy_(value)


@contextmanager
def exchanged(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """The model has `weights` inside the context, and its own again afterwards, bit by bit."""
    own = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(weights)
    try:
        yield
    finally:
        model.load_state_dict(own)
