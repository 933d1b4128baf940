"""A model that learns, what it reads of a batch, and its step.

Shapes: B batch of this rank, A anatomy, N tokens, T texts, S text tokens, E features; features are
gathered over all ranks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fvlm_train.model import FVLM
from fvlm_train.runs import Trained, restored_model
from fvlm_train.training.loss import contrastive_losses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_train.config import OptimiserConfig, TrainConfig
    from fvlm_train.data.batches import Batch
    from fvlm_train.data.crops import Facts
    from fvlm_train.model import WordPieces
    from fvlm_train.training.distributed import Ranks
    from fvlm_train.training.loss import Term


@dataclass(frozen=True, slots=True)
class Learner:
    """A model and its optimiser; `wrapped` is the model as DDP sees it."""

    model: FVLM
    wrapped: nn.Module
    optimiser: torch.optim.Optimizer
    seed: int

    def trained(self) -> Trained:
        """What a checkpoint holds of it."""
        return Trained(self.model.state_dict(), self.optimiser.state_dict())


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a model reads of a batch, on its device; `place_ba` is the text of each anatomy."""

    image_bzyx: Tensor
    tokens_ban: Tensor
    ids_ts: Tensor
    mask_ts: Tensor
    place_ba: Tensor


def fresh_learner(config: TrainConfig, texts: Sequence[str], seed: int, place: Ranks) -> Learner:
    """Weights drawn from `seed`, or those that the configuration names."""
    torch.manual_seed(seed)
    model = FVLM.for_training(config.model, config.anatomies, texts).to(place.device).train()
    return Learner(model, _wrapped(model, place), make_optimiser(model, config.optimiser), seed)


def restored_learner(
    config: TrainConfig, tokenizer: str, trained: Trained, seed: int, place: Ranks
) -> Learner:
    """As it was when its checkpoint was written."""
    model = restored_model(config, tokenizer, trained.model).to(place.device).train()
    optimiser = make_optimiser(model, config.optimiser)
    optimiser.load_state_dict(trained.optimiser)
    return Learner(model, _wrapped(model, place), optimiser, seed)


def inputs_of(
    batch: Batch, terms: Sequence[Term], tokenizer: WordPieces, device: torch.device
) -> Inputs:
    """This rank's batch, with those texts that the terms compare."""
    texts, place_ba = _distinct_texts(batch.facts, terms)
    ids_ts, mask_ts = tokenizer.encode(texts)
    return Inputs(
        image_bzyx=batch.scaled(device),
        tokens_ban=batch.tokens_ban.to(device),
        ids_ts=ids_ts.to(device),
        mask_ts=mask_ts.to(device),
        place_ba=place_ba.to(device),
    )


def thinned(inputs: Inputs, share: float) -> Inputs:
    """A share of the texts' tokens hidden; the first token ([CLS]) always shows."""
    if share == 0:
        return inputs
    # drawn on the CPU: a GPU's generator gives other numbers for the same seed
    shown_ts = torch.rand(inputs.mask_ts.shape) >= share
    shown_ts[:, 0] = True
    return replace(inputs, mask_ts=inputs.mask_ts * shown_ts.to(inputs.mask_ts.device))


def gathered_features(
    module: nn.Module, inputs: Inputs, config: TrainConfig, place: Ranks
) -> tuple[Tensor, Tensor, Tensor]:
    """Image and text features (B, A, E) of all ranks, and the temperature."""
    with arithmetic(config, place):
        features = module(inputs.image_bzyx, inputs.tokens_ban, inputs.ids_ts, inputs.mask_ts)
    text_bae = features.text_te[inputs.place_ba]
    return place.gather(features.image_bae), place.gather(text_bae), features.temperature


def learn(
    learner: Learner, inputs: Inputs, terms: Sequence[Term], config: TrainConfig, place: Ranks
) -> dict[str, float]:
    """One step of the optimiser; the loss of each anatomy that contributed."""
    image_bae, text_bae, temperature = gathered_features(learner.wrapped, inputs, config, place)
    losses = contrastive_losses(image_bae, text_bae, temperature, terms)
    # a sum, as in the public code: an anatomy weighs the same however many others contribute
    total = torch.stack(list(losses.values())).sum()
    learner.optimiser.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    if config.optimiser.clip_norm is not None:
        nn.utils.clip_grad_norm_(learner.model.parameters(), config.optimiser.clip_norm)
    learner.optimiser.step()
    return {config.anatomies[number]: float(loss.detach()) for number, loss in losses.items()}


def arithmetic(config: TrainConfig, place: Ranks) -> torch.autocast:
    """A context in which forward passes run in the configured precision."""
    enabled = config.precision == "bfloat16"
    return torch.autocast(place.device.type, torch.bfloat16, enabled=enabled)


def make_optimiser(model: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW with the weight decay in effect (see OptimiserConfig on the public code)."""
    decayed: list[Tensor] = []
    spared: list[Tensor] = []
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            continue
        # learned vectors, although positions and queries have two axes or more
        table = name.endswith(("positions", "queries", "bias")) or weight.ndim < 2
        spared_now = table and config.decay == "matrices"
        (spared if spared_now else decayed).append(weight)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=config.learning_rate, betas=config.betas
    )


def _distinct_texts(facts: Sequence[Facts], terms: Sequence[Term]) -> tuple[list[str], Tensor]:
    """Texts to encode, each once, and their places (B, A); what takes no part points at 0."""
    wanted = {term.anatomy for term in terms}
    place_ba = torch.zeros(len(facts), len(facts[0].texts), dtype=torch.int64)
    numbers: dict[str, int] = {}
    for row, sample in enumerate(facts):
        for anatomy in wanted:
            if sample.intact[anatomy] and sample.states[anatomy] is not None:
                text = sample.encoder_texts[anatomy]
                place_ba[row, anatomy] = numbers.setdefault(text, len(numbers))
    # a rank without a text encodes one all the same: DDP waits for the gradients of every rank
    return list(numbers) or [facts[0].encoder_texts[0]], place_ba


def _wrapped(model: FVLM, place: Ranks) -> nn.Module:
    if place.world == 1:
        return model
    return DistributedDataParallel(
        model, [place.device] if place.device.index is not None else None
    )
