"""Training, from top to bottom: one device, or one rank of torchrun."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from fvlm_data.errors import ConfigError
from fvlm_train.data.batches import CachedSource, TrainingBatches, read_ahead
from fvlm_train.runs import SUMMARY, StepLog, write_json
from fvlm_train.training.correction import (
    corrected_by_average,
    corrected_by_peer,
    corrected_from,
    pairs_of,
)
from fvlm_train.training.distributed import Ranks, ranks
from fvlm_train.training.learner import Learner, inputs_of, learn, thinned
from fvlm_train.training.loss import loss_terms
from fvlm_train.training.state import State, save, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from fvlm_train.config import OptimiserConfig, TrainConfig
    from fvlm_train.data.batches import Batch
    from fvlm_train.data.windows import SampleSource
    from fvlm_train.training.learner import Inputs
    from fvlm_train.training.loss import Term


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did; a line of the log.

    Loss is None if no anatomy contributed; `damaged` names samples that could not be read.
    `corrected_pairs` are those whose targets a peer or an average corrected; `peer_loss` is that
    of the second model of two, on its own batch.
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


@dataclass(frozen=True, slots=True)
class TrainSummary:
    """How a training ended."""

    steps: int
    planned_steps: int
    steps_without_loss: int
    last_loss: float | None
    samples: int
    parameters: int
    time_s: float
    damaged_reads: int = 0
    corrected_pairs: int = 0


def train(
    config: TrainConfig,
    source: SampleSource,
    run: Path,
    report: Callable[[Step, int], None] = lambda step, steps: None,
) -> TrainSummary:
    """Train a model on `source` and leave it in the folder `run`, or go on where `run` stopped.

    On CPU the same configuration, data and thread count give the same weights bit by bit,
    also when the run was killed and resumed. `report` is called by the first rank after each
    step with the number of planned steps.

    Raises:
        ConfigError: the configuration and the data, or the run's earlier part, do not fit.
    """
    with ranks(config.device) as place, _arithmetic(config, place):
        check(config, source, place.world)
        started_s = time.monotonic()
        streams = _streams(config, source, place)
        steps = len(streams[0])
        first_corrected = corrected_from(config, streams[0].steps_per_epoch, steps)
        run.mkdir(parents=True, exist_ok=True)
        state = start(config, source, run, place, first_corrected)
        last, silent, damaged, corrected = None, 0, 0, 0
        with StepLog(run, state.step, writes=place.first) as log:
            for step in _steps(config, state, streams, place):
                last, silent = step, silent + (step.loss is None)
                damaged += len(step.damaged)
                corrected += step.corrected_pairs
                log.write(asdict(step))
                if place.first:
                    report(step, steps)
                ended = step.step == steps or _out_of_time(config, started_s, place)
                if place.first and (ended or step.step % config.checkpoint_every_steps == 0):
                    save(run, config, state)
                if ended:
                    break
        summary = TrainSummary(
            steps=state.step,
            planned_steps=steps,
            steps_without_loss=silent,
            last_loss=last.loss if last else None,
            samples=len(source),
            parameters=sum(weight.numel() for weight in state.learners[0].model.parameters()),
            time_s=round(time.monotonic() - started_s, 3),
            damaged_reads=damaged,
            corrected_pairs=corrected,
        )
        if place.first:
            write_json(run / SUMMARY, asdict(summary))
        return summary


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one learner did with its batch."""

    losses: dict[str, float]
    damaged: tuple[str, ...]
    corrected_pairs: int = 0

    @property
    def loss(self) -> float | None:
        return sum(self.losses.values()) if self.losses else None


def _streams(config: TrainConfig, source: SampleSource, place: Ranks) -> list[TrainingBatches]:
    """The batches of each learner: its seed decides order, crops and flips; memory is shared."""
    shared = CachedSource(source, config.cache_bytes) if config.cache_bytes else source
    return [
        TrainingBatches(shared, config.model_copy(update={"seed": seed}), place.rank, place.world)
        for seed in config.seeds
    ]


def _steps(
    config: TrainConfig, state: State, streams: Sequence[TrainingBatches], place: Ranks
) -> Iterator[Step]:
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
    for batches in zip(*coming, strict=True):
        began_s, number = time.monotonic(), state.step
        rate = learning_rate(number, len(streams[0]), config.optimiser)
        outcomes = [
            _learner_step(state, learner, batch, rate, config, place)
            for learner, batch in zip(state.learners, batches, strict=True)
        ]
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
        )


def _out_of_time(config: TrainConfig, started_s: float, place: Ranks) -> bool:
    limit_s = config.time_limit_s
    # any rank: all must leave together, or the others would wait in the next gather
    return limit_s is not None and place.any(time.monotonic() - started_s > limit_s)


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
    inputs = inputs_of(batch, terms, learner.model.tokenizer, place.device)
    pairs = 0
    if state.step >= state.corrected_from and pairs_of(terms):
        terms = _corrected(state, learner, terms, inputs, config, place)
        pairs = pairs_of(terms)
    losses = learn(learner, thinned(inputs, config.model.text.token_dropout), terms, config, place)
    if state.average is not None:
        state.average.follow(learner.model, config.loss.correction.momentum)
    return _Outcome(losses, damaged, pairs)


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


def check(config: TrainConfig, source: SampleSource, world: int) -> None:
    """Refuse what cannot train, before any work.

    Raises:
        ConfigError: too few samples, a batch that ranks cannot share, an anatomy without
            samples, or no abnormal anatomy at all.
    """
    if len(source) < config.batch_size:
        raise ConfigError(
            f"train.batch_size is {config.batch_size} but split {config.split} holds "
            f"{len(source)} samples: lower it, or add data"
        )
    if config.batch_size % world:
        raise ConfigError(
            f"train.batch_size {config.batch_size} cannot be shared by {world} ranks: "
            "set a multiple"
        )
    rows = source.rows.select(["anatomies", "states"]).to_pylist()
    seen = {anatomy for row in rows for anatomy in row["anatomies"]}
    missing = [anatomy for anatomy in config.anatomies if anatomy not in seen]
    if missing:
        raise ConfigError(
            f"train.anatomies holds {missing[0]}, which no sample of split {config.split} shows: "
            f"found are {', '.join(sorted(seen)) or 'none'}"
        )
    wanted = set(config.anatomies)
    abnormal = any(
        state == "abnormal" and anatomy in wanted
        for row in rows
        for anatomy, state in zip(row["anatomies"], row["states"], strict=True)
    )
    if not abnormal:
        raise ConfigError(
            f"split {config.split}: no trained anatomy is abnormal in any sample, so there is "
            "nothing to contrast; check reports and train.anatomies"
        )


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


@contextmanager
def _arithmetic(config: TrainConfig, place: Ranks) -> Iterator[None]:
    """Thread count and, on CPU, deterministic kernels; as they were afterwards."""
    threads: int = torch.get_num_threads()
    deterministic: Any = torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(config.threads or threads)
    torch.use_deterministic_algorithms(place.device.type == "cpu")
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
