"""The gradient of a large batch in the memory of a small one.

Source: GradCache (Gao et al., arXiv 2101.06983). The loss compares every sample with every other,
so a batch cannot simply be split: first all features are computed, a part at a time, without a
gradient; the loss gives the gradient of each feature; then each part is computed once more, with
the same dropout, and hands its features' gradient on to the weights. By the chain rule the sum over
parts is the gradient of the whole batch.

Shapes: B batch of this rank, A anatomy, T texts, E features.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fvlm_train.model.fvlm import Features

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from fvlm_train.training.inputs import Inputs

    Forward = Callable[[nn.Module, Inputs], Features]


@dataclass(frozen=True, slots=True)
class Part:
    """Samples and texts that go through the encoders together; `spare`: a text given before."""

    images: slice
    texts: Tensor
    spare: bool


@dataclass(frozen=True, slots=True)
class Drawn:
    """State of the generators of dropout."""

    cpu: Tensor
    device: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> Drawn:
        """As it is now."""
        on_device = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(torch.get_rng_state(), on_device)

    def restore(self, device: torch.device) -> None:
        """As it was then."""
        torch.set_rng_state(self.cpu)
        if self.device is not None:
            torch.cuda.set_rng_state(self.device, device)


@dataclass(frozen=True, slots=True)
class Cached:
    """Features of a whole batch without the way to them, which is gone again part by part."""

    features: Features
    parts: tuple[Part, ...]
    drawn: tuple[Drawn, ...]

    def propagate(self, module: nn.Module, inputs: Inputs, forward: Forward) -> None:
        """Hand the gradients of `features` on to the weights; DDP joins ranks at the last part."""
        last = len(self.parts) - 1
        for number, (part, drawn) in enumerate(zip(self.parts, self.drawn, strict=True)):
            held: AbstractContextManager[None] = nullcontext()
            if isinstance(module, DistributedDataParallel) and number != last:
                held = module.no_sync()
            with held:
                drawn.restore(inputs.image_bzyx.device)
                found = forward(module, _of(inputs, part))
                torch.autograd.backward(list(found), self._gradients(part, whole=number == last))

    def _gradients(self, part: Part, *, whole: bool) -> list[Tensor]:
        image, text, temperature = (_gradient(one) for one in self.features)
        text_te = text[part.texts]
        # the temperature is of no part, and a spare text has had its gradient
        return [
            image[part.images],
            torch.zeros_like(text_te) if part.spare else text_te,
            temperature if whole else torch.zeros_like(temperature),
        ]


def cached(module: nn.Module, inputs: Inputs, size: int, forward: Forward) -> Cached:
    """Features of all inputs, `size` samples at a time; they take gradients of their own."""
    parts = parts_of(len(inputs.image_bzyx), len(inputs.ids_ts), size)
    drawn, found = [], []
    with torch.no_grad():
        for part in parts:
            drawn.append(Drawn.now(inputs.image_bzyx.device))
            found.append(forward(module, _of(inputs, part)))
    return Cached(_joined(found, parts), tuple(parts), tuple(drawn))


def parts_of(samples: int, texts: int, size: int) -> list[Part]:
    """Parts of `size` samples, the last one of fewer, with an even share of the texts each."""
    starts = range(0, samples, size)
    parts = []
    for number, start in enumerate(starts):
        numbers = torch.arange(texts)[number :: len(starts)]
        # every part encodes one: the ranks of DDP wait for the gradients of every weight
        spare = not len(numbers)
        texts_part = torch.zeros(1, dtype=torch.int64) if spare else numbers
        parts.append(Part(slice(start, min(start + size, samples)), texts_part, spare))
    return parts


def _of(inputs: Inputs, part: Part) -> Inputs:
    organs = inputs.organs_bzyx
    texts = part.texts.to(inputs.ids_ts.device)
    return replace(
        inputs,
        image_bzyx=inputs.image_bzyx[part.images],
        tokens_ban=inputs.tokens_ban[part.images],
        ids_ts=inputs.ids_ts[texts],
        mask_ts=inputs.mask_ts[texts],
        organs_bzyx=None if organs is None else organs[part.images],
    )


def _joined(found: Sequence[Features], parts: Sequence[Part]) -> Features:
    given = [(one, part.texts) for one, part in zip(found, parts, strict=True) if not part.spare]
    order = torch.cat([texts for _, texts in given]).argsort()
    text_te = torch.cat([one.text_te for one, _ in given])
    joined = Features(
        torch.cat([one.image_bae for one in found]),
        text_te[order.to(text_te.device)],
        found[0].temperature.clone(),
    )
    return Features(*(one.detach().requires_grad_() for one in joined))


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
