"""Plans that found nothing to do, and hold for as long as nothing in the store has changed.

A plan hashes all rows that its items are made from. What it found is noted with the state of the
store: the declarations of all stages, and name, size and time of every file of the tables and
of every other file that stages wrote. A run that finds the same state makes no plan.

Bytes that change in a file while its size and time do not (a failing disk) are found by `verify`,
which drops the notes, so that the next run plans anew and mends.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from fvlm_data.hashing import content_key
from fvlm_data.identity.ids import keyed_id
from fvlm_data.store.place import as_os_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fvlm_data.store.declared import Context, Stage
    from fvlm_data.store.files import StoreFiles

NOTES = "plans.json"
TABLES = "tables"
NOT_OF_STAGES = frozenset({TABLES, "leases", "qc", "runs", "sums"})
"""Folders whose files are of no item; those of the tables are looked at before each plan."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """A plan of a stage that found nothing to do: items that are settled, and that wait."""

    state: str
    settled: int
    waiting: int


@dataclass(slots=True)
class Notes:
    """What earlier plans found, and what those of this run find; `files` are listed once a run."""

    declared: str
    files: str
    earlier: Mapping[str, Nothing]
    found: dict[str, Nothing] = field(default_factory=dict)


def opened_notes(context: Context, stages: Collection[Stage]) -> Notes:
    """The notes of earlier runs; none of them hold where the files of stages have changed."""
    declared = content_key(
        # relations of stages may hold ids made with the key
        keyed_id(context.vault.key, "v", context.store.store_id),
        *(_declared(stage) for stage in stages),
    )
    folders = [name for name in context.store.folders() if name not in NOT_OF_STAGES]
    return Notes(declared, _listing(context.store, folders), _read(context.store))


def nothing_to_do(context: Context, notes: Notes, stage: str, state: str) -> Nothing | None:
    """What a plan of the stage would find, where an earlier one found it in the same state.

    It holds on; None: a plan has to be made.
    """
    known = notes.earlier.get(stage)
    if known is None or known.state != state or context.retry:
        return None
    notes.found[stage] = known
    return known


def state_of(context: Context, notes: Notes, circumstances: str) -> str:
    """The state of the store as a plan finds it now, to be taken before the plan."""
    return content_key(
        notes.declared, notes.files, _listing(context.store, [TABLES]), circumstances
    )


def save_notes(context: Context, notes: Notes) -> None:
    """Keep what this run's plans found.

    Raises:
        StoreError: the store cannot be written.
    """
    found = {**notes.earlier, **notes.found}
    if found != notes.earlier:
        told = {stage: asdict(one) for stage, one in found.items()}
        context.store.write_bytes(NOTES, json.dumps(told, sort_keys=True).encode())


def drop_notes(store: StoreFiles) -> None:
    """Have the next run plan anew, whatever it finds.

    Raises:
        OSError: the store cannot be written.
    """
    with as_os_errors():
        store.remove(NOTES)


def _read(store: StoreFiles) -> dict[str, Nothing]:
    if not store.exists(NOTES):
        return {}
    try:
        told = json.loads(store.read_bytes(NOTES))
        return {stage: Nothing(**one) for stage, one in told.items()}
    except (ValueError, TypeError, AttributeError):
        return {}  # cut by a kill on object storage, or of another program: a plan costs only time


def _declared(stage: Stage) -> list[Any]:
    reads = [asdict(read) for read in stage.reads]
    return [
        stage.name, stage.version, dict(stage.settings), stage.tables, stage.items, reads,
        stage.refs, dict(stage.views), stage.derived, stage.kept, stage.gone, stage.holders,
        {table: dict(columns) for table, columns in stage.partition.items()}, stage.waits,
    ]  # fmt: skip


def _listing(store: StoreFiles, folders: Collection[str]) -> str:
    """A hash of names, sizes and times of all files below the folders."""
    listed = hashlib.sha256()
    for folder in folders:
        for line in store.stamps(folder):
            listed.update(f"{line}\n".encode())
    return listed.hexdigest()
