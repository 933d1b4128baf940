"""The store: Delta Lake tables and files in one folder or bucket."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

import schemas
from fvlm_data.errors import StoreError
from fvlm_data.store import reading
from fvlm_data.store.fetched import Fetched
from fvlm_data.store.files import StoreFiles
from fvlm_data.store.log_look import Checkpoint, may_have_grown, newest_checkpoint
from fvlm_data.store.place import MARK as MARK
from fvlm_data.store.place import (
    check_folder,
    make_where_missing,
    read_mark,
    resolve,
    table_url,
)
from fvlm_data.store.sql import identifier
from fvlm_data.store.writing import (
    by_key,
    check_owners,
    retried,
    rows_of,
    table_unreadable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from fvlm_data.store.reading import Condition

ITEMS_A_PREDICATE = 10_000
"""Items that one statement lists, one by one in its SQL text."""

HIDDEN = "_hidden"
"""Table of the engine that holds the ids which `Store.hide` was given."""


class Store(StoreFiles):
    """Tables and files below one URL; the only place that reads and writes them.

    A table changes by atomic commits. `memory_mb` and `spill` bound the engine that reads and
    plans.
    """

    def __init__(self, url: str, filesystem: Any, root: str, store_id: str) -> None:
        """Use `Store.create` or `Store.open`."""
        super().__init__(url, filesystem, root)
        self.store_id = store_id
        self.memory_mb = 2000
        self.spill: Path | None = None
        self._hiding: Mapping[str, Collection[str]] | None = None
        self._opened: dict[str, DeltaTable] = {}
        self._checkpoints: dict[str, Checkpoint | None] = {}
        self._files: dict[str, tuple[int, list[reading.Part]]] = {}
        self._engine: duckdb.DuckDBPyConnection | None = None
        # DuckDB's own readers of object storage are extensions, which it would download at first
        # use
        self._fetched = None if self.local_root else Fetched(filesystem, root)

    @classmethod
    def create(cls, url: str | Path) -> Store:
        """Open the store at `url`, making one if there is none.

        Raises:
            StoreError: the place cannot be written, holds other things, or was made by another
                version of the tables.
        """
        text, filesystem, root = resolve(url)
        check_folder(text)
        make_where_missing(text, filesystem, root)
        return cls.open(url)

    @classmethod
    def open(cls, url: str | Path, older: Collection[int] = ()) -> Store:
        """Open an existing store; `older` versions are accepted only to upgrade it.

        Raises:
            StoreError: there is no store, it cannot be read, or its version differs.
        """
        text, filesystem, root = resolve(url)
        check_folder(text)
        store_id = read_mark(text, filesystem, root, older)
        return cls(text, filesystem, root, store_id)

    def hide(self, ids: Collection[str], columns: Mapping[str, Collection[str]]) -> None:
        """From now on show no row that holds one of `ids` in one of its table's `columns`.

        For reading only: `count` and the log still tell of all rows.
        """
        connection = self.connect()
        # not a temporary table: all connections share the engine, not what is temporary
        connection.execute(f"CREATE OR REPLACE TABLE {HIDDEN} (id VARCHAR)")
        if ids:
            connection.execute(f"INSERT INTO {HIDDEN} SELECT unnest(?)", [sorted(ids)])
        self._hiding = columns if ids else None

    @property
    def hides(self) -> bool:
        """Whether some rows are not shown."""
        return self._hiding is not None

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A connection for queries over `scan`s, with temporary tables of its own.

        All connections of a store share one engine with the store's memory limit: starting an
        engine takes longer than most queries.
        """
        if self._engine is None:
            self._engine = reading.connect(self.memory_mb, self.spill)
        return self._engine.cursor()

    def scan(
        self,
        table: str,
        where: Sequence[Condition] = (),
        among: Mapping[str, Collection[str]] = {},
    ) -> str:
        """SQL of all columns of the table's newest version, of the files that may matter.

        Files that by the log's statistics hold no row of `where` (or of the values `among` which
        a column must have) are left out; the query itself still has to state the conditions.

        Raises:
            StoreError: the table is missing or damaged.
        """
        if where or among:
            return self._scanned(table, self.delta(table), where, among)
        return self.scan_files(table, self.files_of(table))

    def files_of(self, table: str) -> list[reading.Part]:
        """The files of the table's newest version; listed once for each, as every plan asks.

        Raises:
            StoreError: the table is missing or damaged.
        """
        delta = self.delta(table)
        version = delta.version()
        if self._files.get(table, (-1,))[0] != version:
            self._files[table] = (version, reading.parts(delta))
        return self._files[table][1]

    def readable_scan(self, table: str) -> tuple[str, list[str]]:
        """SQL of the rows in the table's readable files, and the paths of its unreadable files.

        Raises:
            StoreError: the table's log is missing or damaged.
        """
        whole = reading.parts(self.delta(table))
        folder_of = partial(self.tables_folder, table)
        readable, lost = reading.readable(self.connect(), table, folder_of, whole)
        return self.scan_files(table, readable), lost

    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        where: Sequence[Condition] | None = None,
    ) -> pa.Table:
        """Rows of `table`; `where` holds (column, operator, value) conditions, all to hold.

        Operators are =, !=, <, <=, >, >=, in, not in. Row order is not defined.

        Raises:
            StoreError: the table is missing or damaged.
        """
        try:
            return self._newest(table, columns, where or ())[1]
        except (DeltaError, *reading.UNREADABLE, pa.ArrowInvalid) as error:
            raise table_unreadable(self.url, table, error) from error

    def read_items(
        self, table: str, column: str, values: Iterable[str], columns: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Rows whose `column` holds one of `values`, as dictionaries, in no defined order."""
        wanted = sorted(set(values))
        rows: list[dict[str, Any]] = []
        for start in range(0, len(wanted), ITEMS_A_PREDICATE):
            part = wanted[start : start + ITEMS_A_PREDICATE]
            rows.extend(self.read(table, columns, [(column, "in", part)]).to_pylist())
        return rows

    def count(self, table: str) -> int:
        """Number of rows, according to the log; no data file is read.

        Raises:
            StoreError: the table is missing or damaged.
        """
        try:
            return int(self.delta(table).count())
        except (DeltaError, OSError, pa.ArrowInvalid) as error:
            raise table_unreadable(self.url, table, error) from error

    def version(self, table: str) -> int:
        """Version of the table's newest commit."""
        return int(self.delta(table).version())

    def seen_version(self, table: str) -> int | None:
        """Version of the table at the last look; None if it has not been looked at."""
        return int(self._opened[table].version()) if table in self._opened else None

    def replace(
        self,
        table: str,
        items: Collection[str],
        rows: Sequence[Any] | pa.Table,
        also: Mapping[str, str] | None = None,
    ) -> None:
        """Replace all rows of `items` (by the table's `replaced_by` column).

        Rows are instances of the table's dataclass, or an Arrow table from its `to_arrow`. Every
        row must belong to one of the items. `also` narrows the replaced rows to those with these
        column values (a partition), which the new rows must have as well. One commit takes up to
        `ITEMS_A_PREDICATE` items. A conflict with another writer is retried.

        Raises:
            SchemaError: a row does not fit the table or is of no item; nothing is written.
            StoreError: the table cannot be written.
        """
        definition = schemas.TABLES[table]
        arrow = rows if isinstance(rows, pa.Table) else definition.to_arrow(rows)
        wanted = sorted(set(items))
        column = definition.replaced_by
        # the whole batch is checked before its first commit: a later part must not fail halfway
        owners = arrow.column(column)
        check_owners(table, arrow, {column: wanted, **{k: [v] for k, v in (also or {}).items()}})
        for start in range(0, len(wanted), ITEMS_A_PREDICATE):
            part = wanted[start : start + ITEMS_A_PREDICATE]
            predicate = rows_of(column, part, also or {})
            mine = arrow
            if len(wanted) > ITEMS_A_PREDICATE:
                mine = arrow.filter(pc.is_in(owners, pa.array(part)))
            self._overwrite(table, mine, predicate)

    def swap(self, table: str, before: Sequence[Mapping[str, Any]], rows: Sequence[Any]) -> bool:
        """Replace the rows `before`, as `read` gave them, by `rows` of the same items.

        Returns False and writes nothing if another writer has changed one of them meanwhile:
        comparison and replacement are one commit. `before` must hold all rows of its items.

        Raises:
            SchemaError: a row does not fit the table or is of no item.
            StoreError: the table cannot be read or written.
        """
        definition = schemas.TABLES[table]
        column = definition.replaced_by
        arrow = definition.to_arrow(rows)
        items = sorted({str(row[column]) for row in before})
        check_owners(table, arrow, {column: items})
        expected = by_key(table, before)

        def write() -> bool:
            delta, now = self._newest(table, None, [(column, "in", items)], self._open_table)
            if by_key(table, now.to_pylist()) != expected:
                return False
            # `delta` is this call's own object, so no other thread advances its version: a commit
            # to these files since the read makes this write a conflict
            self._write(delta, arrow, rows_of(column, items, {}))
            return True

        return retried(self.url, table, write)

    def replace_all(self, table: str, rows: Sequence[Any]) -> None:
        """Replace the whole table (for tables derived from others) in one commit."""
        self._overwrite(table, schemas.TABLES[table].to_arrow(rows), None)

    def drop_unreadable(self, table: str) -> int:
        """Take missing and damaged files out of a table; returns how many there were.

        The table loses their rows; `integrity` finds the items that lack them. The files
        themselves stay in place with the suffix `.damaged`.

        Raises:
            StoreError: the table's log cannot be read or written.
        """
        _, unreadable = self.readable_scan(table)
        for path in unreadable:
            # moved, not deleted: what `readable` cannot decode a person may still want to rescue
            place = f"{self._root}/tables/{table}/{path}"
            if self._fs.exists(place):
                self._fs.mv(place, f"{place}.damaged")
        # the log drops only files that are missing, which is why the damaged ones were moved away
        if unreadable:
            retried(self.url, table, lambda: self.delta(table).repair())
        return len(unreadable)

    def delta(self, table: str) -> DeltaTable:
        """The table at its newest version; only commits not seen yet are read from its log."""
        folder = self.local_root / "tables" / table if self.local_root else None
        checkpoint = newest_checkpoint(folder) if folder else None
        if table not in self._opened:
            self._opened[table] = self._open_table(table)
        elif (
            folder is None
            or self._checkpoints[table] != checkpoint
            or may_have_grown(folder, self._opened[table].version())
        ):
            try:
                # only the commits since the last look; a new DeltaTable would read the whole log
                self._opened[table].update_incremental()
            except TableNotFoundError as error:
                raise self._missing(table) from error
        self._checkpoints[table] = checkpoint
        return self._opened[table]

    def _open_table(self, table: str) -> DeltaTable:
        try:
            delta = DeltaTable(table_url(self.url, self._fs, self._root, table))
        except TableNotFoundError as error:
            raise self._missing(table) from error
        reading.check_plain(delta, f"store {self.url}: table {table}")
        return delta

    def _missing(self, table: str) -> StoreError:
        return StoreError(f"store {self.url}: table {table} is missing; the store is damaged")

    def _newest(
        self,
        table: str,
        columns: Sequence[str] | None,
        where: Sequence[Condition],
        look: Callable[[str], DeltaTable] | None = None,
    ) -> tuple[DeltaTable, pa.Table]:
        """The table at its newest version as `look` finds it, and rows of that version."""
        names = list(columns or schemas.TABLES[table].columns)
        listed = ", ".join(f'"{name}"' for name in names)
        conditions = reading.condition_sql(where)
        look = look or self.delta
        delta = look(table)
        while True:
            version = delta.version()
            try:
                scanned = self._scanned(table, delta, where, {})
                query = f"SELECT {listed} FROM ({scanned}) WHERE {conditions}"
                rows = self.connect().sql(query).to_arrow_table()
                return delta, reading.rows_as(table, names, rows)
            except (FileNotFoundError, duckdb.IOException):
                delta = look(table)
                if delta.version() == version:
                    raise
                # otherwise a compaction replaced the files under us: read its result

    def _scanned(
        self,
        table: str,
        delta: DeltaTable,
        where: Sequence[Condition],
        among: Mapping[str, Collection[str]],
    ) -> str:
        return self.scan_files(table, reading.parts(delta, where, among))

    def scan_files(self, table: str, parts: Sequence[reading.Part]) -> str:
        """SQL of all columns of the table in files of it, less the rows that are hidden."""
        scanned = reading.scan(table, self.tables_folder(table, parts), parts)
        if self._hiding is None:
            return scanned
        seen = " AND ".join(
            f"coalesce({identifier(column)} NOT IN (FROM {HIDDEN}), TRUE)"
            for column in self._hiding[table]
        )
        return f"SELECT * FROM ({scanned}) WHERE {seen}"

    def tables_folder(self, table: str, parts: Sequence[reading.Part]) -> str:
        """The local folder of a table's files, which are fetched from object storage."""
        return self.local_folder(f"tables/{table}", [path for part in parts for path in part.paths])

    def local_folder(self, folder: str, paths: Sequence[str]) -> str:
        """A folder of the store as a local one that holds `paths`, files that never change.

        Raises:
            OSError: one is not there or cannot be fetched from object storage.
        """
        if self._fetched is None:
            return f"{self._root}/{folder}"
        return self._fetched.folder(folder, paths)

    def _overwrite(self, table: str, rows: pa.Table, predicate: str | None) -> None:
        retried(self.url, table, lambda: self._write(self.delta(table), rows, predicate))

    def _write(self, delta: DeltaTable, rows: pa.Table, predicate: str | None) -> None:
        # column descriptions are stored metadata; an older store has other wording and keeps it
        bare = rows.cast(pa.schema([field.remove_metadata() for field in rows.schema]))
        write_deltalake(delta, bare, mode="overwrite", predicate=predicate)
