"""What the commands print: progress, summaries and the sentence that ends a failed run."""

from __future__ import annotations

import dataclasses
import json
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

from fvlm_data.errors import FvlmError
from fvlm_data.monitoring.logs import event, level_of_log, start_log
from fvlm_data.monitoring.pace import pace, rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fvlm_data.inspect.verify import Check
    from fvlm_data.run.records import Summary

LINE_EVERY_S = 5.0
EXAMPLES = 3

out = Console(highlight=False, soft_wrap=True, emoji=False)
"""What a command found, for a person; silent with --quiet."""
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
"""Progress and hints beside it; silent with --quiet."""
machine = Console(highlight=False, soft_wrap=True, emoji=False, no_color=True)
"""What --json asks for, and nothing else: never silent."""
fault = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
"""Why a command could not run: never silent."""


@contextmanager
def quieted(*, quiet: bool) -> Iterator[None]:
    """With `quiet` nothing is said but faults and what --json asks for."""
    before = out.quiet, err.quiet
    out.quiet, err.quiet = out.quiet or quiet, err.quiet or quiet
    try:
        yield
    finally:
        out.quiet, err.quiet = before


def print_json(value: object) -> None:
    """One JSON value on standard output: the result of a command with --json."""
    machine.print_json(json.dumps(value, allow_nan=False))


def print_json_line(value: object) -> None:
    """The same on one line, for results that follow each other."""
    machine.print(json.dumps(value, allow_nan=False), markup=False)


def print_line(line: str) -> None:
    """One line of a result."""
    out.print(line, markup=False)


@contextmanager
def one_sentence() -> Iterator[None]:
    """End a command that cannot run with one sentence on standard error and exit status 2."""
    try:
        start_log(level_of_log("WARNING"), "text")
        yield
    except FvlmError as error:
        fault.print(f"error: {error}", markup=False)
        sys.exit(2)
    except MemoryError:
        fault.print(
            "error: memory did not suffice; what is settled is kept: give the machine more, or the "
            "command fewer execution.workers, and run again",
            markup=False,
        )
        sys.exit(2)
    except KeyboardInterrupt:
        fault.print("stopped; what is settled is kept: run again to go on", markup=False)
        sys.exit(130)


class Show(Protocol):
    """Shows how far a stage has come: done, of a total (0 if not known), and a note."""

    def __call__(self, stage: str, done: int, total: int, note: str = "", /) -> None:
        """Show it."""


@contextmanager
def progress_shown(log: str = "text") -> Iterator[Show]:
    """A progress function: bars on a terminal, else a line every few seconds.

    With `log` of `json` an event every few seconds, so that all lines are of that form.
    """
    if log == "json":
        yield _event_progress()
        return
    if err.quiet:
        yield lambda stage, done, total, note="", /: None
        return
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
        TextColumn("{task.fields[rate]}", markup=False),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=err) as progress:
        tasks: dict[str, Any] = {}
        begun: dict[str, float] = {}

        def show(stage: str, done: int, total: int, note: str = "", /) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total or None, note=note, rate="")
                begun[stage] = time.monotonic()
            seconds = time.monotonic() - begun[stage]
            told = rate(done / seconds) if done and seconds else ""
            progress.update(tasks[stage], completed=done, total=total or None, note=note, rate=told)

        yield show


def print_announced(lines: Sequence[str]) -> None:
    """How the inputs are understood, on standard error and before the run."""
    for line in lines:
        err.print(line, markup=False)


def print_summary(summary: Summary, *, as_json: bool) -> None:
    """Counts of a run: faults first, then what else was set aside, what waits, and where it is."""
    if as_json:
        print_json(dataclasses.asdict(summary))
        return
    faults = {n: c for n, c in summary.set_aside.items() if n.startswith("fault:")}
    others = {n: c for n, c in summary.set_aside.items() if n not in faults}
    print_counts("Faults", faults)
    print_counts("Set aside", others)
    print_counts("Cross-checks", summary.cross_checks)
    print_counts("Review", summary.review)
    print_counts("Waiting", summary.waiting)
    print_counts("In the tables", summary.tables)
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
    if summary.qc_page:
        out.print(f"To look: fvlm-data open --store {summary.store}", markup=False)
    out.print(
        f"Done in {summary.seconds:.0f} s. Store: {summary.store}"
        f"{f'; look there at {places}' if places else ''}",
        markup=False,
    )


def print_set_aside(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """What was set aside, by kind and reason, faults first; of each a few with what to do."""
    if as_json:
        print_json(list(rows))
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
        print_json([dataclasses.asdict(check) for check in checks])
        return
    for check in sorted(checks, key=lambda check: check.passed):
        mark = "ok    " if check.passed else "BROKEN"
        out.print(f"{mark} {check.name} ({check.counted})", markup=False)
        for example in check.examples:
            out.print(f"         {example}", markup=False)
        if check.remedy and not check.passed:
            out.print(f"       {check.remedy}", markup=False)


def print_counts(title: str, counts: dict[str, int]) -> None:
    """Counts by name on one line, if there are any."""
    if counts:
        told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        out.print(f"{title}: {told}", markup=False)


def _line_progress() -> Show:
    def line(stage: str, done: int, total: int, seconds: float, note: str) -> None:
        of = f" of {total}{pace(done, total, seconds)}" if total else ""
        err.print(f"{stage}: {done}{of}{f', {note}' if note else ''}", markup=False)

    return _now_and_then(line)


def _event_progress() -> Show:
    def told(stage: str, done: int, total: int, seconds: float, note: str) -> None:
        rate = done / seconds if seconds else None
        left = (total - done) / rate if rate and total else None
        event("progress", stage=stage, done=done, total=total, rate_per_s=rate, left_s=left)

    return _now_and_then(told)


def _now_and_then(tell: Callable[[str, int, int, float, str], None]) -> Show:
    """Have `tell` called every few seconds, with the seconds since a stage was first shown."""
    begun: dict[str, float] = {}
    last: dict[str, float] = {}

    def show(stage: str, done: int, total: int, note: str = "", /) -> None:
        now = time.monotonic()
        begun.setdefault(stage, now)
        ended = total > 0 and done >= total
        if done and (ended or now - last.get(stage, -LINE_EVERY_S) >= LINE_EVERY_S):
            last[stage] = now
            tell(stage, done, total, now - begun[stage], note)

    return show
