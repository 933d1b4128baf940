"""Figures of a run as Prometheus reads them, in a file: nothing listens on a port.

The text format 0.0.4 of Prometheus, for the textfile collector of its node_exporter, which takes
files that end in .prom and expects them whole: they are written beside and renamed.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fvlm_data.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

HELP = {
    "fvlm_run_active": "1 while a run is at work, else 0",
    "fvlm_run_failed": "1 if the last run failed, else 0",
    "fvlm_run_start_seconds": "when the last run began, seconds since 1970",
    "fvlm_run_update_seconds": "when this file was written, seconds since 1970",
    "fvlm_stage_items": "items of the last run by stage and what became of them",
    "fvlm_stage_seconds": "time of the last run in a stage, seconds",
    "fvlm_stage_due": "items that the stage of the last run had to do",
    "fvlm_stage_done": "items that it has done",
    "fvlm_table_rows": "rows of a table when the last run ended",
    "fvlm_set_aside": "rows of quarantine by kind and reason when the last run ended",
    "fvlm_waiting": "studies and reports that wait, by what for, when the last run ended",
    "fvlm_store_free_bytes": "room on the disk of the store, bytes",
}


@dataclass(slots=True)
class Figures:
    """Numbers of a run; names and codes only, no item.

    `stages` are counts by stage, `progress` items done and due of a stage; `ended` figures are
    known when the run has ended.
    """

    store: str
    started: float
    now: float
    active: bool
    failed: bool = False
    stages: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    progress: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    tables: Mapping[str, int] = field(default_factory=dict)
    set_aside: Mapping[str, int] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)
    free_bytes: int | None = None


def metrics_text(figures: Figures) -> str:
    """The file's content: samples of one metric together, below its help."""
    by_name: dict[str, list[str]] = {}
    for name, labels, value in _samples(figures):
        told = {"store": figures.store, **labels}
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in told.items())
        by_name.setdefault(name, []).append(f"{name}{{{inner}}} {value:.15g}")
    lines = []
    for name, samples in by_name.items():
        lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge", *samples]
    return "\n".join(lines) + "\n"


def write_metrics(path: Path, figures: Figures) -> None:
    """Write the file whole.

    Raises:
        StoreError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(metrics_text(figures), encoding="utf-8")
        draft.chmod(0o644)  # node_exporter runs as another user
        draft.replace(path)
    except OSError as error:
        raise StoreError(
            f"monitoring.metrics {path}: cannot be written ({error.strerror}); expected a file in "
            "a folder that this user may write"
        ) from error


def _samples(figures: Figures) -> Iterator[tuple[str, dict[str, str], float]]:
    yield "fvlm_run_active", {}, figures.active
    yield "fvlm_run_failed", {}, figures.failed
    yield "fvlm_run_start_seconds", {}, figures.started
    yield "fvlm_run_update_seconds", {}, figures.now
    for stage, counts in figures.stages.items():
        for outcome, number in counts.items():
            if ":" not in outcome:  # counts by reason: those of the store are told below
                labels = {"stage": stage, "outcome": outcome.replace(" ", "_")}
                yield "fvlm_stage_items", labels, number
    for stage, seconds in figures.seconds.items():
        yield "fvlm_stage_seconds", {"stage": stage}, seconds
    for stage, (done, due) in figures.progress.items():
        yield "fvlm_stage_done", {"stage": stage}, done
        yield "fvlm_stage_due", {"stage": stage}, due
    for table, rows in figures.tables.items():
        yield "fvlm_table_rows", {"table": table}, rows
    for name, number in figures.set_aside.items():
        kind, _, reason = name.partition(":")
        yield "fvlm_set_aside", {"kind": kind, "reason": reason}, number
    for name, number in figures.waiting.items():
        owner, _, waits_for = name.partition(" waits for ")
        yield "fvlm_waiting", {"owner": owner, "waits_for": waits_for}, number
    if figures.free_bytes is not None:
        yield "fvlm_store_free_bytes", {}, figures.free_bytes


def _escaped(text: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", text).replace("\n", r"\n")
