"""Training, from top to bottom: one device, or one rank of torchrun."""

from __future__ import annotations

import math
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import torch

from fvlm_data.errors import ConfigError, StoreError
from fvlm_train.data.batches import CachedSource, TrainingBatches, read_ahead
from fvlm_train.data.snapshot import DATA, as_json, snapshot, snapshots, with_part
from fvlm_train.data.whole import WholeOrgans
from fvlm_train.errors import DivergedError
from fvlm_train.model.saved import CHECKPOINT
from fvlm_train.report.card import write_card
from fvlm_train.report.events import EventLog
from fvlm_train.runs import (
    CONFIG,
    SUMMARY,
    StepLog,
    check_resumable,
    load_checkpoint,
    save_checkpoint,
    write_json,
)
from fvlm_train.training.checks import check
from fvlm_train.training.correction import (
    corrected_by_average,
    corrected_by_peer,
    corrected_from,
    pairs_of,
)
from fvlm_train.training.distributed import Ranks, ranks
from fvlm_train.training.inputs import inputs_of, thinned
from fvlm_train.training.learner import Learner, NotFiniteError, learn
from fvlm_train.training.loss import loss_terms
from fvlm_train.training.prompted import labels_of
from fvlm_train.training.state import State, start
from fvlm_train.training.stopping import stop_asked
from fvlm_train.training.validation import due, exhausted, validated_auc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from fvlm_train.config import OptimiserConfig, TrainConfig
    from fvlm_train.data.batches import Batch
    from fvlm_train.data.crops import Facts
    from fvlm_train.data.snapshot import Snapshot
    from fvlm_train.data.windows import SampleSource
    from fvlm_train.prompts import Finding
    from fvlm_train.training.inputs import Inputs
    from fvlm_train.training.loss import Term
    from fvlm_train.training.stopping import Stop
    from fvlm_train.training.validation import Validate

Ended = Literal["complete", "time_limit", "stopped", "early_stop"]


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
class TrainSummary:
    """How a training ended; counts are those of the whole run, `time_s` that of this process.

    `ended` is complete, time_limit, early_stop (train.validation.patience), or stopped by
    `stop_signal`; `validation_auc` is the best mean AUC, of `validation_step`. Of the different
    `texts`, `cut_texts` lost what follows train.model.text.max_tokens. `states` counts the samples
    by anatomy and by what their reports say of it. `prompted_findings` are those whose labels were
    learned, None where train.loss.prompts has no weight. `samples_version` is that of the table
    `samples` that was read last, `data_changes` how often a run went on with other samples.
    """

    steps: int
    planned_steps: int
    ended: Ended
    steps_without_loss: int
    last_loss: float | None
    samples: int
    parameters: int
    time_s: float
    damaged_reads: int = 0
    corrected_pairs: int = 0
    texts: int = 0
    cut_texts: int = 0
    stop_signal: int | None = None
    patients: int = 0
    states: dict[str, dict[str, int]] = field(default_factory=dict)
    prompted_findings: int | None = None
    samples_version: int | None = None
    purpose: str | None = None
    restricted: int = 0
    data_changes: int = 0
    validation_auc: float | None = None
    validation_step: int | None = None


@dataclass(slots=True)
class _Counts:
    """What the summary tells of the steps of a run."""

    last_loss: float | None = None
    without_loss: int = 0
    damaged: int = 0
    corrected: int = 0

    def add(self, line: dict[str, Any]) -> None:
        """Count a step as the log has it."""
        self.last_loss = line["loss"]
        self.without_loss += line["loss"] is None
        self.damaged += len(line.get("damaged", ()))
        self.corrected += line.get("corrected_pairs", 0)


