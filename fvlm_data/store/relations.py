"""Tables of a store as DuckDB sees them: their Parquet files, read when a query asks.

DuckDB's own `delta` extension is fetched from the network at first use, which a hospital's machine
cannot do; the library `deltalake` says instead which files a version is made of. Tables on object
storage are read whole, as Arrow.
"""

from __future__ import annotations

import atexit
import json
import re
import shutil
import tempfile
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

import schemas
from fvlm_data.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from fvlm_data.store.tables import Store

Answer = TypeVar("Answer")

NOT_PLAIN_FILES = {"deletionVectors", "columnMapping"}
"""Features of Delta Lake with which the rows are not what the Parquet files say."""

COLUMN_MAPPING_ONLY = 2
"""The version of the protocol for readers that stands for column mapping, without a name."""


class Relations:
    """The tables of one store in a DuckDB connection of their own, for reading only.

    `columns` narrows tables to some of their columns, which spares the rest on object storage.
    """

    def __init__(self, store: Store, columns: Mapping[str, Sequence[str]] | None = None) -> None:
        """Nothing is read yet."""
        self._store = store
        self._columns = dict(columns or {})
        self._connection = _connect()
        self._shown: dict[str, duckdb.DuckDBPyRelation] = {}

    def rows(
        self, query: str, parameters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Rows of an SQL query; a table stays at the version at which it was first asked for.

        Raises:
            StoreError: a table is missing or damaged.
        """
        self._show(query)
        return self._answer(query, lambda: self._connection.execute(query, parameters).fetchall())

    def relation(self, query: str) -> duckdb.DuckDBPyRelation:
        """An SQL query over the newest versions, to be refined; it is read when its rows are asked.

        Raises:
            StoreError: a table is missing or damaged.
            duckdb.Error: the query is not right.
        """
        self._show(query, anew=True)
        return self._connection.sql(query)

    def arrow(self, query: str) -> pa.Table:
        """Rows of an SQL query over the newest versions.

        Raises:
            StoreError: a table is missing or damaged.
            duckdb.Error: the query is not right.
        """
        self._show(query, anew=True)
        return self._answer(query, lambda: self._connection.sql(query).to_arrow_table())

    def _answer(self, query: str, ask: Callable[[], Answer]) -> Answer:
        try:
            try:
                return ask()
            except duckdb.IOException:  # another process joined files and removed the old ones
                self._show(query, anew=True)
                return ask()
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            named = " or ".join(self._tables_of(query))
            raise _unreadable(self._store, named, error) from error

    def _show(self, query: str, *, anew: bool = False) -> None:
        for table in self._tables_of(query):
            if anew or table not in self._shown:
                # kept: a view does not keep alive the Arrow table that its relation may hold
                self._shown[table] = self._relation(table)
                self._shown[table].create_view(table, replace=True)

    def _tables_of(self, query: str) -> list[str]:
        """Tables of the store that a query may read."""
        parsed = self._connection.execute("SELECT json_serialize_sql($1)", [query]).fetchall()
        tree = json.loads(parsed[0][0])
        # DuckDB gives no tree of PIVOT and the like: there, any word may name a table
        named = re.findall(r"\w+", query) if tree["error"] else _table_names(tree)
        return sorted({name.lower() for name in named} & schemas.TABLES.keys())

    def _relation(self, table: str) -> duckdb.DuckDBPyRelation:
        schema = schemas.TABLES[table].schema
        wanted = self._columns.get(table, schema.names)
        schema = pa.schema([schema.field(name) for name in wanted])
        if (folder := self._store.local_root) is not None:
            return self._of_folder(table, folder, schema)
        later = table in schemas.ADDED and not self._store.exists(f"tables/{table}")
        rows = schema.empty_table() if later else self._store.read(table, wanted)
        return self._connection.from_arrow(rows)

    def _of_folder(self, table: str, folder: Path, schema: pa.Schema) -> duckdb.DuckDBPyRelation:
        tried = None
        while True:
            version = None
            try:
                delta = _delta(self._store, folder, table)
                version = delta.version() if delta else None
                return self._of_version(table, folder, delta, schema)
            except duckdb.IOException as error:
                if version == tried:
                    raise _unreadable(self._store, table, error) from error
                tried = version  # another process joined files and removed the old ones
            except (DeltaError, OSError, duckdb.InvalidInputException) as error:
                raise _unreadable(self._store, table, error) from error

    def _of_version(
        self, table: str, folder: Path, delta: DeltaTable | None, schema: pa.Schema
    ) -> duckdb.DuckDBPyRelation:
        whole = self._connection.from_arrow(schema.empty_table())
        names = ", ".join(_quoted(name) for name in schema.names)
        for told, files in _files_by_partition(delta) if delta else []:
            paths = [str(folder / "tables" / table / file) for file in files]
            whole = whole.union(self._of_partition(table, paths, told).project(names))
        return whole

    def _of_partition(
        self, table: str, files: Sequence[str], told: Mapping[str, str]
    ) -> duckdb.DuckDBPyRelation:
        """Rows of one partition, whose columns stand in the log and not in the files."""
        # by name: files from before a column came lack it
        rows = self._connection.read_parquet(
            [_literally(file) for file in files], hive_partitioning=False, union_by_name=True
        )
        there = {*rows.columns, *told}
        missing = [name for name in schemas.ADDED_COLUMNS.get(table, ()) if name not in there]
        values = [f"{_text(value)} AS {_quoted(name)}" for name, value in told.items()]
        empty = self._connection.from_arrow(schemas.TABLES[table].schema.empty_table())
        kinds = dict(zip(empty.columns, empty.types, strict=True))
        values += [f"CAST(NULL AS {kinds[name]}) AS {_quoted(name)}" for name in missing]
        return rows.project(", ".join(["*", *values]))


def _connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory that fetches no extension and spills outside the working folder."""
    return duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "temp_directory": _spill_folder(),
        },
    )


