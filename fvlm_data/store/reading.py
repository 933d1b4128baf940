"""Rows of Delta Lake tables, read by DuckDB from the Parquet files of one version.

DuckDB's own `delta` extension is fetched from the network at first use, so the log is read by
`deltalake` and only the files that it names are handed over. Files that can hold no wanted row by
the log's statistics are not opened. deltalake's own way through pyarrow is not taken: it hands
reading threads a filesystem written in Python, which aborts the process when the interpreter
ends, and pyarrow cannot filter tables that deltalake has rewritten (`string_view`).
"""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa

import schemas
from fvlm_data.errors import StoreError
from fvlm_data.memory import lacks_memory
from fvlm_data.store.sql import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from deltalake import DeltaTable

UNREADABLE = (duckdb.Error, OSError, UnicodeDecodeError)
"""Raised where a file of a table is missing or damaged. OSError comes from fetching it off object
storage; UnicodeDecodeError from DuckDB, whose message then quotes damaged bytes."""

Condition = tuple[str, str, Any]
"""Column, operator (=, !=, <, <=, >, >=, in, not in), value."""

OPERATORS = {"=", "==", "!=", "<", "<=", ">", ">="}
NO_EXTENSIONS = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
"""DuckDB must not download anything: it has what its package holds."""

NOT_PLAIN_FILES = {"deletionVectors", "columnMapping"}
"""Features of Delta Lake under which the Parquet files alone do not give the rows."""

COLUMN_MAPPING_ONLY = 2
"""The reader version that implies column mapping without listing it as a feature."""

DUCKDB_TYPES = {
    pa.string(): "VARCHAR",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
}


@dataclass(frozen=True, slots=True)
class Part:
    """Files of one partition of a table: its column values; paths in the table's folder; rows.

    Of a file without statistics 0 rows are told.
    """

    values: Mapping[str, str]
    paths: tuple[str, ...]
    rows: tuple[int, ...]


