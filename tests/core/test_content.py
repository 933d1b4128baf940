"""The hash of a set of rows: what changes it, what does not, and that Parquet files keep it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from fvlm_data.store.content import compared, digest, row_number, row_text, sums
from fvlm_data.store.reading import connect
from fvlm_data.store.sql import identifier
from fvlm_data.store.tables import Store
from fvlm_data.store.upkeep import compact_table
from schemas import Column, Finding, Table

ENGINE = connect()


def content(table: str, rows: pa.Table) -> str:
    """The content hash of rows that no file holds."""
    connection = ENGINE.cursor()
    try:
        connection.register("rows", rows)
        return asked(connection, table, "rows")
    finally:
        connection.close()


def asked(connection: Any, table: str, relation: str) -> str:
    number = row_number(row_text(compared(table), table))
    hashed = f"SELECT {number} AS m FROM {relation}"
    query = f"SELECT {digest()} FROM (SELECT {sums()} FROM ({hashed}))"
    return str(connection.execute(query).fetchall()[0][0])


def value(kind: pa.DataType, number: int) -> Any:
    """A value of a type, another one for each number."""
    if pa.types.is_list(kind):
        return tuple(value(kind.value_type, number + place) for place in range(2))
    if pa.types.is_struct(kind):
        fields = [kind.field(place) for place in range(kind.num_fields)]
        return {field.name: value(field.type, number + 1) for field in fields}
    if pa.types.is_string(kind):
        return f"é'\"\\ {number}"
    if pa.types.is_boolean(kind):
        return number % 2 == 1
    return 1000003 * number + 7 if pa.types.is_integer(kind) else number / 7 + 0.1


def row(table: Table, number: int) -> Any:
    """A row with a value in each column."""

    def told(column: Column) -> Any:
        allowed = column.allowed
        return allowed[number % len(allowed)] if allowed else value(column.type, number)

    return table.row(**{name: told(column) for name, column in table.columns.items()})


@pytest.mark.parametrize("name", schemas.TABLES)
def test_rows_that_are_written_and_read_again_have_the_same_hash(store: Store, name: str):
    table = schemas.TABLES[name]
    rows = [row(table, 1), row(table, 2)]
    empty = {
        column: None
        if one.nullable
        else ()
        if pa.types.is_list(one.type)
        else getattr(rows[0], column)
        for column, one in table.columns.items()
    }
    rows.append(table.row(**{**empty, table.replaced_by: "third"}))
    before = content(name, table.to_arrow(rows))
    for one in rows:
        store.replace(name, [getattr(one, table.replaced_by)], [one])
    assert asked(store.connect(), name, f"({store.scan(name)})") == before
    compact_table(store, name, keep_hours=0)
    assert asked(store.connect(), name, f"({store.scan(name)})") == before


@pytest.mark.parametrize(
    ("name", "column"),
    [(name, column) for name in schemas.TABLES for column in schemas.TABLES[name].columns],
)
def test_one_changed_value_changes_the_hash_where_it_is_compared(name: str, column: str):
    table = schemas.TABLES[name]
    rows = [row(table, 1), row(table, 2)]
    now = getattr(rows[0], column)
    allowed = table.columns[column].allowed
    other = (
        next(one for one in allowed if one != now) if allowed else getattr(row(table, 4), column)
    )
    changed = [replace(rows[0], **{column: other}), rows[1]]
    same = content(name, table.to_arrow(rows)) == content(name, table.to_arrow(changed))
    assert same is not table.columns[column].compared


FINDING = Finding(
    report_id="r",
    sentence=0,
    start=0,
    end=4,
    finding="cyst",
    anatomy="liver",
    status="present",
    laterality=None,
    severity=None,
    size_mm=4.5,
)


@pytest.mark.parametrize(
    "changes",
    [
        {"laterality": "left"},
        {"severity": ""},
        {"severity": "null"},
        {"size_mm": None},
        {"size_mm": 4.500000000000001},
        {"finding": "cyst "},
        {"start": 1},
        {"start": 4, "end": 0},
        {"finding": "liver", "anatomy": "cyst"},
    ],
)
def test_values_that_look_alike_differ(changes: dict[str, Any]):
    table = schemas.TABLES["findings"]
    changed = replace(FINDING, **changes)
    assert content("findings", table.to_arrow([FINDING])) != content(
        "findings", table.to_arrow([changed])
    )


@given(st.lists(st.integers(0, 5), max_size=8), st.lists(st.integers(0, 5), max_size=8))
@settings(max_examples=40, deadline=None)
def test_the_hash_is_that_of_the_rows_with_their_numbers_in_any_order(
    one: list[int], other: list[int]
):
    table = schemas.TABLES["findings"]

    def of(starts: list[int]) -> str:
        return content("findings", table.to_arrow([replace(FINDING, start=n) for n in starts]))

    shuffled = random.Random(0).sample(one, len(one))
    assert of(one) == of(shuffled)
    assert (of(one) == of(other)) == (sorted(one) == sorted(other))


@given(st.text(max_size=20), st.text(max_size=20))
@settings(max_examples=60, deadline=None)
def test_any_two_texts_differ(one: str, other: str):
    table = schemas.TABLES["findings"]
    found = [
        content("findings", table.to_arrow([replace(FINDING, finding=text)]))
        for text in (one, other)
    ]
    assert (found[0] == found[1]) == (one == other)


def test_equal_rows_of_two_tables_differ():
    names = sorted(schemas.TABLES)
    assert row_text(["item"], names[0]) != row_text(["item"], names[1])
    connection = ENGINE.cursor()
    texts = [
        connection.execute(
            f"SELECT {row_text(['item'], name)} FROM (SELECT 'x' AS item)"
        ).fetchall()
        for name in names[:2]
    ]
    assert texts[0] != texts[1]
    assert identifier('a"b') == '"a""b"'
