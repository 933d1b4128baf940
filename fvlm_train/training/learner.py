"""A model that learns, and its step.

Shapes: B batch of all ranks, A anatomy, T texts of this rank, E features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.parallel import DistributedDataParallel

from fvlm_train.model import FVLM
from fvlm_train.runs import Trained, restored_model
from fvlm_train.training.cached import cached
from fvlm_train.training.loss import contrastive_losses, separation_loss
from fvlm_train.training.prompted import prompt_loss
from fvlm_train.training.sharded import by_sharing, load_whole, shard, total_norm, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_train.config import OptimiserConfig, TrainConfig
    from fvlm_train.model.fvlm import Features
    from fvlm_train.runs import Checkpoint
    from fvlm_train.training.distributed import Ranks
    from fvlm_train.training.inputs import Inputs
    from fvlm_train.training.loss import Term
    from fvlm_train.training.prompted import Labels


LEAST_SCALE = 1.0
"""Of the loss in float16: a gradient that overflows even so is none of the arithmetic's fault."""


class NotFiniteError(Exception):
    """Loss, gradient or weights (`what`) are not finite; `rows` of the whole batch made them so.

    Before weights are found to be so, they have been changed: only a checkpoint has good ones.
    """

    def __init__(self, what: str, rows: Sequence[int] = ()) -> None:
        """No `rows`: they cannot be told apart."""
        super().__init__(what)
        self.what, self.rows = what, tuple(rows)


@dataclass(frozen=True, slots=True)
class Learned:
    """One step: the loss of each anatomy that contributed, and the norm of the gradient.

    The norm is None where float16 could not hold the gradient, and the step was left out.
    `prompt_loss` is that of the labels, `separation_loss` that between anatomies, not yet weighted;
    None where they are no part of the loss.
    """

    losses: dict[str, float]
    gradient_norm: float | None
    prompt_loss: float | None = None
    separation_loss: float | None = None


@dataclass(frozen=True, slots=True)
class Learner:
    """A model and its optimiser; `wrapped` is the model as DDP sees it.

    `scaler` scales the loss of float16, and does nothing in other arithmetic.
    """

    model: FVLM
    wrapped: nn.Module
    optimiser: torch.optim.Optimizer
    seed: int
    scaler: GradScaler = field(default_factory=lambda: GradScaler(enabled=False))

    def trained(self) -> Trained:
        """What a checkpoint holds of it; where ranks share its weights, all must ask."""
        return Trained(
            whole(self.model.state_dict()),
            whole(self.optimiser.state_dict()),
            self.scaler.state_dict(),
        )


class Gathered(NamedTuple):
    """Image and text features (B, A, E) of all ranks, and those of this rank's texts (T, E)."""

    image_bae: Tensor
    text_bae: Tensor
    temperature: Tensor
    text_te: Tensor


def fresh_learner(config: TrainConfig, texts: Sequence[str], seed: int, place: Ranks) -> Learner:
    """Weights drawn from `seed`, or those that the configuration names."""
    torch.manual_seed(seed)
    model = FVLM.for_training(config.model, config.anatomies, texts).to(place.device).train()
    return _learner(model, config, seed, place)


def restored_learner(
    checkpoint: Checkpoint, trained: Trained, config: TrainConfig, seed: int, place: Ranks
) -> Learner:
    """As it was when its checkpoint was written; `trained` is one of the checkpoint's."""
    model = restored_model(checkpoint, trained.model).to(place.device).train()
    learner = _learner(model, config, seed, place)
    load_whole(learner.optimiser, trained.optimiser)
    if trained.scaler:
        learner.scaler.load_state_dict(trained.scaler)
    return learner


def _learner(model: FVLM, config: TrainConfig, seed: int, place: Ranks) -> Learner:
    if config.compute.checkpointing:
        model.compute_blocks_again()
    if config.compute.compile:
        model.compile_blocks()
    scaler = GradScaler(place.device.type, enabled=config.precision == "float16")
    wrapped = _wrapped(model, config, place)
    # after the ranks have taken their shares: it must hold those
    optimiser = make_optimiser(model, config.optimiser)
    return Learner(model, wrapped, optimiser, seed, scaler)


def gathered_features(
    module: nn.Module, inputs: Inputs, config: TrainConfig, place: Ranks
) -> Gathered:
    """What the loss compares, of all ranks."""
    return _gathered(_features(module, inputs, config, place), inputs, place)


def _features(module: nn.Module, inputs: Inputs, config: TrainConfig, place: Ranks) -> Features:
    with arithmetic(config, place):
        features: Features = module(
            inputs.image_bzyx,
            inputs.tokens_ban,
            inputs.ids_ts,
            inputs.mask_ts,
            inputs.organs_bzyx,
            inputs.measured_baf,
        )
    return features