def connect(memory_mb: int = 2000, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A new in-memory engine that spills to a private folder and makes no network calls."""
    folder = spill or private_folder()
    settings: dict[str, Any] = {
        **NO_EXTENSIONS,
        "memory_limit": f"{memory_mb}MB",
        "temp_directory": str(folder),
    }
    return duckdb.connect(":memory:", config=settings)


@cache
def private_folder() -> Path:
    """A folder private to this process and user: what DuckDB spills may hold text of reports.

    It lasts as long as the process, since a relation may outlive the store it came from.
    """
    folder = tempfile.mkdtemp(prefix="fvlm-tables-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def parts(
    delta: DeltaTable, where: Iterable[Condition] = (), among: Mapping[str, Collection[str]] = {}
) -> list[Part]:
    """The files that may hold rows of the conditions, by partition.

    `among` lists, by column, the values of which it must hold one. A file without statistics may
    hold anything. The log spells a path as a URL (`stage=segment%253Atotal` is
    `stage=segment%3Atotal` on disk), and so does `DeltaTable.file_uris`, for the folder as well.
    """
    ranges = dict(_ranges(where))
    for column, values in among.items():
        if not values:
            return []
        ranges[column] = (min(values), max(values))
    actions = _actions(delta)
    kept = set(range(actions.num_rows))
    for column, (low, high) in ranges.items():
        if kept:
            kept &= _may_hold(actions, column, low, high)
    names = delta.metadata().partition_columns
    found: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    told = [actions[f"partition.{name}"].cast(pa.string()).to_pylist() for name in names]
    paths, rows = actions["path"].to_pylist(), actions["num_records"].to_pylist()
    for number in sorted(kept):
        file = (unquote(str(paths[number])), rows[number] or 0)
        found[tuple(column[number] for column in told)].append(file)
    return [
        Part(dict(zip(names, values, strict=True)), *zip(*sorted(found[values]), strict=True))
        for values in sorted(found)
    ]


def small_files(delta: DeltaTable, size: int) -> int:
    """Files below `size` bytes that could be joined with another one of their partition."""
    actions = _actions(delta)
    names = [f"partition.{name}" for name in delta.metadata().partition_columns]
    columns = [actions["size_bytes"].to_pylist(), *(actions[name].to_pylist() for name in names)]
    small = [partition for bytes_, *partition in zip(*columns, strict=True) if bytes_ < size]
    return len(small) - len({tuple(partition) for partition in small})


def scan(table: str, folder: str, files: Iterable[Part]) -> str:
    """SQL of all columns of `table` in the files below `folder`.

    Values of partition columns come from the log: DuckDB would take them from any part of the
    path, even `/data/task=x/store`, and guess their types.
    """
    columns = schemas.TABLES[table].columns
    # UNION ALL takes the types of its branches; a table without files still needs typed columns
    selects = [
        "SELECT "
        + ", ".join(f'NULL::{duckdb_type(one.type)} AS "{name}"' for name, one in columns.items())
        + " WHERE false"
    ]
    for part in files:
        listed = ", ".join(quoted(literally(f"{folder}/{path}")) for path in part.paths)
        shown = ", ".join(
            f'{quoted(part.values[name])} AS "{name}"'
            if name in part.values
            else f'"{name}"::{duckdb_type(one.type)} AS "{name}"'
            for name, one in columns.items()
        )
        selects.append(f"SELECT {shown} FROM read_parquet([{listed}], hive_partitioning=false)")
    return " UNION ALL ".join(selects if len(selects) == 1 else selects[1:])


def show(connection: duckdb.DuckDBPyConnection, table: str, scanned: str) -> None:
    """Make the view `table` of what `scan` gave.

    Raises:
        duckdb.InvalidInputException: a file lacks a column, as its footer is damaged.
    """
    try:
        connection.execute(f'CREATE OR REPLACE TEMP VIEW "{table}" AS {scanned}')
    except duckdb.BinderException as error:
        # this SQL is ours: with whole files it binds, so it must not pass for a faulty query
        raise duckdb.InvalidInputException(f"table {table}: a file lacks a column") from error


def readable(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    folder_of: Callable[[Sequence[Part]], str],
    files: Sequence[Part],
) -> tuple[list[Part], list[str]]:
    """The files in which every value can be decoded, and the paths of the others.

    DuckDB answers a plain count from a file's footer, so every value is hashed.
    """
    counted = ", ".join(f'count(hash("{name}"))' for name in schemas.TABLES[table].columns)

    def decodes(some: Sequence[Part]) -> bool:
        try:
            query = f"SELECT {counted} FROM ({scan(table, folder_of(some), some)})"
            connection.sql(query).fetchall()
        except UNREADABLE as error:
            if lacks_memory(error):  # says nothing of the file, which would be moved away
                raise MemoryError from error
            return False
        return True

    if decodes(files):
        return list(files), []
    # one unreadable file fails the query over all: each is tried by itself
    single = [
        Part(one.values, (path,), (rows,))
        for one in files
        for path, rows in zip(one.paths, one.rows, strict=True)
    ]
    kept = [one for one in single if decodes([one])]
    return kept, [one.paths[0] for one in single if one not in kept]


def check_plain(delta: DeltaTable, what: str) -> None:
    """Refuse a table whose rows are not what its Parquet files say.

    Raises:
        StoreError: another program has switched on such a feature of Delta Lake.
    """
    protocol = delta.protocol()
    unread = NOT_PLAIN_FILES & set(protocol.reader_features or ())
    if protocol.min_reader_version == COLUMN_MAPPING_ONLY:
        unread = {"columnMapping"}
    if unread:
        raise StoreError(
            f"{what} uses {' and '.join(sorted(unread))} of Delta Lake, which another program has "
            "switched on; expected plain files: rewrite the table with that program, without it"
        )


def literally(path: str) -> str:
    """A path escaped so that DuckDB takes no part of it for a glob pattern."""
    return re.sub(r"[*?\[]", r"[\g<0>]", path)


def condition_sql(where: Iterable[Condition]) -> str:
    """SQL of conditions that must all hold; TRUE if there are none.

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


def _one_condition(column: str, operator: str, value: Any) -> str:
    if operator in ("in", "not in"):
        if not value:
            return "FALSE" if operator == "in" else "TRUE"
        return f'"{column}" {operator.upper()} ({", ".join(quoted(one) for one in value)})'
    if operator not in OPERATORS:
        raise ValueError(f"condition on {column}: operator {operator!r} is not known")
    return f'"{column}" {operator} {quoted(value)}'


def _ranges(where: Iterable[Condition]) -> Iterable[tuple[str, tuple[Any, Any]]]:
    """Minimum and maximum that a wanted row may have, for the columns that conditions bound."""
    for column, operator, value in where:
        if operator in ("=", "=="):
            yield column, (value, value)
        elif operator == "in" and value:
            yield column, (min(value), max(value))


def _actions(delta: DeltaTable) -> pa.Table:
    """The log's entry of each file; a statistic is a column: `min.item`, `partition.stage`."""
    # `pa.table` would import pandas, a quarter of a second of every command
    return pa.RecordBatchReader.from_stream(delta.get_add_actions(flatten=True)).read_all()


def _may_hold(actions: pa.Table, column: str, low: Any, high: Any) -> set[int]:
    """Places of the files that may hold a value of the range."""
    if f"partition.{column}" in actions.schema.names:
        least = greatest = actions[f"partition.{column}"].cast(pa.string()).to_pylist()
        low, high = str(low), str(high)
    # no statistics are kept of this column: any file may hold a row
    elif f"min.{column}" not in actions.schema.names:
        return set(range(actions.num_rows))
    else:
        least = actions[f"min.{column}"].to_pylist()
        greatest = actions[f"max.{column}"].to_pylist()
    return {
        number
        for number, (first, last) in enumerate(zip(least, greatest, strict=True))
        if first is None or last is None or (first <= high and last >= low)
    }
