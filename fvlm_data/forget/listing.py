"""Ids as a table that queries join."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb


def listed(connection: duckdb.DuckDBPyConnection, name: str, ids: Iterable[str]) -> None:
    """A table of one column, id, of these ids."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} (id VARCHAR)")
    ordered = sorted(ids)
    if ordered:
        connection.execute(f"INSERT INTO {name} SELECT unnest(?)", [ordered])
