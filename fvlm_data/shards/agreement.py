"""What each shard's index and table `samples` agreed on when they were last compared.

An index is written with its shard, and rewritten from the table. To spare reading every index in
every run, the ledger keeps for each one the hash of its rows and the stamp of the file (size and
time): as long as neither has changed, the two still agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

import schemas
from fvlm_data.shards.folder import index_path
from fvlm_data.store.content import digest, row_number, row_text, sums
from fvlm_data.store.queries import open_tables, with_readable_tables
from schemas import LedgerRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from fvlm_data.shards.folder import ShardFolder
    from fvlm_data.store.declared import Context
    from fvlm_data.store.tables import Store

STAGE = "tidy_shards"
"""The name under which the ledger keeps agreements."""

Shard = tuple[str, str]
"""Split and shard id."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Hash of a shard's rows, and stamp of the index that held just these."""

    rows: str
    stamp: str


def rows_now(context: Context) -> dict[Shard, str]:
    """Hash of all columns of the rows that the table places in each shard.

    Raises:
        StoreError: the table cannot be read.
    """

    def work() -> dict[Shard, str]:
        connection = context.store.connect()
        try:
            open_tables(context, connection, ["samples"])
            return hashes(connection, "samples")
        finally:
            connection.close()

    return with_readable_tables(context, ["samples"], work, mend=False)


def rows_of_index(store: Store, shards: ShardFolder, split: str, shard: str) -> str | None:
    """The same hash of the rows in a shard's index; None: it cannot be read, or is another's."""
    try:
        listed = shards.read_index(split, shard).cast(schemas.TABLES["samples"].schema)
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return None
    connection = store.connect()
    try:
        connection.register("_listed", listed)
        found = hashes(connection, "_listed")
    finally:
        connection.close()
    return found.get((split, shard)) if len(found) == 1 else None


def agreements(context: Context) -> dict[str, Agreement]:
    """What the ledger keeps, by the index's path."""
    rows = context.store.read("ledger", ["item", "key", "parts"], [("stage", "=", STAGE)])
    return {row["item"]: Agreement(row["key"], row["parts"]) for row in rows.to_pylist()}


def remember(
    context: Context, before: Mapping[str, Agreement], now: Mapping[Shard, Agreement]
) -> None:
    """Record what agrees now, for all shards; rows that are right already are not written."""
    current = {index_path(*shard): agreed for shard, agreed in now.items()}
    changed = {path: agreed for path, agreed in current.items() if before.get(path) != agreed}
    # shards that are gone lose their row
    replaced = changed.keys() | (before.keys() - current.keys())
    if not replaced:
        return
    rows = [
        LedgerRow(
            stage=STAGE,
            item=path,
            key=agreed.rows,
            outcome="accepted",
            content="",
            parts=agreed.stamp,
            run_id=context.run_id,
        )
        for path, agreed in sorted(changed.items())
    ]
    context.store.replace("ledger", sorted(replaced), rows, {"stage": STAGE})


def hashes(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[Shard, str]:
    """Hash of the rows that a relation with the columns of `samples` places in each shard."""
    hashed = row_number(row_text(schemas.TABLES["samples"].columns))
    found = connection.execute(
        f"SELECT split, shard, {digest()} FROM "
        f"(SELECT split, shard, {sums()} FROM (SELECT split, shard, {hashed} AS m "
        f"FROM {relation}) GROUP BY split, shard)"
    ).fetchall()
    return {(split, shard): told for split, shard, told in found}
