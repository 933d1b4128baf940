"""Items whose rows or files are not those that the ledger says they were settled with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa

import schemas
from fvlm_data.store.content import contents_sql, digest, tables_of
from fvlm_data.store.reading import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import duckdb

    from fvlm_data.store.declared import Read, Stage
    from fvlm_data.store.tables import Store


def find_broken(
    connection: duckdb.DuckDBPyConnection, store: Store, stage: Stage, into: str
) -> None:
    """Make the table `into` of the stage's broken items, and `<into>_contents` of all with rows.

    Views of the tables must be open. Broken are settled items whose rows differ from those that
    they were settled with (lost, added, changed), items with two ledger rows, and items of which
    a file is missing or has another size. An item whose content the ledger does not know (a
    store of an older program) is taken as it is.
    """
    connection.execute(f"CREATE TEMP TABLE {into}_contents AS {contents_sql(stage)}")
    told = digest("outcome")
    connection.execute(
        f"CREATE TEMP TABLE {into} AS "
        "SELECT l.item FROM (SELECT item, any_value(outcome) AS outcome, "
        "any_value(content) AS content, count(*) AS times FROM ledger "
        f"WHERE stage = {quoted(stage.name)} GROUP BY item) l "
        f"LEFT JOIN {into}_contents c ON c.item = l.item "
        f"WHERE l.times > 1 OR (l.content <> '' AND l.content <> {told})"
    )
    files = _files_wrong(connection, store, stage)
    if files.num_rows:
        connection.register("_files_wrong", files)
        connection.execute(f"INSERT INTO {into} SELECT item FROM _files_wrong")
        connection.unregister("_files_wrong")


def owners_read(stage: Stage, upstream: Collection[Stage]) -> Iterator[tuple[Stage, list[Read]]]:
    """The stages whose rows `stage` reads or lists its items from, with the reads that find them.

    A read of one of the stage's own relations reads all tables that those name.
    """
    behind = {table for query in stage.views.values() for table in tables_named(query)}
    listed = tables_named(stage.items) | (behind if _names_view(stage) else set())
    for one in upstream:
        if one.name == stage.name:
            continue
        reads = [
            read
            for read in stage.reads
            if not (behind if read.table in stage.views else {read.table}).isdisjoint(one.tables)
        ]
        if reads or not listed.isdisjoint(one.tables):
            yield one, reads


def finds_item(read: Read) -> bool:
    """Whether a read names the item of the stage that made its rows, so that lost ones tell."""
    table = schemas.TABLES.get(read.table)
    return table is not None and read.by == table.replaced_by and "." not in read.on


def tables_named(query: str) -> set[str]:
    """Tables of the store that an SQL text names."""
    return set(re.findall(r"\w+", query)) & schemas.TABLES.keys()


def checked_tables(stages: Collection[Stage]) -> set[str]:
    """Tables in which any of the stages has rows, and the ledger."""
    return {table for stage in stages for table in tables_of(stage)} | {"ledger"}


def _names_view(stage: Stage) -> bool:
    return bool(set(re.findall(r"\w+", stage.items)) & stage.views.keys())


def _files_wrong(connection: duckdb.DuckDBPyConnection, store: Store, stage: Stage) -> pa.Table:
    """Items of the stage with files that are missing or of another size than was written."""
    mine = f"SELECT * FROM files WHERE stage = {quoted(stage.name)}"
    folders = connection.execute(
        f"SELECT DISTINCT split_part(path, '/', 1) FROM ({mine})"
    ).fetchall()
    sizes: dict[str, int] = {}
    for (folder,) in sorted(folders):
        sizes.update(store.sizes(folder))
    there = pa.table(
        {
            "path": pa.array(sizes.keys(), pa.string()),
            "size_bytes": pa.array(sizes.values(), pa.int64()),
        }
    )
    connection.register("_there", there)
    wrong = (
        f"SELECT DISTINCT f.item FROM ({mine}) f LEFT JOIN _there h ON h.path = f.path "
        "WHERE h.size_bytes IS DISTINCT FROM f.size_bytes"
    )
    if stage.holders:
        wrong = f"SELECT h.item FROM ({wrong}) w JOIN ({stage.holders}) h ON h.tree = w.item"
    found = connection.sql(wrong).to_arrow_table()
    connection.unregister("_there")
    return found
