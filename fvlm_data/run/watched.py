"""What a run tells while it is at work: its record, the metrics and the log."""

from __future__ import annotations

import shutil
import time
import traceback
from contextlib import contextmanager
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import FvlmError
from fvlm_data.monitoring.logs import event
from fvlm_data.monitoring.metrics import Figures, write_metrics
from fvlm_data.run.records import keep_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fvlm_data.isolation.limits import Ended
    from fvlm_data.run.config import Config
    from fvlm_data.run.mappers import Batch
    from fvlm_data.run.records import Summary
    from fvlm_data.store.declared import Context

EVERY_S = 15.0
"""Between two writings within a stage: what looks at a run may be so much behind."""


class Watch:
    """Follows a run; `report` is what shows its progress to a person."""

    def __init__(
        self,
        context: Context,
        config: Config,
        summary: Summary,
        report: Callable[[str, int, int], None] | None,
    ) -> None:
        """Begin to follow the run that fills `summary`."""
        self._context = context
        self._config = config
        self._summary = summary
        self._report = report
        self._started = time.time()
        self._told_at = 0.0
        self._batches: dict[str, int] = {}
        self._begun: dict[str, float] = {}
        self._progress: dict[str, tuple[int, int, float]] = {}

    def report(self, stage: str, done: int, total: int) -> None:
        """A stage has `done` items of `total` (0: not known)."""
        now = time.time()
        seconds = now - self._begun.setdefault(stage, now)
        self._progress.pop(stage, None)  # the last one is that which is at work
        self._progress[stage] = done, total, round(seconds, 1)
        if self._report is not None:
            self._report(stage, done, total)
        if now - self._told_at >= EVERY_S:
            self._tell(active=True)

    def batch(self, stage: str, batch: Batch, result: Mapping[str, int] | Ended) -> None:
        """A batch of a stage, or a part of it, has a result."""
        number = self._batches[stage] = self._batches.get(stage, 0) + 1
        self._event(
            "batch settled" if isinstance(result, dict) else "process ended",
            stage=stage,
            batch=number,
            items=[item for item, _, _ in batch],
            **({"counts": dict(result)} if isinstance(result, dict) else {}),
        )

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage is worked on."""
        started = time.monotonic()
        self._event("stage begun", stage=name)
        yield
        seconds = round(time.monotonic() - started, 1)
        self._summary.stage_seconds[name] = seconds
        counts = self._summary.stages.get(name, {})
        self._event("stage ended", stage=name, counts=counts, seconds=seconds)
        self._tell(active=True)

    @contextmanager
    def run(self, stages: Sequence[str]) -> Iterator[None]:
        """The run as a whole; one that fails leaves in its record by what kind of error."""
        self._event("run begun", stages=list(stages))
        self._metrics(active=True)
        try:
            yield
        except BaseException as error:
            self._event("run failed", kind=type(error).__name__)
            self._summary.failed = type(error).__name__
            self._summary.failed_at = [
                f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(error.__traceback__)
            ]
            self._tell(active=False)
            raise
        self._event(
            "run ended",
            seconds=self._summary.seconds,
            set_aside=self._summary.set_aside,
            waiting=self._summary.waiting,
        )
        try:
            self._metrics(active=False)
        except FvlmError as error:
            self._event("metrics not written", kind=type(error).__name__)

    def _event(self, message: str, **fields: Any) -> None:
        event(message, run=self._context.run_id, **fields)

    def _tell(self, *, active: bool) -> None:
        """Write record and metrics; where that fails, the run goes on and does not tell."""
        self._told_at = time.time()
        try:
            keep_progress(self._context, self._config, self._summary, self._progress)
            self._metrics(active=active)
        except FvlmError as error:
            self._event("progress not written", kind=type(error).__name__)

    def _metrics(self, *, active: bool) -> None:
        if self._config.monitoring.metrics is None:
            return
        root = self._context.store.local_root
        summary = self._summary
        figures = Figures(
            store=PurePosixPath(summary.store).name,
            started=self._started,
            now=time.time(),
            active=active,
            failed=bool(summary.failed),
            stages=summary.stages,
            seconds=summary.stage_seconds,
            progress={name: counts[:2] for name, counts in self._progress.items()},
            tables=summary.tables,
            set_aside=summary.set_aside,
            waiting=summary.waiting,
            free_bytes=shutil.disk_usage(root).free if root is not None else None,
        )
        write_metrics(self._config.monitoring.metrics, figures)
