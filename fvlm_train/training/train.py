"""Training, from top to bottom: one device, or one rank of torchrun."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

from fvlm_data.errors import ConfigError
from fvlm_train.data.snapshot import DATA, as_json, snapshot, snapshots, with_part
from fvlm_train.report.card import write_card
from fvlm_train.runs import CONFIG, SUMMARY, check_resumable, load_checkpoint, write_json
from fvlm_train.training.checks import check
from fvlm_train.training.correction import corrected_from
from fvlm_train.training.distributed import Ranks, ranks
from fvlm_train.training.loop import After, Clock, trained
from fvlm_train.training.state import State, start
from fvlm_train.training.steps import Step, streams_of
from fvlm_train.training.stopping import stop_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from fvlm_train.config import TrainConfig
    from fvlm_train.data.snapshot import Snapshot
    from fvlm_train.data.windows import SampleSource
    from fvlm_train.prompts import Finding
    from fvlm_train.training.loop import Ended
    from fvlm_train.training.validation import Validate


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
        streams = streams_of(config, source, place)
        steps = len(streams[0])
        first_corrected = corrected_from(config, streams[0].steps_per_epoch, steps)
        state = start(
            config, source, run, place, first_corrected, new_data=new_data, findings=findings
        )
        run.mkdir(parents=True, exist_ok=True)
        parts = _remember_data(source, state, place, run)
        clock = Clock(started_s, config.time_limit_s, stop)
        after = After(config, run, len(streams[0]), place, validate)
        ended, counts = trained(config, state, streams, after, clock, report)
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
        steps = len(streams_of(config, source, place)[0])
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
