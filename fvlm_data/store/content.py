"""Content of rows as SQL: one hash for a set of rows, whatever their order.

The hash of a set is the sum of its rows' MD5s (upper and lower halves separately) and their number:
rows may come in any order from any number of files, a doubled row counts twice, and DuckDB adds it
up in one pass without sorting. MD5 only detects damage here; it is no defence against an attacker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import schemas
from fvlm_data.store.sql import identifier, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from fvlm_data.store.declared import Stage

    SumsOf = Callable[["Counted"], str]

HALF = 2**64 - 1

SHARED = ("quarantine", "files")
"""Tables in which every stage owns the rows that bear its name."""


def row_text(columns: Iterable[str], label: str = "", alias: str = "") -> str:
    """SQL of a row's canonical text: JSON of the named columns, with a label in front."""
    prefix = f"{alias}." if alias else ""
    # the label keeps equal rows of two tables from being counted as the same
    fields = [f"'of': {quoted(label)}"] if label else []
    fields += [f"{quoted(name)}: {prefix}{identifier(name)}" for name in columns]
    return f"to_json({{{', '.join(fields)}}})::VARCHAR"


def row_number(text: str) -> str:
    """SQL of the number that stands for a row in `sums`: the MD5 of its text."""
    return f"md5_number({text})"


def sums(number: str = "m", suffix: str = "") -> str:
    """SQL aggregates of rows by their `row_number`, a column: columns n, low, high.

    The columns' names end in `suffix`, so that one query can add up several numbers of a row.

    The MD5 is computed once and split by its bits: DuckDB's functions for its halves compute it
    twice, which takes three times as long (decision 0012).
    """
    # 64-bit halves added up in 128 bits cannot overflow; a sum of whole MD5s could
    low = f"({number} & {HALF}::UHUGEINT)::HUGEINT"
    high = f"({number} >> 64)::HUGEINT"
    return f"count(*) AS n{suffix}, sum({low}) AS low{suffix}, sum({high}) AS high{suffix}"


def added() -> str:
    """SQL aggregates of sums: the sums of all their rows."""
    return ", ".join(f"sum({name}) AS {name}" for name in ("n", "low", "high"))


def digest(*before: str, suffix: str = "") -> str:
    """SQL of the hash of n, low and high (0 if there was no row), preceded by `before`."""
    parts = [*before, *(f"coalesce({name}{suffix}, 0)" for name in ("n", "low", "high"))]
    return f"md5(concat_ws(':', {', '.join(parts)}))"


def compared(table: str) -> list[str]:
    """Columns of a table that are part of an item's content."""
    return [name for name, column in schemas.TABLES[table].columns.items() if column.compared]


def owned(stage: Stage) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Tables in which a stage has rows, with the column values that mark them as its own."""
    for table in stage.tables:
        yield table, stage.partition.get(table, {})
    for table in SHARED:
        yield table, {"stage": stage.name}


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows of a table to be added up by the value of a column: which, and what of them is hashed.

    `where` is SQL over the row, called t, and over nothing else. The `label` keeps equal rows of
    two tables from being counted as the same.
    """

    table: str
    by: str
    columns: tuple[str, ...]
    where: str = ""
    label: str = ""

    def sums_of(self, rows: str) -> str:
        """SQL of columns value, n, low, high: the sums of `rows`, a relation, by value."""
        number = row_number(row_text(self.columns, self.label, "t"))
        where = f" WHERE {self.where}" if self.where else ""
        return (
            f"SELECT value, {sums()} FROM (SELECT t.{identifier(self.by)} AS value, "
            f"{number} AS m FROM {rows} t{where}) GROUP BY value"
        )


def counted_of(stage: Stage) -> Iterator[Counted]:
    """All rows that the stage owns, by item."""
    for table, also in owned(stage):
        item = schemas.TABLES[table].replaced_by
        conditions = [f"t.{identifier(name)} = {quoted(value)}" for name, value in also.items()]
        if table == "files":  # objects of a shared tree are no part of one item's content
            conditions.append("NOT starts_with(t.path, t.item || '/')")
        yield Counted(table, item, tuple(compared(table)), " AND ".join(conditions), table)


def in_views(counted: Counted) -> str:
    """SQL of sums over the view of a table."""
    return counted.sums_of(identifier(counted.table))


def contents_sql(stage: Stage, sums_of: SumsOf = in_views) -> str:
    """SQL of columns item, n, low, high over all rows that the stage owns."""
    rows = " UNION ALL ".join(f"({sums_of(counted)})" for counted in counted_of(stage))
    return f"SELECT value AS item, {added()} FROM ({rows}) GROUP BY value"


def tables_of(stage: Stage) -> list[str]:
    """Names of the tables in which a stage has rows."""
    return [table for table, _ in owned(stage)]
