"""Pairs of studies that review holds to differ in an anatomy: a file beside the shards.

A trainer reads the folder `shards` and no table; the file is written anew from table
`review_effects` behind each run of the stage, and is there only while there is such a pair.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

from fvlm_data.shards.folder import FOLDER, ShardFolder
from fvlm_data.store.queries import open_tables, with_readable_tables

if TYPE_CHECKING:
    from fvlm_data.store.declared import Context

NAME = "apart.json"
PATH = f"{FOLDER}/{NAME}"
TABLE = "review_effects"

Apart = dict[tuple[str, str], frozenset[str]]
"""By study and anatomy the studies that are no partners of it there."""


def write_apart(context: Context) -> int:
    """Write the pairs that table `review_effects` holds; returns their number.

    Raises:
        StoreError: the store cannot be read or written.
    """

    def work() -> list[tuple[str, str, str]]:
        connection = context.store.connect()
        try:
            open_tables(context, connection, [TABLE])
            return connection.execute(
                f"SELECT study_id, other_study_id, anatomy FROM {TABLE} WHERE kind = 'pair' "
                "ORDER BY ALL"
            ).fetchall()
        finally:
            connection.close()

    store = context.store
    if not store.count(TABLE) and not store.exists(PATH):
        return 0
    pairs = with_readable_tables(context, [TABLE], work, mend=True)
    there = store.read_bytes(PATH) if store.exists(PATH) else None
    wanted = json.dumps({"pairs": pairs}).encode()
    if pairs and wanted != there:
        store.write_bytes(PATH, wanted)
    if not pairs and there is not None:
        store.remove(PATH)
    return len(pairs)


def read_apart(folder: ShardFolder) -> Apart:
    """The pairs of a store, each under both of its studies; none where there is no file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is of another form.
    """
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    content = folder.read_file(NAME)
    for first, second, anatomy in json.loads(content)["pairs"] if content is not None else ():
        found[first, anatomy].add(second)
        found[second, anatomy].add(first)
    return {of: frozenset(studies) for of, studies in found.items()}
