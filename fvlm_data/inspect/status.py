"""How a store stands: by stage done, to do and for how long, who waits for what, runs, disk."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import StoreError
from fvlm_data.run.records import Summary, add_counts, tally
from fvlm_data.run.stages import build_stages
from fvlm_data.shards.restricted import refused_in
from fvlm_data.store.leases import runs_at_work
from fvlm_data.store.planning import outlook
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Context
    from fvlm_data.store.tables import Store

RUNS = 5
"""Runs that are told, the last first."""

LOOKED_AT = 20
"""Records that are read at most to find how fast a stage is."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Items a second that a stage settled when it last worked, and seconds that it still needs.

    None where that is not known: it has never worked, or has nothing to do.
    """

    per_s: float | None
    left_s: float | None


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its state, and of one at work the stage with items done, in all, and seconds."""

    run_id: str
    state: str
    seconds: float | None = None
    settled: int = 0
    set_aside: int = 0
    stage: str = ""
    done: int = 0
    total: int = 0
    stage_seconds: float = 0.0


@dataclass(slots=True)
class Status:
    """How a store stands; `summary` has items by stage and what the tables hold.

    `set_aside` are numbers of rows by stage; `waiting` ids by kind of owner and what it waits for,
    as `study waits for report`; `restricted` numbers of patients and studies by the purpose that
    they refuse; `free_bytes` and `total_bytes` are of the store's disk, None in a
    bucket; `bytes_by_folder` only where it was asked for.
    """

    summary: Summary
    pace: dict[str, Pace] = field(default_factory=dict)
    set_aside: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, list[str]] = field(default_factory=dict)
    restricted: dict[str, int] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    free_bytes: int | None = None
    total_bytes: int | None = None
    bytes_by_folder: dict[str, int] = field(default_factory=dict)


def status(context: Context, config: Config, *, sizes: bool = False) -> Status:
    """Look at a store; nothing of it is changed. With `sizes` all files are listed.

    A clock is written into leases/ for a moment where a run of another machine is at work.

    Raises:
        StoreError: a table is missing or damaged, or a record cannot be read.
    """
    told = Status(Summary("status", context.store.url))
    kept = records(context.store)
    for stage in build_stages(config):
        seen = outlook(context, stage)
        counts: Any = {"settled": seen.settled, "to do": seen.due}
        add_counts(told.summary, _group(stage.name), counts)
    for name, counts in told.summary.stages.items():
        told.pace[name] = pace_of(kept, name, counts["to do"])
    by_stage = "SELECT stage, count(*) FROM quarantine GROUP BY 1 ORDER BY 1"
    for name, number in Relations(context.store).rows(by_stage):
        told.set_aside[_group(name)] = told.set_aside.get(_group(name), 0) + number
    told.waiting = waiting(context)
    refused = refused_in(context.store)
    told.restricted = {purpose: len(refused[purpose]) for purpose in sorted(refused)}
    tally(context, told.summary)
    told.runs = _runs(context.store, kept[:RUNS])
    _look_at_disk(context.store, told, sizes=sizes)
    return told


def waiting(context: Context) -> dict[str, list[str]]:
    """Ids of what waits, by its kind and what it waits for."""
    query = (
        "SELECT owner_kind || ' waits for ' || waits_for, list(owner_id ORDER BY owner_id) "
        "FROM waiting GROUP BY 1 ORDER BY 1"
    )
    return dict(Relations(context.store).rows(query))


def _group(stage: str) -> str:
    """Tasks of one stage are told as one."""
    return stage.split(":", 1)[0]


def records(store: Store) -> list[dict[str, Any]]:
    """Records of the last runs, the last first.

    Raises:
        StoreError: one is damaged.
    """
    # ids begin with the UTC time, so names are in the order of time
    paths = sorted(path for path in store.files("runs") if path.endswith(".json"))
    made = []
    for path in reversed(paths[-LOOKED_AT:]):
        try:
            made.append(dict(json.loads(store.read_bytes(path))))
        except ValueError as error:
            raise StoreError(
                f"store {store.url}: {path} is damaged, expected the record of a run; remove it"
            ) from error
    return made


def pace_of(records: Sequence[dict[str, Any]], stage: str, due: int) -> Pace:
    """How fast a stage last went, by the records of runs, and how long `due` items take so."""
    for record in records:
        done, seconds = _settled(record.get("stages", {}).get(stage, {})), 0.0
        if stage in record.get("stage_seconds", {}):
            seconds = record["stage_seconds"][stage]
        elif stage in record.get("progress", {}):  # at work, or ended by a kill
            done, _, seconds = record["progress"][stage]
        if done and seconds:
            per_s = done / seconds
            return Pace(per_s, due / per_s if due else None)
    return Pace(None, None)


def _settled(counts: Counter[str] | dict[str, int]) -> int:
    return counts.get("accepted", 0) + counts.get("set_aside", 0)


def _runs(store: Store, records: Sequence[dict[str, Any]]) -> list[Run]:
    at_work = runs_at_work(store)
    return [_run(record, active=record["run_id"] in at_work) for record in records]


def _run(record: dict[str, Any], *, active: bool) -> Run:
    stages = record.get("stages", {}).values()
    run = Run(
        record["run_id"],
        _state(record, active=active),
        record["seconds"],
        sum(_settled(counts) for counts in stages),
        sum(counts.get("set_aside", 0) for counts in stages),
    )
    progress = record.get("progress", {})
    if not active or not progress:
        return run
    stage = list(progress)[-1]
    done, total, seconds = progress[stage]
    return Run(run.run_id, run.state, None, run.settled, run.set_aside, stage, done, total, seconds)


def _state(record: dict[str, Any], *, active: bool) -> str:
    if active:
        return "at work"
    if record["finished"]:
        return "completed"
    return f"failed ({record['failed']})" if record.get("failed") else "interrupted"


def _look_at_disk(store: Store, told: Status, *, sizes: bool) -> None:
    if store.local_root is not None:
        usage = shutil.disk_usage(store.local_root)
        told.free_bytes, told.total_bytes = usage.free, usage.total
    if sizes:
        for path, size in store.sizes("").items():
            folder = path.split("/", 1)[0]
            told.bytes_by_folder[folder] = told.bytes_by_folder.get(folder, 0) + size