def train(
    config: TrainConfig,
    source: SampleSource,
    run: Path,
    report: Callable[[Step, int], None] = lambda step, steps: None,
    *,
    new_data: bool = False,
    findings: Sequence[Finding] = (),
    validate: Validate | None = None,
) -> TrainSummary:
    """Train a model on `source` and leave it in the folder `run`, or go on where `run` stopped.

    On CPU the same configuration, data and thread count give the same weights bit by bit, also when
    the run was killed and resumed. `report` is called by the first rank after each step with the
    number of planned steps. SIGINT and SIGTERM end it after the step in progress, saved. `new_data`
    lets a run go on with other samples than it began with. `findings` are those of the vocabulary,
    of which train.loss.prompts takes the labels. `validate` gives the mean AUC of a model on other
    samples, None where none can be scored; train.validation says when.

    Raises:
        ConfigError: the configuration and the data, or the run's earlier part, do not fit; or
            nothing can be validated.
        DivergedError: loss, gradient or weights are not finite; the checkpoint before is kept.
        StoreError: a sample cannot be read; what was learned before is saved.
    """
    with ranks(config.device) as place, _arithmetic(config, place), stop_asked() as stop:
        check(config, source, place.world)
        started_s = time.monotonic()
        streams = _streams(config, source, place)
        steps = len(streams[0])
        first_corrected = corrected_from(config, streams[0].steps_per_epoch, steps)
        state = start(
            config, source, run, place, first_corrected, new_data=new_data, findings=findings
        )
        run.mkdir(parents=True, exist_ok=True)
        parts = _remember_data(source, state, place, run)
        clock = _Clock(started_s, config.time_limit_s, stop)
        after = _After(config, run, len(streams[0]), place, validate)
        ended, counts = _trained(config, state, streams, after, clock, report)
        summary = TrainSummary(
            steps=state.step,
            planned_steps=steps,
            ended=ended,
            steps_without_loss=counts.without_loss,
            last_loss=counts.last_loss,
            samples=len(source),
            parameters=sum(weight.numel() for weight in state.learners[0].model.parameters()),
            time_s=round(time.monotonic() - started_s, 3),
            damaged_reads=counts.damaged,
            corrected_pairs=counts.corrected,
            texts=state.texts,
            cut_texts=state.cut_texts,
            stop_signal=stop.signal if ended == "stopped" else None,
            patients=len(set(source.rows["patient_id"].to_pylist())),
            states=_states(config, source),
            prompted_findings=_prompted(config, state),
            samples_version=parts[-1].samples_version,
            purpose=parts[-1].purpose,
            restricted=parts[-1].restricted,
            data_changes=sum(a.content != b.content for a, b in pairwise(parts)),
            validation_auc=state.validated.auc,
            validation_step=None if state.validated.auc is None else state.validated.step,
        )
        if place.first:
            write_json(run / SUMMARY, asdict(summary))
            write_json(run / CONFIG, config.model_dump(mode="json"))
            write_card(run)
        return summary