@cache
def _spill_folder() -> str:
    """A folder of this process and user alone: what is spilled may hold text of reports.

    It stays to the end of the process, since a relation may outlive the store that it came from.
    """
    folder = tempfile.mkdtemp(prefix="fvlm-duckdb-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _table_names(node: Any) -> Iterator[str]:
    """Names of tables in the tree of a query as DuckDB writes it."""
    if isinstance(node, dict):
        if node.get("type") == "BASE_TABLE":
            yield node["table_name"]
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from _table_names(part)


def _delta(store: Store, folder: Path, table: str) -> DeltaTable | None:
    """The table at its newest version; None for one that came later than the store."""
    try:
        delta = DeltaTable(str(folder / "tables" / table))
    except TableNotFoundError as error:
        if table in schemas.ADDED:
            return None
        raise StoreError(
            f"store {store.url}: table {table} is missing; the store is damaged"
        ) from error
    protocol = delta.protocol()
    unread = NOT_PLAIN_FILES & set(protocol.reader_features or ())
    if protocol.min_reader_version == COLUMN_MAPPING_ONLY:
        unread = {"columnMapping"}
    if unread:
        raise StoreError(
            f"store {store.url}: table {table} uses {' and '.join(sorted(unread))} of Delta Lake, "
            "which another program has switched on; expected plain files: rewrite the table with "
            "that program, without it"
        )
    return delta


def _files_by_partition(delta: DeltaTable) -> list[tuple[dict[str, str], list[str]]]:
    """Partition values and the paths of their files, relative to the table, both sorted.

    The paths are those of the log, which quotes them as a URL.
    """
    names = delta.metadata().partition_columns
    files = defaultdict(list)
    for action in pa.table(delta.get_add_actions(flatten=True)).to_pylist():
        told = tuple(action[f"partition.{name}"] for name in names)
        files[told].append(unquote(action["path"]))
    return [(dict(zip(names, told, strict=True)), sorted(files[told])) for told in sorted(files)]


def _unreadable(store: Store, table: str, error: Exception) -> StoreError:
    return StoreError(
        f"store {store.url}: table {table} cannot be read ({type(error).__name__}); restore "
        f"tables/{table} from a backup"
    )


def _literally(path: str) -> str:
    """A path in which DuckDB finds no pattern of file names."""
    return re.sub(r"[*?\[]", r"[\g<0>]", path)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
