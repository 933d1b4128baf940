"""`fvlm-data status`: how a store stands, once or again and again."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fvlm_data.cli.console import (
    EXAMPLES,
    err,
    one_sentence,
    out,
    print_counts,
    print_json_line,
    print_set_aside,
)
from fvlm_data.cli.inspection import RevealOption
from fvlm_data.cli.options import JsonOption, StoreOption, opened_context, resolved_config
from fvlm_data.errors import InputError
from fvlm_data.monitoring.pace import duration, pace, rate

if TYPE_CHECKING:
    from fvlm_data.inspect.status import Run, Status

GB = 1e9


def status(
    store: StoreOption,
    set_aside: Annotated[
        bool,
        typer.Option(
            "--set-aside", help="list what was set aside, reports that wait, and what to do"
        ),
    ] = False,
    waiting: Annotated[
        bool,
        typer.Option("--waiting", help="list studies and reports that wait, and what to do"),
    ] = False,
    reveal: RevealOption = False,
    sizes: Annotated[
        bool, typer.Option("--sizes", help="also bytes by folder of the store: lists all files")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="look again and again, until stopped by Ctrl-C")
    ] = False,
    every: Annotated[
        float, typer.Option(min=1, help="for --watch: seconds between two looks")
    ] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """What a store holds, what is left to do and for how long, who waits, last runs, disk."""
    with one_sentence():
        if set_aside or waiting:
            if watch or sizes:
                raise InputError("--watch and --sizes are not for --set-aside and --waiting")
            print_set_aside(_listed(store, set_aside, waiting, reveal), as_json=as_json)
            return
        if reveal:
            raise InputError("--reveal is for --set-aside and --waiting: give both")
        _look(store, sizes=sizes, as_json=as_json)
        if watch:
            _watch(store, every, sizes=sizes, as_json=as_json)


def _listed(store: str, set_aside: bool, waiting: bool, reveal: bool) -> list[dict[str, Any]]:
    from fvlm_data.inspect import explain

    context = opened_context(store)
    rows = explain.set_aside(context, reveal=reveal) if set_aside else []
    waits = explain.waiting_items if waiting else explain.waiting_reports
    return rows + waits(context, reveal=reveal)


def _watch(store: str, every: float, *, sizes: bool, as_json: bool) -> None:
    try:
        while True:
            time.sleep(every)
            _look(store, sizes=sizes, as_json=as_json, again=True)
    except KeyboardInterrupt:
        err.print("stopped looking; a run goes on", markup=False)


def _look(store: str, *, sizes: bool, as_json: bool, again: bool = False) -> None:
    from fvlm_data.inspect.status import status as looked_at

    # opened anew each time: configuration and tables may have changed
    config = resolved_config(store, None, None, {})
    seen = looked_at(opened_context(store), config, sizes=sizes)
    if as_json:
        print_json_line(_plain(seen))
        return
    if again and out.is_terminal:
        out.clear()
    print_status(seen)


def _plain(seen: Status) -> dict[str, Any]:
    """One level: what the summary has, then the rest under keys of its own."""
    told = dataclasses.asdict(seen)
    return {
        **told.pop("summary"),
        "set_aside_by_stage": told.pop("set_aside"),
        "waiting_ids": told.pop("waiting"),
        **told,
    }


def print_status(seen: Status) -> None:
    """The status for a person, faults first."""
    summary = seen.summary
    faults = {n: c for n, c in summary.set_aside.items() if n.startswith("fault:")}
    print_counts("Faults", faults)
    print_counts("Set aside", {n: c for n, c in summary.set_aside.items() if n not in faults})
    print_counts("Cross-checks", summary.cross_checks)
    print_counts("Review", summary.review)
    print_counts("Waiting", summary.waiting)
    for name, ids in seen.waiting.items():
        more = f" and {len(ids) - EXAMPLES} more (--waiting)" if len(ids) > EXAMPLES else ""
        out.print(f"  {name}: {', '.join(ids[:EXAMPLES])}{more}", markup=False)
    restricted = {f"for {purpose}": number for purpose, number in seen.restricted.items()}
    print_counts("Restricted patients and studies", restricted)
    print_counts("In the tables", summary.tables)
    for name in summary.stages:
        out.print(f"  {name:18} {_stage(seen, name)}", markup=False)
    left = [one.left_s for one in seen.pace.values() if one.left_s]
    if left:
        out.print(f"Time left, as stages last went: {duration(sum(left))}", markup=False)
    for run in seen.runs:
        out.print(f"  run {run.run_id}: {_run(run)}", markup=False)
    if seen.free_bytes is not None and seen.total_bytes:
        free, total = seen.free_bytes / GB, seen.total_bytes / GB
        out.print(f"Disk: {free:.1f} of {total:.1f} GB free", markup=False)
    for folder, size in sorted(seen.bytes_by_folder.items()):
        out.print(f"  {folder:18} {size / GB:.3f} GB", markup=False)
    _print_hints(seen)


def _stage(seen: Status, name: str) -> str:
    counts = {**seen.summary.stages[name], "set aside": seen.set_aside.get(name, 0)}
    told = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
    pace_of = seen.pace[name]
    if counts["to do"] and pace_of.per_s:
        told += f", {rate(pace_of.per_s)}"
        told += f", {duration(pace_of.left_s)} left" if pace_of.left_s else ""
    return told or "nothing to do"


def _run(run: Run) -> str:
    if run.stage:
        of = f" of {run.total}{pace(run.done, run.total, run.stage_seconds)}" if run.total else ""
        return f"{run.state}, {run.stage} {run.done}{of}"
    took = f" in {duration(run.seconds)}" if run.seconds is not None else ""
    aside = f", {run.set_aside} of them set aside" if run.set_aside else ""
    return f"{run.state}{took}, {run.settled} settled{aside}"


def _print_hints(seen: Status) -> None:
    summary = seen.summary
    if summary.set_aside:
        hint = f"fvlm-data status --set-aside --store {summary.store}"
        out.print(f"What was set aside, and what to do: {hint}", markup=False)
    if summary.next_step:
        out.print(f"Next: {summary.next_step}", markup=False)
    page = f"; look there at {summary.qc_page}" if summary.qc_page else ""
    out.print(f"Store: {summary.store}{page}", markup=False)
