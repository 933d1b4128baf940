"""Rows of Delta Lake tables, read by DuckDB from the Parquet files of one version.

DuckDB's own `delta` extension is fetched from the network at first use, so the log is read by
`deltalake` and only the files that it names are handed over. Files that can hold no wanted row by
the log's statistics are not opened. deltalake's own way through pyarrow is not taken: it hands
reading threads a filesystem written in Python, which aborts the process when the interpreter
ends, and pyarrow cannot filter tables that deltalake has rewritten (`string_view`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

import schemas

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from deltalake import DeltaTable

Condition = tuple[str, str, Any]
"""Column, operator (=, !=, <, <=, >, >=, in, not in), value."""

OPERATORS = {"=", "==", "!=", "<", "<=", ">", ">="}
NO_EXTENSIONS = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
"""No network call of DuckDB: what it has is what its package holds."""

DUCKDB_TYPES = {
    pa.string(): "VARCHAR",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
}


def connect(memory_mb: int = 2000, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A connection of its own, in memory, that spills to a folder and asks no network."""
    settings: dict[str, Any] = {**NO_EXTENSIONS, "memory_limit": f"{memory_mb}MB"}
    if spill is not None:
        settings["temp_directory"] = str(spill)
    return duckdb.connect(":memory:", config=settings)


def file_paths(
    delta: DeltaTable, where: Iterable[Condition] = (), among: Mapping[str, Collection[str]] = {}
) -> list[str]:
    """Paths, relative to the table's folder, of the files that may hold rows of the conditions.

    `among` gives values of which a column must hold one. What the log's statistics do not tell
    is taken for possible.
    """
    actions = pa.table(delta.get_add_actions(flatten=True))
    ranges = dict(_ranges(where))
    for column, values in among.items():
        if not values:
            return []
        ranges[column] = (min(values), max(values))
    kept = actions
    for column, (low, high) in ranges.items():
        kept = kept.filter(_may_hold(kept, column, low, high)) if kept.num_rows else kept
    # the log spells a path as a URL: `stage=segment%253Atotal` is `stage=segment%3Atotal` on disk
    return [unquote(str(path)) for path in kept["path"].to_pylist()]


def scan(table: str, folder: str, paths: Sequence[str]) -> str:
    """SQL of all columns of `table` in the files `paths` below `folder`."""
    definition = schemas.TABLES[table]
    columns = ", ".join(
        f'"{name}"::{duckdb_type(column.type)} AS "{name}"'
        for name, column in definition.columns.items()
    )
    if not paths:
        empty = ", ".join(
            f'NULL::{duckdb_type(column.type)} AS "{name}"'
            for name, column in definition.columns.items()
        )
        return f"SELECT {empty} WHERE false"
    listed = ", ".join(quoted(f"{folder}/{path}") for path in paths)
    hive = ", ".join(f"{name}: VARCHAR" for name in definition.partition_by)
    hive_types = f", hive_types={{{hive}}}" if hive else ""
    partitions = "true" if definition.partition_by else "false"
    return (
        f"SELECT {columns} FROM read_parquet([{listed}], "
        f"hive_partitioning={partitions}{hive_types})"
    )


def condition_sql(where: Iterable[Condition]) -> str:
    """SQL of conditions that all hold; TRUE where there is none.

    Raises:
        ValueError: an operator is not one of `Condition`.
    """
    parts = [_one_condition(*condition) for condition in where]
    return " AND ".join(parts) or "TRUE"


def rows_as(table: str, columns: Sequence[str], rows: pa.Table) -> pa.Table:
    """Rows in the types and with the nullability of the table's schema."""
    schema = schemas.TABLES[table].schema
    return rows.select(list(columns)).cast(pa.schema([schema.field(name) for name in columns]))


def duckdb_type(kind: pa.DataType) -> str:
    """DuckDB's name of a column's type."""
    if pa.types.is_list(kind):
        return f"{duckdb_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        fields = [kind.field(number) for number in range(kind.num_fields)]
        return "STRUCT(" + ", ".join(f'"{f.name}" {duckdb_type(f.type)}' for f in fields) + ")"
    return DUCKDB_TYPES[kind]


def quoted(value: Any) -> str:
    """A value as an SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return "'" + str(value).replace("'", "''") + "'"


def _one_condition(column: str, operator: str, value: Any) -> str:
    if operator in ("in", "not in"):
        if not value:
            return "FALSE" if operator == "in" else "TRUE"
        return f'"{column}" {operator.upper()} ({", ".join(quoted(one) for one in value)})'
    if operator not in OPERATORS:
        raise ValueError(f"condition on {column}: operator {operator!r} is not known")
    return f'"{column}" {operator} {quoted(value)}'


def _ranges(where: Iterable[Condition]) -> Iterable[tuple[str, tuple[Any, Any]]]:
    """Least and greatest value that a row may hold, of the columns that conditions bound."""
    for column, operator, value in where:
        if operator in ("=", "=="):
            yield column, (value, value)
        elif operator == "in" and value:
            yield column, (min(value), max(value))


def _may_hold(actions: pa.Table, column: str, low: Any, high: Any) -> pa.Array:
    if f"partition.{column}" in actions.schema.names:
        found = actions[f"partition.{column}"].cast(pa.string())
        within = pc.and_(pc.greater_equal(found, str(low)), pc.less_equal(found, str(high)))
        return pc.fill_null(within, True)  # pyarrow's own signature
    if f"min.{column}" not in actions.schema.names:
        return pa.array([True] * actions.num_rows)
    least, greatest = actions[f"min.{column}"], actions[f"max.{column}"]
    if pa.types.is_string(least.type) or pa.types.is_string_view(least.type):
        least, greatest = least.cast(pa.string()), greatest.cast(pa.string())
    within = pc.and_(pc.greater_equal(greatest, low), pc.less_equal(least, high))
    return pc.fill_null(within, True)
