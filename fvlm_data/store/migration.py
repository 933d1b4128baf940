"""Tables of a store as an older version wrote them, brought to this version's columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

import schemas
from fvlm_data.store import place
from fvlm_data.store.content import identifier
from fvlm_data.store.reading import duckdb_type, file_paths, quoted

if TYPE_CHECKING:
    from fvlm_data.store.tables import Store


def add_missing_tables(store: Store) -> list[str]:
    """Make the tables that came later; returns their names."""
    url, filesystem, root = place.resolve(store.url)
    missing = [name for name in schemas.TABLES if not store.exists(f"tables/{name}")]
    for name in missing:
        place.make_table(place.table_url(url, filesystem, root, name), schemas.TABLES[name])
    return missing


def rewrite_table(store: Store, name: str) -> bool:
    """Write a table anew with this version's columns; whether it lacked one.

    A column that it lacked is empty: missing where that is allowed, else an empty text.
    """
    table = schemas.TABLES[name]
    url, filesystem, root = place.resolve(store.url)
    delta = DeltaTable(place.table_url(url, filesystem, root, name))
    there = {field.name for field in delta.schema().fields}
    if there >= table.columns.keys():
        return False
    paths = file_paths(delta)
    folder = store.tables_folder(name, paths)
    columns = ", ".join(
        f"{identifier(column)}::{duckdb_type(one.type)} AS {identifier(column)}"
        if column in there
        else f"{'NULL' if one.nullable else quoted('')}::{duckdb_type(one.type)} "
        f"AS {identifier(column)}"
        for column, one in table.columns.items()
    )
    bare = pa.schema([field.remove_metadata() for field in table.schema])
    rows = bare.empty_table()
    if paths:
        listed = ", ".join(quoted(str(Path(folder, path))) for path in paths)
        hive = ", ".join(f"{part}: VARCHAR" for part in table.partition_by)
        hive_types = f", hive_types={{{hive}}}" if hive else ""
        query = (
            f"SELECT {columns} FROM read_parquet([{listed}], union_by_name=true, "
            f"hive_partitioning={str(bool(hive)).lower()}{hive_types})"
        )
        rows = store.connect().sql(query).to_arrow_table().cast(bare)
    write_deltalake(
        delta,
        rows,
        mode="overwrite",
        schema_mode="overwrite",
        partition_by=list(table.partition_by) or None,
    )
    return True
