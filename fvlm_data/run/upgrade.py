"""Bringing a store that an older program made to this version; only reports are read anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import schemas
from fvlm_data.run.config import written_config
from fvlm_data.run.records import (
    last_configuration,
    last_record,
    new_run_id,
    open_vault,
)
from fvlm_data.run.stages import build_stages
from fvlm_data.store.commits import retire, settle
from fvlm_data.store.declared import Context
from fvlm_data.store.discovered import DISCOVERIES, close_sources
from fvlm_data.store.migration import (
    add_missing_tables,
    lacks_columns,
    rewrite_table,
    set_properties,
)
from fvlm_data.store.planning import outlook, pending, settled_before
from fvlm_data.store.tables import MARK, Store
from schemas import LedgerRow, StoredFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.store.declared import Stage

OLDER = (1, 2, 3, 4, 5, 6)
"""Versions that can be upgraded."""

OWN_RECIPE = 1
"""The last version whose keys were made in another way: its items are compared with nothing."""

CAME_LATER = ("versions", "match")
"""Stages that version 1 did not have: they are run on what tables and vault hold."""

READ_ANEW = ("reports",)
"""Stages whose rows lack what version 3 keeps (times, confidence): the next run makes them anew."""

LEDGER_ROWS = 100_000

DISCOVERED = frozenset({"inputs", "quarantine", "links"})
"""Tables that discovery writes, whose content the ledger knows by source."""

UNKNOWN = ""
"""SHA-256 of a file that was written before its hash was kept."""


def upgrade(url: str) -> dict[str, int]:
    """Bring the store at `url` to this version; returns by stage how many items need no more work.

    Rows and files stay as they are, and no item is made anew but reports, by the next run. Keys of
    version 1 were made in another way: if its last run finished, its items are adopted as settled;
    otherwise the next run compares them all. May be killed and repeated: the version mark is
    written last.

    Raises:
        StoreError: the store or its vault cannot be opened or written, or is of a version that
            cannot be brought up.
    """
    store = Store.open(url, older=OLDER)
    mark = json.loads(store.read_bytes(MARK))
    if mark["version"] == schemas.VERSION:
        return {}
    add_missing_tables(store)
    config = written_config(last_configuration(store) or {"store": url})
    if mark["version"] != OWN_RECIPE:
        outdated = {name for name in schemas.TABLES if lacks_columns(store, name)}
        _trust(store, build_stages(config), outdated)
        if not outdated.isdisjoint(DISCOVERED):
            _open_sources(store)
    for name in schemas.TABLES:
        rewrite_table(store, name)
        set_properties(store, name)
    store = Store.open(url, older=OLDER)
    context = Context(store, open_vault(store, config), new_run_id())
    stages = build_stages(config)
    if mark["version"] == OWN_RECIPE:
        adopted = _brought_up(context, stages)
    else:
        _adopt_sources(context, _unclosed(context))
        adopted = {stage.name: outlook(context, stage).settled for stage in stages}
    store.write_bytes(MARK, json.dumps({**mark, "version": schemas.VERSION}).encode())
    return {name: number for name, number in adopted.items() if number}


@dataclass(frozen=True, slots=True)
class UpgradeForeseen:
    """What an upgrade would do: versions, tables that it would add, and rewrite with new columns.

    `size_bytes` is what the rewritten tables hold now.
    """

    found: int
    expected: int
    added: tuple[str, ...]
    rewritten: tuple[str, ...]
    size_bytes: int


def foresee_upgrade(url: str) -> UpgradeForeseen:
    """Look what `upgrade` would do; the store stays as it is.

    Raises:
        StoreError: the store cannot be read, or is of a version that cannot be brought up.
    """
    store = Store.open(url, older=OLDER)
    found = json.loads(store.read_bytes(MARK))["version"]
    there = {name for name in schemas.TABLES if store.exists(f"tables/{name}")}
    rewritten = sorted(name for name in there if lacks_columns(store, name))
    sizes = {name: sum(store.sizes(f"tables/{name}").values()) for name in rewritten}
    added = tuple(sorted(schemas.TABLES.keys() - there))
    return UpgradeForeseen(found, schemas.VERSION, added, tuple(rewritten), sum(sizes.values()))


def _trust(store: Store, stages: Sequence[Stage], tables: set[str]) -> None:
    """Have the ledger know no content of items with rows in `tables`, which are to be rewritten.

    It hashes columns that these rows are about to get: they would seem damaged.
    """
    for stage in stages:
        if tables.isdisjoint(stage.tables):
            continue
        mine = {"stage": stage.name}
        told = store.read("ledger", None, [("stage", "=", stage.name)]).to_pylist()
        for start in range(0, len(told), LEDGER_ROWS):
            part = told[start : start + LEDGER_ROWS]
            rows = [LedgerRow(**{**row, "content": ""}) for row in part]
            store.replace("ledger", [row.item for row in rows], rows, mine)


def _brought_up(context: Context, stages: Sequence[Stage]) -> dict[str, int]:
    """Adopt what version 1 left, where its last run finished."""
    _name_files(context, stages)
    # only then do settings and tables agree: a killed run may have settled a part under new ones
    if not last_record(context.store).get("finished"):
        return {}
    adopted = _adopted(context, stages)
    _adopt_sources(context, _sources(context))
    return adopted


def _adopted(context: Context, stages: Sequence[Stage]) -> dict[str, int]:
    counts = {}
    for stage in stages:
        if stage.name in READ_ANEW:
            continue
        if stage.name in CAME_LATER:
            # no ledger row to adopt: their results did not exist
            work = pending(context, stage, stages)
            retire(context, stage, work.obsolete)
            for batch in work.batches:
                settle(context, stage, batch)
            continue
        rows = [
            LedgerRow(
                stage=stage.name,
                item=item,
                key=key,
                outcome=outcome,
                content=content,
                parts="",
                run_id=context.run_id,
            )
            for item, key, outcome, content in settled_before(context, stage, stages)
        ]
        context.store.replace("ledger", [row.item for row in rows], rows, {"stage": stage.name})
        counts[stage.name] = len(rows)
    return counts


def _open_sources(store: Store) -> None:
    """Have the ledger know no source: it hashes columns that their rows are about to get."""
    for stage in DISCOVERIES:
        mine = {"stage": stage}
        told = store.read("ledger", ["item"], [("stage", "=", stage)])["item"].to_pylist()
        store.replace("ledger", told, [], mine)


def _sources(context: Context) -> set[tuple[str, str]]:
    """Kind and source of all rows that discovery wrote."""
    inputs = context.store.read("inputs", ["kind", "source"])
    return set(zip(*(inputs[name].to_pylist() for name in ("kind", "source")), strict=True))


def _unclosed(context: Context) -> set[tuple[str, str]]:
    """Those of the sources that the ledger does not know."""
    ledger = context.store.read("ledger", ["stage", "item"]).to_pylist()
    closed = {(DISCOVERIES.get(row["stage"]), row["item"]) for row in ledger}
    return {one for one in _sources(context) if one not in closed}


def _adopt_sources(context: Context, sources: set[tuple[str, str]]) -> None:
    """Take what discovery wrote of sources (kind, source) as it stands."""
    for stage, kind in DISCOVERIES.items():
        close_sources(context, stage, kind, {source for of, source in sources if of == kind})


def _name_files(context: Context, stages: Sequence[Stage]) -> None:
    """Rows of table `files` for what the older program wrote, by size; hashes are not known."""
    store = context.store
    owners = {}
    for table, column, stage in (
        ("candidates", "series_id", "ingest"),
        ("masks", "volume_id", None),
    ):
        columns = ["path", column, *(["task"] if table == "masks" else [])]
        for row in store.read(table, columns).to_pylist():
            owners[row["path"]] = (stage or f"segment:{row['task']}", row[column])
    rows = [
        StoredFile(path=path, stage=stage, item=item, size_bytes=size, sha256=UNKNOWN)
        for path, size, stage, item in _named(store, owners)
    ]
    for stage in sorted({row.stage for row in rows}):
        mine = [row for row in rows if row.stage == stage]
        store.replace("files", sorted({row.item for row in mine}), mine, {"stage": stage})


def _named(store: Store, owners: dict[str, tuple[str, str]]) -> Iterator[tuple[str, int, str, str]]:
    for folder in ("volumes", "masks"):
        for path, size in store.sizes(folder).items():
            if path in owners:
                yield path, size, *owners[path]
    for path, size in store.sizes("shards").items():
        tree, found, _ = path.partition(".zarr/")
        if found:
            yield path, size, "shard", f"{tree}.zarr"