def _remember_data(source: SampleSource, state: State, place: Ranks, run: Path) -> list[Snapshot]:
    """Write which samples are learned from, from this step on; all ranks must have the same.

    Raises:
        ConfigError: a rank opened the store in another state than the first.
        InputError: RUN/data.json is damaged.
    """
    assert state.digests is not None
    now = snapshot(source, state.digests, state.step)
    if len(set(place.gather_objects(now.content))) > 1:
        raise ConfigError(
            f"run {run}: the ranks have opened different samples, as a curation changed them "
            "meanwhile; start again"
        )
    parts = with_part(snapshots(run), now)
    if place.first:
        write_json(run / DATA, as_json(parts))
    return parts


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a training would do: steps in all, and those that `run` has done already."""

    steps: int
    done: int


def foresee(config: TrainConfig, source: SampleSource, run: Path) -> Foreseen:
    """Look whether a training can begin or go on, and how long it is; nothing is written.

    Raises:
        ConfigError: the configuration and the data, or the run's earlier part, do not fit.
    """
    with ranks(config.device) as place:
        check(config, source, place.world)
        steps = len(_streams(config, source, place)[0])
    before = load_checkpoint(run)
    if before is None:
        return Foreseen(steps, 0)
    check_resumable(run, before, config)
    return Foreseen(steps, before.step)


def _prompted(config: TrainConfig, state: State) -> int | None:
    if config.loss.prompts.weight == 0:
        return None
    return 0 if state.prompted is None else len(state.prompted.ids)


def _states(config: TrainConfig, source: SampleSource) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {anatomy: Counter() for anatomy in config.anatomies}
    for row in source.rows.select(["anatomies", "states"]).to_pylist():
        for anatomy, state in zip(row["anatomies"], row["states"], strict=True):
            if anatomy in counts:
                counts[anatomy][state] += 1
    return {anatomy: dict(sorted(found.items())) for anatomy, found in counts.items()}


@dataclass(frozen=True, slots=True)
class _Clock:
    """What may end a training before its last step."""

    started_s: float
    limit_s: float | None
    stop: Stop

    def ended(self, place: Ranks) -> Ended | None:
        late = self.limit_s is not None and time.monotonic() - self.started_s > self.limit_s
        why: Ended | None = "stopped" if self.stop.signal is not None else None
        # of any rank: all must leave together, or the others would wait in the next gather
        said = [one for one in place.gather_objects(why or ("time_limit" if late else None)) if one]
        # somebody who waits for the stop matters more than a limit
        return "stopped" if "stopped" in said else said[0] if said else None


@dataclass(frozen=True, slots=True)
class _After:
    """What may follow a step: a validation, and the checkpoint."""

    config: TrainConfig
    run: Path
    steps: int
    place: Ranks
    validate: Validate | None

    def validated(self, state: State, step: Step) -> Step:
        """The step with the AUC of its validation, where one is due."""
        if self.validate is None or not due(self.config, step.step, self.steps):
            return step
        auc = validated_auc(self.run, self.config, state, self.steps, self.validate, self.place)
        return replace(step, validation_auc=round(auc, 6))

    def save(self, state: State) -> None:
        """Write the run's checkpoint."""
        save_checkpoint(self.run, state.checkpoint(self.config, self.steps))


def _trained(
    config: TrainConfig,
    state: State,
    streams: Sequence[TrainingBatches],
    after: _After,
    clock: _Clock,
    report: Callable[[Step, int], None],
) -> tuple[Ended, _Counts]:
    """Make the steps that are left, log and save them."""
    steps, saved, counts = len(streams[0]), state.step, _Counts()
    place, run = after.place, after.run
    with (
        StepLog(run, state.step, writes=place.first) as log,
        EventLog(run, log.earlier, writes=place.first) as events,
    ):
        for line in log.earlier:
            counts.add(line)
        if exhausted(config, state.validated):
            return "early_stop", counts
        try:
            for made in _steps(config, state, streams, place):
                step = after.validated(state, made)
                counts.add(asdict(step))
                log.write(asdict(step))
                events.write(asdict(step))
                if place.first:
                    report(step, steps)
                ended = _ended(config, state, steps, clock, place)
                if place.first and (ended or step.step % config.checkpoint_every_steps == 0):
                    after.save(state)
                    saved = step.step
                if ended:
                    return ended, counts
        except StoreError:
            if place.first and state.step > saved:
                after.save(state)
            raise
        except DivergedError as error:
            kept = f"{run / CHECKPOINT} keeps step {saved}" if saved else "no step was saved yet"
            raise DivergedError(f"{error}; {kept}") from error
    return "complete", counts


def _ended(
    config: TrainConfig, state: State, steps: int, clock: _Clock, place: Ranks
) -> Ended | None:
    if state.step == steps:
        return "complete"
    # of all ranks alike
    return "early_stop" if exhausted(config, state.validated) else clock.ended(place)


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


def _streams(config: TrainConfig, source: SampleSource, place: Ranks) -> list[TrainingBatches]:
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
    inputs = inputs_of(batch, terms, learner.model.tokenizer, place.device, prompts, config)
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
