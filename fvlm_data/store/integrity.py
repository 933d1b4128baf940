"""Items whose rows or files are not those that the ledger says they were settled with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import schemas
from fvlm_data.store.content import contents_sql, digest, in_views, owned, tables_of
from fvlm_data.store.queries import open_tables, tables_named
from fvlm_data.store.sql import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import duckdb

    from fvlm_data.store.content import SumsOf
    from fvlm_data.store.declared import Context, Read, Stage
    from fvlm_data.store.reading import Part
    from fvlm_data.store.tables import Store


def find_broken(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    stage: Stage,
    into: str,
    sums_of: SumsOf = in_views,
) -> None:
    """Make the table `into` of the stage's broken items, and `<into>_contents` of all with rows.

    Views of the tables must be open; `sums_of` adds up their rows. Broken are settled items whose
    rows differ from those they were settled with (lost, added, changed), items with two ledger
    rows, and items with a file that is missing or has another size. An item without a content hash
    in the ledger (a store of an older program) is trusted.
    """
    connection.execute(f"CREATE TEMP TABLE {into}_contents AS {contents_sql(stage, sums_of)}")
    told = digest("outcome")
    connection.execute(
        f"CREATE TEMP TABLE {into} AS "
        "SELECT l.item FROM (SELECT item, any_value(outcome) AS outcome, "
        "any_value(content) AS content, count(*) AS times FROM ledger "
        f"WHERE stage = {quoted(stage.name)} GROUP BY item) l "
        f"LEFT JOIN {into}_contents c ON c.item = l.item "
        f"WHERE l.times > 1 OR (l.content <> '' AND l.content <> {told})"
    )
    # by size only, which one listing gives; contents are hashed when a stage reads them
    files = _files_wrong(connection, store, stage)
    if files:
        connection.execute(f"INSERT INTO {into} SELECT unnest($1::VARCHAR[])", [files])


def broken_items(
    connection: duckdb.DuckDBPyConnection,
    context: Context,
    stage: Stage,
    shown: dict[str, list[Part]],
    sums_of: SumsOf,
) -> tuple[str, ...]:
    """The stage's broken items; the search is repeated only when files of its tables are others.

    `shown` are the tables whose views are open, with their files; those that the search opens join
    them.
    """
    files = files_of(context, stage)
    known = context.checked.get(stage.name)
    if known is not None and known[0] == files:
        return known[1]
    # only now: a view costs some milliseconds, and a night of none needs none of these
    shown.update(open_tables(context, connection, checked_tables([stage]) - shown.keys()))
    find_broken(connection, context.store, stage, "_elsewhere", sums_of)
    broken = remember_broken(connection, context, stage, "_elsewhere", files)
    connection.execute("DROP TABLE _elsewhere; DROP TABLE _elsewhere_contents")
    return broken


def files_of(context: Context, stage: Stage) -> frozenset[str]:
    """Files of the tables and of the ledger that may hold rows of the stage."""
    return frozenset(
        f"{table}/{path}"
        for table, also in (*owned(stage), ("ledger", {"stage": stage.name}))
        for part in context.store.files_of(table)
        # a file lies in one partition: what other stages commit leaves this one's as they are
        if all(part.values.get(name, value) == value for name, value in also.items())
        for path in part.paths
    )


def remember_broken(
    connection: duckdb.DuckDBPyConnection,
    context: Context,
    stage: Stage,
    found: str,
    files: frozenset[str],
) -> tuple[str, ...]:
    """Remember the items in table `found` as the stage's broken ones, as its files are."""
    rows = connection.execute(f"SELECT DISTINCT item FROM {found} ORDER BY item").fetchall()
    context.checked[stage.name] = (files, tuple(item for (item,) in rows))
    return context.checked[stage.name][1]


def owners_read(stage: Stage, upstream: Collection[Stage]) -> Iterator[tuple[Stage, list[Read]]]:
    """The stages whose rows `stage` reads or lists its items from, with the reads that find them.

    A read of one of the stage's own relations reads all tables that those name.
    """
    behind = {table for query in stage.views.values() for table in tables_named(query)}
    listed = tables_named(stage.items) | (behind if names_view(stage) else set())
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
    """Whether a read goes by the item of the stage that made its rows.

    Only then do lost rows still say which items rested on them.
    """
    table = schemas.TABLES.get(read.table)
    return table is not None and read.by == table.replaced_by and "." not in read.on


def checked_tables(stages: Collection[Stage]) -> set[str]:
    """Tables in which any of the stages has rows, and the ledger."""
    return {table for stage in stages for table in tables_of(stage)} | {"ledger"}


def names_view(stage: Stage) -> bool:
    """Whether the stage lists its items from relations of its own."""
    return bool(set(re.findall(r"\w+", stage.items)) & stage.views.keys())


def _files_wrong(connection: duckdb.DuckDBPyConnection, store: Store, stage: Stage) -> list[str]:
    """Items of the stage with a file that is missing or has another size than was written."""
    mine = f"SELECT * FROM files WHERE stage = {quoted(stage.name)}"
    folders = connection.execute(
        f"SELECT DISTINCT split_part(path, '/', 1) FROM ({mine})"
    ).fetchall()
    sizes: dict[str, int] = {}
    for (folder,) in sorted(folders):
        # a listing of the folder, not a request for each file
        sizes.update(store.sizes(folder))
    connection.execute(
        "CREATE TEMP TABLE _there AS SELECT unnest($1::VARCHAR[]) AS path, "
        "unnest($2::BIGINT[]) AS size_bytes",
        [list(sizes.keys()), list(sizes.values())],
    )
    wrong = (
        f"SELECT DISTINCT f.item FROM ({mine}) f LEFT JOIN _there h ON h.path = f.path "
        "WHERE h.size_bytes IS DISTINCT FROM f.size_bytes"
    )
    if stage.holders:
        wrong = f"SELECT h.item FROM ({wrong}) w JOIN ({stage.holders}) h ON h.tree = w.item"
    found = connection.execute(wrong).fetchall()
    connection.execute("DROP TABLE _there")
    return [item for (item,) in found]
