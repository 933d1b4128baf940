"""Files of the store beside its tables: what nothing names, and what names what goes."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from fvlm_data.forget.rows import ID
from fvlm_data.store.place import QC_PAGE
from fvlm_data.store.queries import open_tables, with_readable_tables

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from fvlm_data.store.declared import Context

OF_ITEMS = frozenset({"volumes", "masks"})
"""Folders in which every file belongs to an item; others are added as table `files` names them."""

NOT_OF_ITEMS = frozenset({"shards"})
"""Brought in line with the tables by `tidy_shards`."""


GONE = b"forgotten"
QC_FOLDER = PurePosixPath(QC_PAGE).parts[0]


def remove_unnamed(context: Context, paths: Collection[str]) -> int:
    """Remove the files at `paths`, drafts, and files of items that no row names.

    Such a file may be what an item was before it was made anew. Nothing else may write to the
    store meanwhile. Returns how many went.

    Raises:
        StoreError: a table cannot be read.
    """
    store = context.store
    named = with_readable_tables(context, TABLES, lambda: _named(context), mend=False)
    folders = OF_ITEMS | {path.split("/", 1)[0] for path in (*named, *paths)}
    count = 0
    for path in store.files(""):
        first = path.split("/", 1)[0]
        of_item = first in folders - NOT_OF_ITEMS and path not in named
        if of_item or _is_draft(path):
            store.remove(path)
            count += 1
    return count


TABLES = ("files", "candidates", "masks")


def _named(context: Context) -> set[str]:
    connection = context.store.connect()
    try:
        open_tables(context, connection, TABLES)
        query = " UNION ".join(f"SELECT path FROM {table}" for table in TABLES)
        return {path for (path,) in connection.execute(query).fetchall()}
    finally:
        connection.close()


def _is_draft(path: str) -> bool:
    """Whether a file, or a folder above it, bears the name of a draft."""
    return any(
        part.startswith(".") and (part.endswith(".tmp") or part.startswith(".compact-"))
        for part in PurePosixPath(path).parts
    )


def unname(context: Context, ids: Iterable[str]) -> int:
    """Put a word in place of ids in the records of runs and the written configuration.

    Returns in how many files.
    """
    store = context.store
    gone = {one.encode() for one in ids}
    pattern = re.compile(ID.encode())
    # paths in the clear, of a store with plain source names
    plain = [one for one in gone if not pattern.fullmatch(one) and b"/" in one]
    count = 0
    for path in [*store.files("runs"), *store.files("config.yaml")]:
        before = store.read_bytes(path)
        after = pattern.sub(lambda found: GONE if found[0] in gone else found[0], before)
        for one in plain:
            after = after.replace(one, GONE)
        if after != before:
            store.write_bytes(path, after)
            count += 1
    return count