def _gathered(features: Features, inputs: Inputs, place: Ranks) -> Gathered:
    text_bae = features.text_te[inputs.place_ba]
    return Gathered(
        place.gather(features.image_bae),
        place.gather(text_bae),
        features.temperature,
        features.text_te,
    )


def learn(
    learner: Learner,
    inputs: Inputs,
    terms: Sequence[Term],
    config: TrainConfig,
    place: Ranks,
    labels: Labels | None = None,
) -> Learned:
    """One step of the optimiser; `labels` are learned through the prompts of `inputs`.

    Raises:
        NotFiniteError: loss, gradient or weights are not finite, on every rank alike.
    """

    def forward(module: nn.Module, part: Inputs) -> Features:
        return _features(module, part, config, place)

    size = config.compute.micro_batch
    kept = None
    if size is not None and size < len(inputs.image_bzyx):
        kept = cached(learner.model, inputs, size, forward)
    features = forward(learner.wrapped, inputs) if kept is None else kept.features
    found = _gathered(features, inputs, place)
    normal_places_a = inputs.normal_places_a
    losses = contrastive_losses(
        found.image_bae,
        found.text_bae,
        found.temperature,
        terms,
        config.loss,
        None if normal_places_a is None else found.text_te[normal_places_a],
        {
            anatomy: (found.text_te[place_k], lacks_mk)
            for anatomy, (place_k, lacks_mk) in (inputs.dictionary or {}).items()
        },
    )
    # a sum, as in the public code: an anatomy weighs the same however many others contribute
    total = torch.stack(list(losses.values())).sum()
    of_labels = None
    if labels is not None and inputs.prompt_places is not None:
        positive_fe, negative_fe = inputs.prompt_places.features(found.text_te)
        of_labels = prompt_loss(
            found.image_bae, positive_fe, negative_fe, found.temperature, *labels
        )
        total = total + config.loss.prompts.weight * of_labels
    apart = None
    if config.loss.separation:
        apart = separation_loss(found.text_bae, terms)
        total = total + config.loss.separation * apart
    if not bool(total.isfinite()):
        raise NotFiniteError("loss", _not_finite_rows(found.image_bae, found.text_bae))
    learner.optimiser.zero_grad(set_to_none=True)
    learner.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
    if kept is not None:
        kept.propagate(learner.wrapped, inputs, forward)
    norm = _moved(learner, config.optimiser.clip_norm)
    if not bool(total_norm(list(learner.model.parameters())).isfinite()):
        raise NotFiniteError("weights")
    named = {config.anatomies[number]: float(loss.detach()) for number, loss in losses.items()}
    told, separated = (None if one is None else float(one.detach()) for one in (of_labels, apart))
    return Learned(named, None if norm is None else round(norm, 6), told, separated)


def _moved(learner: Learner, clip_norm: float | None) -> float | None:
    """A step along the gradient, and its norm; None where float16 overflowed and none was made."""
    scaler = learner.scaler
    scaler.unscale_(learner.optimiser)
    norm = _gradient_norm(learner.model, clip_norm)
    finite = math.isfinite(norm)
    if not finite and (not scaler.is_enabled() or scaler.get_scale() < LEAST_SCALE):
        raise NotFiniteError("gradient")
    # of a gradient that is not finite it makes no step, and scales less the next time
    scaler.step(learner.optimiser)
    scaler.update()
    return norm if finite else None


def arithmetic(config: TrainConfig, place: Ranks) -> torch.autocast:
    """A context in which forward passes run in the configured precision."""
    kind = torch.float16 if config.precision == "float16" else torch.bfloat16
    return torch.autocast(place.device.type, kind, enabled=config.precision != "float32")


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
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=config.betas,
        # weights that ranks share and those that they do not cannot be worked on at once
        foreach=False if any(by_sharing(model.parameters())[1:]) else None,
    )


def _gradient_norm(model: FVLM, clip_norm: float | None) -> float:
    """Norm of the whole gradient, which is clipped to `clip_norm` afterwards."""
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    norm = total_norm(gradients)
    if clip_norm is not None:
        for part in by_sharing(model.parameters()):
            nn.utils.clip_grads_with_norm_(part, clip_norm, norm)
    return float(norm)


def _not_finite_rows(*features_bae: Tensor) -> list[int]:
    """Places in the batch of all ranks whose features are no finite numbers."""
    finite_b = torch.stack([one.isfinite().flatten(1).all(dim=1) for one in features_bae])
    return (~finite_b.all(dim=0)).nonzero().flatten().tolist()


def _wrapped(model: FVLM, config: TrainConfig, place: Ranks) -> nn.Module:
    if place.world == 1:
        return model
    if config.compute.parallel == "fsdp2":
        shard(model, place)
        return model
    return DistributedDataParallel(
        model, [place.device] if place.device.index is not None else None
    )
