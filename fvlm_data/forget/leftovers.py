"""Files of the store beside its tables: what nothing names, and what names what goes."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from fvlm_data.forget.rows import ID
from fvlm_data.store.place import QC_PAGE
from fvlm_data.store.unused import NOT_OF_ITEMS, OF_ITEMS, is_draft, named_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from fvlm_data.store.declared import Context

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
    named = named_files(context)
    folders = OF_ITEMS | {path.split("/", 1)[0] for path in (*named, *paths)}
    count = 0
    for path in store.files(""):
        first = path.split("/", 1)[0]
        of_item = first in folders - NOT_OF_ITEMS and path not in named
        if of_item or is_draft(path):
            store.remove(path)
            count += 1
    return count


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
