"""Tables of a store as DuckDB relations, read when a query needs them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
from deltalake.exceptions import DeltaError

import schemas
from fvlm_data.errors import StoreError
from fvlm_data.store.reading import show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pyarrow as pa

    from fvlm_data.store.tables import Store

DAMAGED = (duckdb.IOException, duckdb.InvalidInputException, OSError, UnicodeDecodeError)
"""What reading.UNREADABLE holds, but for the faults of a query of the user's."""

Answer = TypeVar("Answer")


class Relations:
    """The tables of one store in a DuckDB connection of their own, for reading only."""

    def __init__(self, store: Store) -> None:
        """Nothing is read yet."""
        self._store = store
        self._connection = store.connect()
        self._shown: set[str] = set()

    def rows(
        self, query: str, parameters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Rows of an SQL query; a table stays at the version at which it was first asked for.

        Raises:
            StoreError: a table is missing or damaged.
        """
        return self._answer(
            query, lambda: self._connection.execute(query, parameters).fetchall(), anew=False
        )

    def newest_rows(
        self, query: str, parameters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Rows of an SQL query over the newest versions; raises as `rows`."""
        return self._answer(query, lambda: self._connection.execute(query, parameters).fetchall())

    def relation(self, query: str) -> duckdb.DuckDBPyRelation:
        """A lazy SQL query over the newest versions; it is run when its rows are requested.

        Raises:
            StoreError: a table is missing or damaged.
            duckdb.Error: the query is not right.
        """
        return self._answer(query, lambda: self._connection.sql(query))

    def arrow(self, query: str) -> pa.Table:
        """Rows of an SQL query over the newest versions.

        Raises:
            StoreError: a table is missing or damaged.
            duckdb.Error: the query is not right.
        """
        return self._answer(query, lambda: self._connection.sql(query).to_arrow_table())

    def _answer(self, query: str, ask: Callable[[], Answer], *, anew: bool = True) -> Answer:
        try:
            try:
                self._show(query, anew=anew)
                return ask()
            except (duckdb.IOException, FileNotFoundError):
                # a compaction replaced the files of the version that the view shows
                self._show(query, anew=True)
                return ask()
        except (*DAMAGED, DeltaError) as error:
            named = " or ".join(self._tables_of(query))
            raise _unreadable(self._store, named, error) from error

    def _show(self, query: str, *, anew: bool) -> None:
        for table in self._tables_of(query):
            if anew or table not in self._shown:
                scanned = self._store.scan(table)
                show(self._connection, table, scanned)
                self._shown.add(table)

    def _tables_of(self, query: str) -> list[str]:
        """Tables of the store that a query may read."""
        # DuckDB's own parser: a name within a text literal or a comment is not a table
        parsed = self._connection.execute("SELECT json_serialize_sql($1)", [query]).fetchall()
        tree = json.loads(parsed[0][0])
        # DuckDB gives no tree of PIVOT and the like: there, any word may name a table
        named = re.findall(r"\w+", query) if tree["error"] else _table_names(tree)
        return sorted({name.lower() for name in named} & schemas.TABLES.keys())


def _table_names(node: Any) -> Iterator[str]:
    """Names of tables in the tree of a query as DuckDB writes it."""
    if isinstance(node, dict):
        if node.get("type") == "BASE_TABLE":
            yield node["table_name"]
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from _table_names(part)


def _unreadable(store: Store, table: str, error: Exception) -> StoreError:
    return StoreError(
        f"store {store.url}: table {table} cannot be read ({type(error).__name__}); restore "
        f"tables/{table} from a backup"
    )
