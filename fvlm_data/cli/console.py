"""What the commands print: progress, summaries and the sentence that ends a failed run."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fvlm_data.errors import FvlmError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.inspect.verify import Check
    from fvlm_data.run.records import Summary

LINE_EVERY_S = 5.0
EXAMPLES = 3

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def one_sentence() -> Iterator[None]:
    """End a command that cannot run with one sentence on standard error and exit status 2."""
    try:
        _start_log(os.environ.get("FVLM_LOG") or "WARNING")
        yield
    except FvlmError as error:
        err.print(f"error: {error}", markup=False)
        sys.exit(2)
    except MemoryError:
        err.print(
            "error: memory did not suffice; what is settled is kept: give the machine more, or the "
            "command fewer execution.workers, and run again",
            markup=False,
        )
        sys.exit(2)
    except KeyboardInterrupt:
        err.print("stopped; what is settled is kept: run again to go on", markup=False)
        sys.exit(130)


def _start_log(level: str) -> None:
    known = logging.getLevelNamesMapping()
    if level.upper() not in known:
        raise InputError(f"FVLM_LOG: {level} found, expected one of {', '.join(known)}")
    logging.basicConfig(level=level.upper(), format="%(message)s")


class Show(Protocol):
    """Shows how far a stage has come: done, of a total (0 if not known), and a note."""

    def __call__(self, stage: str, done: int, total: int, note: str = "", /) -> None:
        """Show it."""


@contextmanager
def progress_shown() -> Iterator[Show]:
    """A progress function: bars on a terminal, else a line every few seconds."""
    # in a log file, bars would be control characters
    if not err.is_terminal:
        yield _line_progress()
        return
    columns = (
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=False),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=err) as progress:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int, note: str = "", /) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total or None, note=note)
            progress.update(tasks[stage], completed=done, total=total or None, note=note)

        yield show


def print_announced(lines: Sequence[str]) -> None:
    """How the inputs are understood, on standard error and before the run."""
    for line in lines:
        err.print(line, markup=False)


def print_summary(summary: Summary, *, as_json: bool) -> None:
    """Counts of a run: faults first, then what else was set aside, what waits, and where it is."""
    if as_json:
        out.print_json(json.dumps(dataclasses.asdict(summary)))
        return
    faults = {n: c for n, c in summary.set_aside.items() if n.startswith("fault:")}
    others = {n: c for n, c in summary.set_aside.items() if n not in faults}
    _listed("Faults", faults)
    _listed("Set aside", others)
    _listed("Cross-checks", summary.cross_checks)
    _listed("Review", summary.review)
    _listed("Waiting", summary.waiting)
    _listed("In the tables", summary.tables)
    for stage, counts in summary.stages.items():
        told = ", ".join(f"{n} {name}" for name, n in counts.items() if n and ":" not in name)
        out.print(f"  {stage:18} {told or 'nothing to do'}", markup=False)
    if summary.changed_settings:
        changed = ", ".join(summary.changed_settings)
        out.print(f"Settings that differ from the last run: {changed}", markup=False)
    if summary.changed_versions:
        changed = ", ".join(summary.changed_versions)
        out.print(
            f"Made with other versions than the last run: {changed}; what is settled stays",
            markup=False,
        )
    if summary.set_aside:
        hint = f"fvlm-data status --set-aside --store {summary.store}"
        out.print(f"What was set aside, and what to do: {hint}", markup=False)
    lost = sum(counts.get("lost", 0) for counts in summary.stages.values())
    if lost:
        out.print(
            f"{lost} damaged items have no source any more: restore them from a backup, or let go "
            f"of them: fvlm-data verify --give-up --store {summary.store}",
            markup=False,
        )
    if summary.next_step:
        out.print(f"Next: {summary.next_step}", markup=False)
    places = " and ".join(place for place in (summary.qc_page, summary.record) if place)
    out.print(
        f"Done in {summary.seconds:.0f} s. Store: {summary.store}"
        f"{f'; look there at {places}' if places else ''}",
        markup=False,
    )


def print_set_aside(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """What was set aside, by kind and reason, faults first; of each a few with what to do."""
    if as_json:
        out.print_json(json.dumps(list(rows)))
        return
    groups: dict[tuple[bool, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        name = f"{row['kind']}: {row['reason']}"
        groups.setdefault((row["kind"] != "fault", name), []).append(row)
    for (_, name), members in sorted(groups.items()):
        out.print(f"{name} ({len(members)})", markup=False)
        for row in members[:EXAMPLES]:
            files = [file for file in row["source_files"] if file != row["item"]]
            named = ", ".join(files[:EXAMPLES]) + (" ..." if len(files) > EXAMPLES else "")
            counted = f"{len(files)} files: " if len(files) > 1 else ""
            out.print(f"  {row['item']}{f' ({counted}{named})' if files else ''}", markup=False)
            out.print(f"    {row['detail']}", markup=False)
        if len(members) > EXAMPLES:
            out.print(f"  and {len(members) - EXAMPLES} more: --json lists all", markup=False)


def print_checks(checks: list[Check], *, as_json: bool) -> None:
    """The result of `verify`, broken statements first."""
    if as_json:
        out.print_json(json.dumps([dataclasses.asdict(check) for check in checks]))
        return
    for check in sorted(checks, key=lambda check: check.passed):
        mark = "ok    " if check.passed else "BROKEN"
        out.print(f"{mark} {check.name} ({check.counted})", markup=False)
        for example in check.examples:
            out.print(f"         {example}", markup=False)
        if check.remedy and not check.passed:
            out.print(f"       {check.remedy}", markup=False)


def _listed(title: str, counts: dict[str, int]) -> None:
    if counts:
        told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        out.print(f"{title}: {told}", markup=False)


def _line_progress() -> Show:
    last: dict[str, float] = {}

    def show(stage: str, done: int, total: int, note: str = "", /) -> None:
        now = time.monotonic()
        ended = total > 0 and done >= total
        if done and (ended or now - last.get(stage, -LINE_EVERY_S) >= LINE_EVERY_S):
            last[stage] = now
            of = f" of {total}" if total else ""
            err.print(f"{stage}: {done}{of}{f', {note}' if note else ''}", markup=False)

    return show
