"""Bringing a store that an older program made to this version, without remaking anything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import schemas
from fvlm_data.run.config import written_config
from fvlm_data.run.records import (
    last_configuration,
    last_record,
    new_run_id,
    open_vault,
)
from fvlm_data.run.registry import build_stages
from fvlm_data.store.commits import retire, settle
from fvlm_data.store.declared import Context
from fvlm_data.store.discovered import DISCOVERIES, close_sources
from fvlm_data.store.migration import add_missing_tables, rewrite_table
from fvlm_data.store.planning import pending, settled_before
from fvlm_data.store.tables import MARK, Store
from schemas import LedgerRow, StoredFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.store.declared import Stage

OLDER = (1,)
"""Versions that can be upgraded."""

CAME_LATER = ("versions", "match")
"""Stages that version 1 did not have: they are run on what tables and vault hold."""

UNKNOWN = ""
"""SHA-256 of a file that was written before its hash was kept."""


def upgrade(url: str) -> dict[str, int]:
    """Bring the store at `url` to this version; returns the number of items adopted by stage.

    Rows and files stay as they are. If the store's last run finished, its items are adopted as
    settled, so that nothing is remade; otherwise the next run compares them all. May be killed
    and repeated: the version mark is written last.

    Raises:
        StoreError: the store or its vault cannot be opened or written, or is of a version that
            cannot be brought up.
    """
    store = Store.open(url, older=OLDER)
    mark = json.loads(store.read_bytes(MARK))
    if mark["version"] == schemas.VERSION:
        return {}
    add_missing_tables(store)
    for name in schemas.TABLES:
        rewrite_table(store, name)
    store = Store.open(url, older=OLDER)
    config = written_config(last_configuration(store) or {"store": url})
    context = Context(store, open_vault(store, config), new_run_id())
    stages = build_stages(config)
    _name_files(context, stages)
    # only then do settings and tables agree: a killed run may have settled a part under new ones
    adopted = {}
    if last_record(store).get("finished"):
        adopted = _adopted(context, stages)
        _adopt_sources(context)
    store.write_bytes(MARK, json.dumps({**mark, "version": schemas.VERSION}).encode())
    return adopted


def _adopted(context: Context, stages: Sequence[Stage]) -> dict[str, int]:
    counts = {}
    for stage in stages:
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


def _adopt_sources(context: Context) -> None:
    """Take what discovery wrote as it stands."""
    inputs = context.store.read("inputs", ["kind", "source"])
    known = set(zip(*(inputs[name].to_pylist() for name in ("kind", "source")), strict=True))
    for stage, kind in DISCOVERIES.items():
        close_sources(context, stage, kind, {source for of, source in known if of == kind})


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
