"""The steps of a training: each learner on its batch, at the rate of the step."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from fvlm_train.data.batches import CachedSource, TrainingBatches, read_ahead
from fvlm_train.data.whole import WholeOrgans
from fvlm_train.errors import DivergedError
from fvlm_train.training.correction import corrected_by_average, corrected_by_peer, pairs_of
from fvlm_train.training.dictionary import drawn
from fvlm_train.training.inputs import inputs_of, thinned
from fvlm_train.training.learner import Learner, NotFiniteError, learn
from fvlm_train.training.loss import loss_terms
from fvlm_train.training.prompted import labels_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_train.config import OptimiserConfig, TrainConfig
    from fvlm_train.data.batches import Batch
    from fvlm_train.data.crops import Facts
    from fvlm_train.data.windows import SampleSource
    from fvlm_train.training.distributed import Ranks
    from fvlm_train.training.inputs import Inputs
    from fvlm_train.training.loss import Term
    from fvlm_train.training.state import State


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did; a line of the log.

    Loss and norm of the gradient, before it is clipped, are None if no anatomy contributed; the
    norm alone, if float16 could not hold the gradient and the weights stayed as they were.
    `damaged` names samples that could not be read. `corrected_pairs` are those whose targets a peer
    or an average corrected; `peer_loss` is that of the second model of two, on its own batch,
    `prompt_loss` that of the labels and `separation_loss` that between anatomies, unweighted.
    Before the `time_s` of a step it waited `wait_s` for its batch. `validation_auc` is the mean AUC
    of the validation that followed it, if one did.
    """

    step: int
    epoch: int
    loss: float | None
    losses: dict[str, float]
    temperature: float
    learning_rate: float
    time_s: float
    damaged: tuple[str, ...] = ()
    corrected_pairs: int = 0
    peer_loss: float | None = None
    gradient_norm: float | None = None
    prompt_loss: float | None = None
    wait_s: float = 0.0
    validation_auc: float | None = None
    separation_loss: float | None = None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one learner did with its batch."""

    losses: dict[str, float]
    damaged: tuple[str, ...]
    corrected_pairs: int = 0
    gradient_norm: float | None = None
    prompt_loss: float | None = None
    separation_loss: float | None = None

    @property
    def loss(self) -> float | None:
        return sum(self.losses.values()) if self.losses else None


def streams_of(config: TrainConfig, source: SampleSource, place: Ranks) -> list[TrainingBatches]:
    """The batches of each learner: its seed decides order, crops and flips; memory is shared."""
    # where no window is looked at each sample is read once: its voxels need not be kept
    keeps = config.cache_bytes and not config.model.organ.windowless
    shared = CachedSource(source, config.cache_bytes) if keeps else source
    whole = WholeOrgans(shared, config)
    return [
        TrainingBatches(
            shared, config.model_copy(update={"seed": seed}), place.rank, place.world, whole
        )
        for seed in config.seeds
    ]


def made_steps(
    config: TrainConfig, state: State, streams: Sequence[TrainingBatches], place: Ranks
) -> Iterator[Step]:
    """Make the steps that are left, one each time the next is asked for.

    Raises:
        DivergedError: loss, gradient or weights are not finite.
        StoreError: a sample cannot be read.
    """
    coming = [
        read_ahead(
            stream,
            state.step,
            config.loader_workers,
            config.reading.prefetch,
            pinned=place.device.type == "cuda",
        )
        for stream in streams
    ]
    ended_s = time.monotonic()
    for batches in zip(*coming, strict=True):
        began_s, number = time.monotonic(), state.step
        rate = learning_rate(number, len(streams[0]), config.optimiser)
        outcomes = [
            _learner_step(state, learner, batch, rate, config, place)
            for learner, batch in zip(state.learners, batches, strict=True)
        ]
        if state.weight_average is not None and outcomes[0].losses:
            state.weight_average.follow(state.learners[0].model, number)
        state.step = number + 1
        yield Step(
            step=state.step,
            epoch=number // streams[0].steps_per_epoch,
            loss=outcomes[0].loss,
            losses=outcomes[0].losses,
            temperature=float(state.learners[0].model.temperature.detach()),
            learning_rate=rate,
            time_s=round(time.monotonic() - began_s, 3),
            damaged=tuple(one for outcome in outcomes for one in outcome.damaged),
            corrected_pairs=outcomes[0].corrected_pairs,
            peer_loss=outcomes[1].loss if len(outcomes) > 1 else None,
            gradient_norm=outcomes[0].gradient_norm,
            prompt_loss=outcomes[0].prompt_loss,
            separation_loss=outcomes[0].separation_loss,
            wait_s=round(began_s - ended_s, 3),
        )
        ended_s = time.monotonic()


def _learner_step(
    state: State, learner: Learner, batch: Batch, rate: float, config: TrainConfig, place: Ranks
) -> _Outcome:
    """One learner's step on its batch, of which this rank holds a share.

    What contributes is known to all ranks beforehand: where nothing does, none of them moves.
    """
    # in rank order, as `Ranks.gather` joins features: row n of both is the same sample
    facts = [one for part in place.gather_objects(batch.facts) for one in part]
    damaged = tuple(one.damaged for one in facts if one.damaged is not None)
    terms = loss_terms(facts, len(config.anatomies), config.loss.policy, config.silence)
    if not terms:
        return _Outcome({}, damaged)
    # dropout is drawn from step and rank, so that a resumed run draws the same
    torch.manual_seed(_dropout_seed(learner.seed, state.step, place.rank))
    for group in learner.optimiser.param_groups:
        group["lr"] = rate
    learner.model.clamp_temperature()
    prompted = state.prompted
    labels = labels_of(facts, prompted, config.silence) if prompted else None
    prompts = prompted.texts if prompted else None
    negatives = None
    if state.dictionary is not None:
        negatives = drawn(
            state.dictionary, facts, terms, _dropout_seed(learner.seed, state.step, 0)
        )
    inputs = inputs_of(
        batch, terms, learner.model.tokenizer, place.device, prompts, config, negatives
    )
    pairs = 0
    if state.step >= state.corrected_from and pairs_of(terms):
        terms = _corrected(state, learner, terms, inputs, config, place)
        pairs = pairs_of(terms)
    try:
        learned = learn(
            learner, thinned(inputs, config.model.text.token_dropout), terms, config, place, labels
        )
    except NotFiniteError as error:
        raise _diverged(error, state.step + 1, facts) from error
    if state.average is not None:
        state.average.follow(learner.model, config.loss.correction.momentum)
    return _Outcome(
        learned.losses,
        damaged,
        pairs,
        learned.gradient_norm,
        learned.prompt_loss,
        learned.separation_loss,
    )


def _diverged(error: NotFiniteError, step: int, facts: Sequence[Facts]) -> DivergedError:
    """The sentence that ends a training, with the samples whose features are at fault, or all."""
    rows = error.rows or range(len(facts))
    ids = [facts[row].sample_id for row in rows]
    return DivergedError(
        f"step {step}: the {error.what} is no finite number any more, with samples "
        f"{', '.join(ids)}: training ends here; start again with a lower "
        "train.optimiser.learning_rate or a train.optimiser.clip_norm, in another folder"
    )


def _corrected(
    state: State,
    learner: Learner,
    terms: list[Term],
    inputs: Inputs,
    config: TrainConfig,
    place: Ranks,
) -> list[Term]:
    if state.average is not None:
        learned = learner.model.temperature
        return corrected_by_average(terms, inputs, state.average, learned, config, place)
    peer = next(other for other in state.learners if other is not learner)
    return corrected_by_peer(terms, inputs, peer.model, config, place)


def learning_rate(step: int, steps: int, config: OptimiserConfig) -> float:
    """Linear warm-up, then a cosine; both ends at the least rate. Changes with every step."""
    low, high = config.min_learning_rate, config.learning_rate
    warmup = min(config.warmup_steps, steps)
    if step < warmup:
        return low + (high - low) * (step + 1) / warmup
    # minus 1: the last step is the one at the least rate
    progress = (step - warmup) / max(steps - warmup - 1, 1)
    return low + (high - low) * (1 + math.cos(math.pi * progress)) / 2


def _dropout_seed(seed: int, step: int, rank: int) -> int:
    """A seed for each step and rank: a resumed run needs no generator state."""
    return (seed * 1_000_003 + step) * 4099 + rank
