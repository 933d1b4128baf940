"""A store for users of Python: `fvlm_data.open_store(PATH).findings.to_pandas()`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

import pyarrow as pa

import schemas
from fvlm_data.errors import StoreError
from fvlm_data.opened.studies import Studies
from fvlm_data.opened.study import Study
from fvlm_data.store.place import read_mark, resolve
from fvlm_data.store.relations import Relations
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb
    import pandas as pd


def open_store(place: str | Path, vocabulary: Vocabulary | None = None) -> OpenedStore:
    """A store's tables and studies for reading; needs neither the vault nor write permission.

    `place` is the store's folder or URL. `vocabulary` is the one that the store was made with,
    where that is not the built-in one: `Vocabulary.load("en", overlay=FOLDER)`.

    Raises:
        StoreError: there is no store, it cannot be read, or its version differs.
    """
    url, filesystem, root = resolve(place)
    store = Store(url, filesystem, root, read_mark(url, filesystem, root))
    return OpenedStore(store, vocabulary or Vocabulary.load())


class OpenedStore:
    """The tables of a store, each an attribute of its name, and its `studies`.

    Reading always gives a table's newest version at that moment.
    """

    def __init__(self, store: Store, vocabulary: Vocabulary) -> None:
        """Use `open_store`."""
        self.url = store.url
        self._store = store
        self._relations = Relations(store)
        self._vocabulary = vocabulary

    @property
    def studies(self) -> Studies:
        """All studies that have a volume; `.where(finding=...)` chooses among them."""
        return Studies(self._store, self._relations, self._vocabulary)

    def study(self, study_id: str) -> Study:
        """One study by its id.

        Raises:
            InputError: no volume is of such a study.
            StoreError: a table is missing or damaged.
        """
        return self.studies.of_id(study_id)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables, in the order of the data."""
        return tuple(schemas.TABLES)

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """An SQL query over tables of the store by their names, as a lazy DuckDB relation.

        Raises:
            StoreError: a table is missing or damaged.
            duckdb.Error: the query is not right.
        """
        return self._relations.relation(query)

    def __getattr__(self, name: str) -> StoredTable:
        """A table by its name.

        Raises:
            AttributeError: there is no such table.
        """
        if name in schemas.TABLES:
            return StoredTable(self._relations, schemas.TABLES[name])
        near = get_close_matches(name, schemas.TABLES, n=1)
        told = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(self.tables)}"
        raise AttributeError(f"a store has no table {name}; {told}", name=name, obj=self)

    def __dir__(self) -> list[str]:
        """Names that an editor offers, including the tables."""
        return [*super().__dir__(), *schemas.TABLES]

    def __repr__(self) -> str:
        """How the store was opened."""
        return f"open_store({self.url!r})"


@dataclass(frozen=True, slots=True)
class StoredTable:
    """Rows of one table, read when they are asked for; their order is not defined.

    `names` are the columns to keep (empty: all); `conditions` are SQL.
    """

    _relations: Relations
    _table: schemas.Table
    names: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.names or tuple(self._table.columns)

    def select(self, *names: str) -> StoredTable:
        """Only these columns, in this order.

        Raises:
            StoreError: the table has no such column.
        """
        for name in names:
            if name not in self.columns:
                near = get_close_matches(name, self.columns, n=1) or self.columns
                raise StoreError(
                    f"table {self._table.name} has no column {name}; expected {' or '.join(near)}"
                )
        return replace(self, names=names)

    def where(self, condition: str) -> StoredTable:
        """Only the rows for which an SQL condition holds: `where("status = 'present'")`."""
        return replace(self, conditions=(*self.conditions, condition))

    def relation(self) -> duckdb.DuckDBPyRelation:
        """The rows as a lazy DuckDB relation over the table's files.

        Raises:
            StoreError: the table is missing or damaged.
            duckdb.Error: a condition is not right.
        """
        return self._relations.relation(self._query())

    def to_arrow(self) -> pa.Table:
        """The rows with the types, units and descriptions of the table's schema.

        Raises:
            StoreError: the table is missing or damaged.
            duckdb.Error: a condition is not right.
        """
        schema = self._table.schema
        told = pa.schema([schema.field(name) for name in self.columns])
        return self._relations.arrow(self._query()).cast(told)

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a data frame; raises as `to_arrow`."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame

    def __len__(self) -> int:
        """Number of rows; raises as `to_arrow`."""
        counted = self._relations.arrow(f"SELECT count(*) AS n FROM ({self._query()})")
        return int(counted["n"][0].as_py())

    def _query(self) -> str:
        columns = ", ".join(f'"{name}"' for name in self.columns)
        held = " AND ".join(f"({condition})" for condition in self.conditions)
        return f"SELECT {columns} FROM {self._table.name}" + (f" WHERE {held}" if held else "")
