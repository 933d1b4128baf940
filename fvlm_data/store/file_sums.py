"""What the rows of a table's large files add up to, remembered: such a file never changes.

A plan hashes the rows that items are made from and those that stages have settled. The hash of a
set of rows is made of sums (`content`), so it is that of the sums of its files. Of each large file
the sums by value of a column are kept in folder `sums` of the store, under a name made of what is
added up and of the file's path, size and time: a plan hashes new files and adds up the others. What
is kept there is never needed, only saves time; `compact` and `forget` remove it.

Bytes that change in a file while its size and time do not are found by `verify`, which uses none of
this and has it removed (as in `unchanged`).
"""

from __future__ import annotations

import tempfile
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import duckdb

from fvlm_data.hashing import content_key
from fvlm_data.memory import lacks_memory
from fvlm_data.store.content import in_views
from fvlm_data.store.place import as_os_errors
from fvlm_data.store.queries import WRONG_QUERY, with_readable_tables
from fvlm_data.store.reading import UNREADABLE, Part, literally, private_folder
from fvlm_data.store.sql import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from fvlm_data.store.content import Counted, SumsOf
    from fvlm_data.store.declared import Context
    from fvlm_data.store.files import StoreFiles
    from fvlm_data.store.tables import Store

    Sums = Callable[[duckdb.DuckDBPyConnection, Mapping[str, Collection[Part]]], SumsOf]

Done = TypeVar("Done")

FOLDER = "sums"

LARGE_ROWS = 2_000
"""Rows from which a file's sums are kept: to hash so many takes some 10 ms, to open sums 1 ms."""

NAME_DIGITS = 24

WRITTEN = "value, n, low::DECIMAL(38, 0) AS low, high::DECIMAL(38, 0) AS high"
"""Parquet has no integers of 128 bits: DuckDB would write them as floating-point numbers."""

READ_BACK = "value, n, low::HUGEINT AS low, high::HUGEINT AS high"


def with_sums(
    context: Context,
    tables: Collection[str],
    work: Callable[[Sums], Done],
    *,
    mend: bool = False,
) -> Done:
    """`queries.with_readable_tables` of a plan that uses sums and, with `mend`, keeps new ones.

    Where something cannot be read it is done again without them.

    Raises:
        StoreError: a table cannot be read, and taking files out does not help.
    """
    store = context.store

    def remembered(
        connection: duckdb.DuckDBPyConnection, files: Mapping[str, Collection[Part]]
    ) -> SumsOf:
        return FileSums(store, connection, files, keep=mend).of

    def done() -> Done:
        try:
            return work(remembered)
        except WRONG_QUERY:
            raise
        except UNREADABLE as error:
            if lacks_memory(error):
                raise
            if mend:
                drop_sums(store)
            return work(lambda connection, files: in_views)

    return with_readable_tables(context, tables, done, mend=mend)


class FileSums:
    """Sums over tables at the versions whose files are given, for one plan.

    `files` are those of each table (`queries.open_tables`); with `keep`, what is not known yet is
    computed and kept.
    """

    def __init__(
        self,
        store: Store,
        connection: duckdb.DuckDBPyConnection,
        files: Mapping[str, Collection[Part]],
        *,
        keep: bool,
    ) -> None:
        """Nothing is read yet."""
        self._store = store
        self._connection = connection
        self._files = files
        self._keep = keep
        self._stamps: dict[str, dict[str, str]] = {}
        self._there: dict[str, set[str]] = {}

    def of(self, counted: Counted) -> str:
        """SQL of columns value, n, low, high; a value may have several rows, which add up.

        Raises:
            StoreError: the store cannot be written.
        """
        large, others = _by_size(self._files.get(counted.table, ()))
        if not large or self._store.hides:
            return in_views(counted)
        known, new = self._named(counted, large)
        if self._keep:
            self._tidy(counted, known.keys() | new.keys())
            for name, part in new.items():
                self._remember(counted, name, part)
            known, new = {**known, **new}, {}
        queries = []
        if known:
            folder = self._store.local_folder(f"{FOLDER}/{counted.table}", list(known))
            listed = ", ".join(quoted(literally(f"{folder}/{name}")) for name in known)
            queries.append(f"SELECT {READ_BACK} FROM read_parquet([{listed}])")
        rest = [*new.values(), *others]
        if rest:
            queries.append(counted.sums_of(f"({self._store.scan_files(counted.table, rest)})"))
        return " UNION ALL ".join(f"({query})" for query in queries)

    def _named(
        self, counted: Counted, large: Collection[Part]
    ) -> tuple[dict[str, Part], dict[str, Part]]:
        """The files whose sums are kept, and those whose sums are not, by the name for them."""
        there = self._kept(counted.table)
        known: dict[str, Part] = {}
        new: dict[str, Part] = {}
        for part in large:
            name = f"{_recipe(counted)}-{self._key(counted.table, part)}.parquet"
            (known if name in there else new)[name] = part
        return known, new

    def _key(self, table: str, part: Part) -> str:
        if table not in self._stamps:
            self._stamps[table] = self._store.stamped(f"tables/{table}")
        (path,) = part.paths
        place = f"tables/{table}/{path}"
        # missing: a compaction has removed it, or it is lost; the scan will say so
        return content_key(place, self._stamps[table].get(place, ""))[:NAME_DIGITS]

    def _kept(self, table: str) -> set[str]:
        """Names of the sums of a table's files; listed once: a request on object storage."""
        if table not in self._there:
            prefix = len(f"{FOLDER}/{table}/")
            paths = self._store.files(f"{FOLDER}/{table}")
            self._there[table] = {path[prefix:] for path in paths}
        return self._there[table]

    def _tidy(self, counted: Counted, named: Collection[str]) -> None:
        """Remove sums of the same kind over files that are no longer those of the table."""
        recipe = f"{_recipe(counted)}-"
        for name in self._kept(counted.table) - set(named):
            if name.startswith(recipe):
                self._store.remove(f"{FOLDER}/{counted.table}/{name}")
                self._there[counted.table].discard(name)

    def _remember(self, counted: Counted, name: str, part: Part) -> None:
        query = counted.sums_of(f"({self._store.scan_files(counted.table, [part])})")
        with tempfile.TemporaryDirectory(dir=private_folder()) as folder:
            made = Path(folder) / "sums.parquet"
            self._connection.execute(
                f"COPY (SELECT {WRITTEN} FROM ({query})) TO {quoted(str(made))} (FORMAT parquet)"
            )
            self._store.write_bytes(f"{FOLDER}/{counted.table}/{name}", made.read_bytes())
        self._kept(counted.table).add(name)


def drop_sums(store: StoreFiles) -> None:
    """Have the next plan hash every row.

    Raises:
        OSError: the store cannot be written.
    """
    with as_os_errors():
        if store.exists(FOLDER):
            store.remove(FOLDER)


def _by_size(files: Collection[Part]) -> tuple[list[Part], list[Part]]:
    """The large files, one by one, and the others."""
    large, others = [], []
    for part in files:
        small = [
            (path, rows)
            for path, rows in zip(part.paths, part.rows, strict=True)
            if rows < LARGE_ROWS
        ]
        large += [
            Part(part.values, (path,), (rows,))
            for path, rows in zip(part.paths, part.rows, strict=True)
            if rows >= LARGE_ROWS
        ]
        if small:
            others.append(Part(part.values, *zip(*small, strict=True)))
    return large, others


def _recipe(counted: Counted) -> str:
    # another DuckDB may write another text of the same row
    return content_key(*astuple(counted), duckdb.__version__)[:NAME_DIGITS]
