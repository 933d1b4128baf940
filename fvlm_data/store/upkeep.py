"""Upkeep of a store's tables: small files joined, old versions and what they held erased."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import schemas
from fvlm_data.store import history, reading
from fvlm_data.store.writing import append, retried

if TYPE_CHECKING:
    from fvlm_data.store.tables import Store

TARGET_FILE_BYTES = 128 * 1024 * 1024

UNNAMED_HOURS = 1
"""Age at which a file that no version of its table names is taken for what a killed writer left."""

SMALL_FILE_BYTES = 8 * 1024 * 1024
"""Files that a run joins as it goes. Small, since what is joined is written again: the rewriting of
128 MB every few commits would cost more than the open files do."""

SMALL_FILES = 32
"""Small files beyond the first of each partition at which they are joined; a commit and the read of
one item look at each, some 0.1 ms a file."""


def compact_table(store: Store, table: str, keep_hours: int) -> dict[str, int]:
    """Join small files into files of about 128 MB and drop those that only old versions need.

    Versions older than `keep_hours` can no longer be read afterwards. Files that no version
    names are dropped as well: those of a killed writer, and those that the log has forgotten.
    Returns file counts.
    """
    before = len(store.delta(table).file_uris())
    _join(store, table, TARGET_FILE_BYTES)
    removed = _vacuum(store, table, keep_hours)
    # these may be of a writer that has yet to name them in a commit
    removed += _vacuum(store, table, max(keep_hours, UNNAMED_HOURS), all_files=True)
    after = len(store.delta(table).file_uris())
    return {"before": before, "after": after, "removed": len(removed)}


def foresee_compact(store: Store, table: str, keep_hours: int) -> dict[str, int]:
    """What `compact_table` would find and remove now; nothing is changed.

    Counts of files of the newest version, and of `old` ones to go with their `old_bytes`; those
    that joining puts out of use follow later.
    """
    old = {
        *_vacuum(store, table, keep_hours, dry_run=True),
        *_vacuum(store, table, max(keep_hours, UNNAMED_HOURS), dry_run=True, all_files=True),
    }
    sizes = store.sizes(f"tables/{table}")
    there = [p for p in (f"tables/{table}/{unquote(one)}" for one in old) if p in sizes]
    return {
        "files": len(store.delta(table).file_uris()),
        "old": len(there),
        "old_bytes": sum(sizes[path] for path in there),
    }


def join_small_files(store: Store, table: str) -> bool:
    """Join the table's small files if there are many; returns whether it did.

    Commits of other writers go on meanwhile. The files that were joined stay on disk, out of
    use, until `compact_table` or `erase_superseded`.

    Raises:
        StoreError: the table cannot be read or written.
    """
    if reading.small_files(store.delta(table), SMALL_FILE_BYTES) < SMALL_FILES:
        return False
    _join(store, table, SMALL_FILE_BYTES)
    return True


def erase_superseded(store: Store, table: str) -> None:
    """Erase superseded rows of a table from its history, so that no file holds them.

    Only files that the log has dropped are removed, never those of a writer at work.

    Raises:
        StoreError: the table cannot be read or written.
    """
    # asked first: erasing is two commits, and most runs leave nothing to erase. The log names
    # erased files for a week more
    dropped = _vacuum(store, table, 0, dry_run=True)
    if any(store.exists(f"tables/{table}/{unquote(path)}") for path in dropped):
        # no grace period: a reader that loses its files under its hands reads the newest
        # version again
        _vacuum(store, table, 0)


def erase_history(store: Store, table: str) -> None:
    """Erase all that a table once held: old versions, their log, files that no version names.

    Afterwards the table has one version, of the rows that it holds now. Nothing else may write
    to the store meanwhile. May be killed and repeated.

    Raises:
        StoreError: the table cannot be read or written.
    """
    # a commit of no rows: the log of the last deletion names what it deleted
    nothing = schemas.TABLES[table].schema.empty_table()
    retried(store.url, table, lambda: append(store.delta(table), nothing))
    retried(store.url, table, lambda: store.delta(table).create_checkpoint())
    kept = [path for part in reading.parts(store.delta(table)) for path in part.paths]
    for path in history.out_of_use(
        store.files(f"tables/{table}"), f"tables/{table}", kept, store.version(table)
    ):
        store.remove(path)


def _join(store: Store, table: str, size: int) -> None:
    retried(store.url, table, lambda: store.delta(table).optimize.compact(target_size=size))


def _vacuum(
    store: Store, table: str, keep_hours: int, *, dry_run: bool = False, all_files: bool = False
) -> list[str]:
    return retried(
        store.url,
        table,
        lambda: store.delta(table).vacuum(
            # deltalake refuses less than a week by default, to protect readers of old versions:
            # ours reopen the newest one
            retention_hours=keep_hours,
            enforce_retention_duration=False,
            dry_run=dry_run,
            full=all_files,
        ),
    )
