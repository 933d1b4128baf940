"""The inputs of a batch, read in one go: only the files that may hold them are opened."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import schemas
from fvlm_data.store.content import digest, row_number, row_text, sums
from fvlm_data.store.declared import Inputs
from fvlm_data.store.queries import (
    READ,
    constant_key,
    open_tables,
    open_views,
    read_sql,
    tables_named,
    with_readable_tables,
)
from fvlm_data.store.sql import columns_sql, identifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from fvlm_data.store.declared import Context, Item, Read, Row, Stage

PART_DIGITS = 8

TRIED = "tried"
"""Label, behind the parts of a key and none of them, of the circumstances under which an item ended
the process that worked on it."""


def gather(
    context: Context, stage: Stage, items: Sequence[Item]
) -> tuple[list[Inputs], dict[str, str]]:
    """Inputs of the items, in their order, and what each key is made from (ledger's `parts`).

    Raises:
        StoreError: a table is missing or damaged.
    """
    tables = {read.table for read in stage.reads} - stage.views.keys() | _named(stage)
    rows, parts = with_readable_tables(
        context, tables, lambda: _rows(context, stage, items), mend=False
    )
    inputs = [
        Inputs(
            item.id,
            item.key,
            dict(zip(stage.refs, item.refs, strict=True)),
            {read.name: rows[read.name].get(item.id, []) for read in stage.reads},
        )
        for item in items
    ]
    fixed = f"version={stage.version} settings={constant_key(stage)[:PART_DIGITS]}"
    return inputs, {item.id: " ".join([fixed, *parts.get(item.id, ())]) for item in items}


def _rows(
    context: Context, stage: Stage, items: Sequence[Item]
) -> tuple[dict[str, dict[str, list[Row]]], dict[str, list[str]]]:
    """Rows by read and item, and the parts of each item's key."""
    connection = context.store.connect()
    try:
        _begin(context, connection, stage, items)
        for read in stage.reads:
            _read(context, connection, stage, read)
        return {read.name: _by_item(connection, read) for read in stage.reads}, _parts(
            connection, stage
        )
    finally:
        connection.close()


def _named(stage: Stage) -> set[str]:
    """Tables that the stage's own relations and conditions name."""
    named = [*stage.views.values(), *(read.where for read in stage.reads)]
    return set().union(*map(tables_named, named))


def _begin(
    context: Context,
    connection: duckdb.DuckDBPyConnection,
    stage: Stage,
    items: Sequence[Item],
) -> None:
    """The table `_items` and, if the stage has relations of its own, the tables they use."""
    columns = {"item": pa.array([item.id for item in items], pa.string())}
    for place, name in enumerate(stage.refs):
        columns[name] = pa.array([item.refs[place] for item in items], pa.string())
    connection.register("_batch", pa.table(columns))
    connection.execute("CREATE TEMP TABLE _items AS SELECT * FROM _batch")
    open_tables(context, connection, _named(stage))
    open_views(context, connection, stage)


def _read(
    context: Context, connection: duckdb.DuckDBPyConnection, stage: Stage, read: Read
) -> None:
    """The table `_read_<name>`: item and the read's columns."""
    if read.table in stage.views:
        table = identifier(read.table)
    else:
        # the values to look for are known here, so only files whose range may hold them are scanned
        source, column = "_items", read.on
        if "." in read.on:
            name, column = read.on.split(".", 1)
            source = f"{READ}{name}"
        found = connection.execute(
            f"SELECT DISTINCT {identifier(column)} FROM {source} "
            f"WHERE {identifier(column)} IS NOT NULL"
        ).fetchall()
        table = f"({context.store.scan(read.table, among={read.by: [v for (v,) in found]})})"
    query = read_sql(stage, read, table)
    connection.execute(f"CREATE TEMP TABLE {READ}{read.name} AS {query}")


def _by_item(connection: duckdb.DuckDBPyConnection, read: Read) -> dict[str, list[Row]]:
    """Rows of a read by item, ordered by primary key, then by content."""
    definition = schemas.TABLES.get(read.table)
    key = [name for name in definition.primary_key if name in read.columns] if definition else []
    # DuckDB's row order varies with threads and files; a stage must see the same order every time
    order = ", ".join(["item", *map(identifier, key), row_text(read.columns)])
    rows = connection.sql(
        f"SELECT item, {columns_sql(read.columns)} FROM {READ}{read.name} ORDER BY {order}"
    ).to_arrow_table()
    found: dict[str, list[Row]] = defaultdict(list)
    items = rows["item"].to_pylist()
    for item, row in zip(items, rows.drop_columns(["item"]).to_pylist(), strict=True):
        found[item].append(row)
    return found


def _parts(connection: duckdb.DuckDBPyConnection, stage: Stage) -> dict[str, list[str]]:
    """`read.column=hash` for each deciding column, by item."""
    parts: dict[str, list[str]] = defaultdict(list)
    for read in stage.reads:
        if not read.decides:
            continue
        places = [f"_{place}" for place, _ in enumerate(read.decides)]
        numbers, added, told = [], [], []
        for column, place in zip(read.decides, places, strict=True):
            numbers.append(f"{row_number(row_text([column]))} AS m{place}")
            added.append(sums(f"m{place}", place))
            told.append(f"left({digest(suffix=place)}, {PART_DIGITS})")
        # one query for all columns: planning one costs more than a batch's few rows do
        rows: list[tuple[Any, ...]] = connection.execute(
            f"SELECT item, {', '.join(told)} FROM (SELECT item, {', '.join(added)} FROM "
            f"(SELECT item, {', '.join(numbers)} FROM {READ}{read.name}) GROUP BY item)"
        ).fetchall()
        for item, *hashes in rows:
            parts[item] += [
                f"{read.name}.{column}={one}"
                for column, one in zip(read.decides, hashes, strict=True)
            ]
    return parts
