"""From step to step: the log, the checkpoint, the validation, and what ends a training."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from fvlm_data.errors import StoreError
from fvlm_train.errors import DivergedError, TrackingError
from fvlm_train.model.saved import CHECKPOINT
from fvlm_train.report.events import EventLog
from fvlm_train.report.table import TableLog
from fvlm_train.runs import StepLog, save_checkpoint
from fvlm_train.tracking.log import TrackingLog
from fvlm_train.training.steps import Step, made_steps
from fvlm_train.training.validation import due, exhausted, validated_auc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fvlm_train.config import TrainConfig
    from fvlm_train.data.batches import TrainingBatches
    from fvlm_train.training.distributed import Ranks
    from fvlm_train.training.state import State
    from fvlm_train.training.stopping import Stop
    from fvlm_train.training.validation import Validate

Ended = Literal["complete", "time_limit", "stopped", "early_stop"]


@dataclass(slots=True)
class Counts:
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


@dataclass(frozen=True, slots=True)
class Clock:
    """What may end a training before its last step."""

    started_s: float
    limit_s: float | None
    stop: Stop

    def ended(self, place: Ranks) -> Ended | None:
        """What ends the training of all ranks now, if anything does."""
        late = self.limit_s is not None and time.monotonic() - self.started_s > self.limit_s
        why: Ended | None = "stopped" if self.stop.signal is not None else None
        # of any rank: all must leave together, or the others would wait in the next gather
        said = [one for one in place.gather_objects(why or ("time_limit" if late else None)) if one]
        # somebody who waits for the stop matters more than a limit
        return "stopped" if "stopped" in said else said[0] if said else None


@dataclass(frozen=True, slots=True)
class After:
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

    @property
    def shared(self) -> bool:
        """Whether no rank has the whole model."""
        return self.place.world > 1 and self.config.compute.parallel == "fsdp2"

    def save(self, state: State) -> None:
        """Write the run's checkpoint, on the first rank; where ranks share a model all must ask."""
        if not (self.place.first or self.shared):
            return
        checkpoint = state.checkpoint(self.config, self.steps)
        if self.place.first:
            save_checkpoint(self.run, checkpoint)


def trained(
    config: TrainConfig,
    state: State,
    streams: Sequence[TrainingBatches],
    after: After,
    clock: Clock,
    report: Callable[[Step, int], None],
) -> tuple[Ended, Counts]:
    """Make the steps that are left, log and save them."""
    steps, saved, counts = len(streams[0]), state.step, Counts()
    place, run = after.place, after.run
    with (
        StepLog(run, state.step, writes=place.first) as log,
        TableLog(
            run,
            [one.name for one in fields(Step)],
            config.anatomies,
            log.earlier,
            writes=place.first,
        ) as table,
        EventLog(run, log.earlier, writes=place.first) as events,
        TrackingLog(run, config, log.earlier, writes=place.first) as tracking,
    ):
        for line in log.earlier:
            counts.add(line)
        if exhausted(config, state.validated):
            return "early_stop", counts
        try:
            for made in made_steps(config, state, streams, place):
                step = after.validated(state, made)
                line = asdict(step)
                counts.add(line)
                for one in (log, table, events, tracking):
                    one.write(line)
                if place.first:
                    report(step, steps)
                ended = _ended(config, state, steps, clock, place)
                if ended or step.step % config.checkpoint_every_steps == 0:
                    after.save(state)
                    saved = step.step
                if ended:
                    return ended, counts
        except (StoreError, TrackingError):
            # the other ranks know nothing of it, and would not come to put shares together
            if state.step > saved and not after.shared:
                after.save(state)
            raise
        except DivergedError as error:
            kept = f"{run / CHECKPOINT} keeps step {saved}" if saved else "no step was saved yet"
            raise DivergedError(f"{error}; {kept}") from error
    return "complete", counts


def _ended(
    config: TrainConfig, state: State, steps: int, clock: Clock, place: Ranks
) -> Ended | None:
    if state.step == steps:
        return "complete"
    # of all ranks alike
    return "early_stop" if exhausted(config, state.validated) else clock.ended(place)
