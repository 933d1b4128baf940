"""Tables of a store as an older version wrote them, brought to this version's columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

import schemas
from fvlm_data.store import place
from fvlm_data.store.reading import Part, duckdb_type, literally, parts
from fvlm_data.store.sql import identifier, quoted

if TYPE_CHECKING:
    from fvlm_data.store.tables import Store

_BLANK = {pa.bool_(): "FALSE", pa.int32(): "0", pa.int64(): "0", pa.float64(): "0"}
"""SQL of what stands in a new column that may not be null, by type; else an empty text."""


def add_missing_tables(store: Store) -> list[str]:
    """Make the tables that later versions added; returns their names."""
    url, filesystem, root = place.resolve(store.url)
    missing = [name for name in schemas.TABLES if not store.exists(f"tables/{name}")]
    for name in missing:
        place.make_table(place.table_url(url, filesystem, root, name), schemas.TABLES[name])
    return missing


def lacks_columns(store: Store, name: str) -> bool:
    """Whether a table lacks a column of this version."""
    url, filesystem, root = place.resolve(store.url)
    delta = DeltaTable(place.table_url(url, filesystem, root, name))
    there = {field.name for field in delta.schema().fields}
    return not there >= schemas.TABLES[name].columns.keys()


def rewrite_table(store: Store, name: str) -> bool:
    """Rewrite a table with this version's columns; returns whether it lacked one.

    A new column is null where the schema allows it, otherwise an empty text, zero or false.
    """
    table = schemas.TABLES[name]
    url, filesystem, root = place.resolve(store.url)
    delta = DeltaTable(place.table_url(url, filesystem, root, name))
    there = {field.name for field in delta.schema().fields}
    if there >= table.columns.keys():
        return False
    bare = pa.schema([field.remove_metadata() for field in table.schema])
    rows = bare.empty_table()
    found = parts(delta)
    if found:
        folder = store.tables_folder(name, found)
        query = " UNION ALL ".join(_select(table, there, folder, part) for part in found)
        rows = store.connect().sql(query).to_arrow_table().cast(bare)
    write_deltalake(
        delta,
        rows,
        mode="overwrite",
        schema_mode="overwrite",
        partition_by=list(table.partition_by) or None,
    )
    return True


def set_properties(store: Store, name: str) -> None:
    """Give a table the properties that a new one has."""
    url, filesystem, root = place.resolve(store.url)
    delta = DeltaTable(place.table_url(url, filesystem, root, name))
    wanted = place.properties(schemas.TABLES[name])
    if not wanted.items() <= delta.metadata().configuration.items():
        delta.alter.set_table_properties(wanted)


def _select(table: schemas.Table, there: set[str], folder: str, part: Part) -> str:
    """SQL of this version's columns in files that may lack some, by what the log says of each."""
    shown = []
    for name, column in table.columns.items():
        kind = duckdb_type(column.type)
        value = identifier(name)
        # partition columns are in the log only, not in the Parquet files
        if name in part.values:
            value = quoted(part.values[name])
        elif name not in there:
            value = "NULL" if column.nullable else _BLANK.get(column.type, quoted(""))
        shown.append(f"{value}::{kind} AS {identifier(name)}")
    listed = ", ".join(quoted(literally(f"{folder}/{path}")) for path in part.paths)
    return (
        f"SELECT {', '.join(shown)} FROM read_parquet([{listed}], union_by_name=true, "
        "hive_partitioning=false)"
    )
