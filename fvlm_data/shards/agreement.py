"""What table `samples` and the files of each shard agreed on when they were last compared.

An index is written with its shard, and rewritten from the table. To spare reading every index in
every run, the ledger keeps for each one the hash of its rows and the stamp of the file (size and
time): as long as neither has changed, the two still agree. Beside them stands the hash of what
table `files` says of the shard's arrays, which belong to several samples and so to the content of
none.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

import schemas
from fvlm_data.memory import lacks_memory
from fvlm_data.shards.folder import group_path, index_path
from fvlm_data.shards.sets import LABELLED
from fvlm_data.store.content import compared, digest, row_number, row_text, sums
from fvlm_data.store.queries import open_tables, with_readable_tables
from fvlm_data.store.sql import quoted
from schemas import LedgerRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

    from fvlm_data.shards.folder import ShardFolder
    from fvlm_data.shards.sets import SampleSet
    from fvlm_data.store.declared import Context
    from fvlm_data.store.tables import Store

COLUMNS = ("item", "key", "content", "parts")
"""Columns of the ledger that hold an agreement: path, hashes of rows and of files, stamp."""

Shard = tuple[str, str]
"""Split and shard id."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the tables say of a shard: hash of its samples' rows, and of those in `files`."""

    rows: str
    files: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the tables said, and stamp of the index that held just these rows."""

    told: Told
    stamp: str

    def names_other_files(self, now: Told) -> bool:
        """Whether the rows of the arrays in table `files` have changed; an old store keeps none."""
        return self.told.files not in ("", now.files)


def shards_now(context: Context, of: SampleSet = LABELLED) -> dict[Shard, Told]:
    """What the tables say of each shard that holds samples.

    Raises:
        StoreError: a table cannot be read.
    """
    tables = (of.table, "files")

    def work() -> dict[Shard, Told]:
        connection = context.store.connect()
        try:
            open_tables(context, connection, tables)
            return told(connection, of)
        finally:
            connection.close()

    return with_readable_tables(context, tables, work, mend=True)


def told(connection: duckdb.DuckDBPyConnection, of: SampleSet = LABELLED) -> dict[Shard, Told]:
    """What the tables say of each shard, over views of them."""
    files = _hashes_of_files(connection, of)
    return {
        shard: Told(rows, files.get(group_path(*shard, of), ""))
        for shard, rows in _hashes(connection, of.table, of).items()
    }


def rows_of_index(store: Store, shards: ShardFolder, split: str, shard: str) -> str | None:
    """`Told.rows` of a shard's index; None if it cannot be read or holds rows of other shards."""
    try:
        listed = shards.read_index(split, shard).cast(schemas.TABLES[shards.of.table].schema)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        if lacks_memory(error):  # an ArrowException too
            raise MemoryError from error
        return None
    connection = store.connect()
    try:
        connection.register("_listed", listed)
        found = _hashes(connection, "_listed", shards.of)
    finally:
        connection.close()
    return found.get((split, shard)) if len(found) == 1 else None


def agreements(context: Context, of: SampleSet = LABELLED) -> dict[str, Agreement]:
    """What the ledger keeps, by the index's path; nothing where it holds two rows of one."""
    rows = context.store.read("ledger", COLUMNS, [("stage", "=", of.agreed)])
    return agreements_of(zip(*(rows[name].to_pylist() for name in COLUMNS), strict=True))


def agreements_of(rows: Iterable[tuple[str, ...]]) -> dict[str, Agreement]:
    """Agreements of ledger rows, given as values of COLUMNS."""
    listed = list(rows)
    times = Counter(path for path, *_ in listed)
    return {
        path: Agreement(Told(key, content), stamp)
        for path, key, content, stamp in listed
        if times[path] == 1
    }


def remember(
    context: Context,
    before: Mapping[str, Agreement],
    now: Mapping[Shard, Agreement],
    of: SampleSet = LABELLED,
) -> None:
    """Record what agrees now, for all shards; rows that are right already are not written."""
    current = {index_path(*shard, of): agreed for shard, agreed in now.items()}
    changed = {path: agreed for path, agreed in current.items() if before.get(path) != agreed}
    # shards that are gone lose their row
    replaced = changed.keys() | (before.keys() - current.keys())
    if not replaced:
        return
    rows = [
        LedgerRow(
            stage=of.agreed,
            item=path,
            key=agreed.told.rows,
            outcome="accepted",
            content=agreed.told.files,
            parts=agreed.stamp,
            run_id=context.run_id,
        )
        for path, agreed in sorted(changed.items())
    ]
    context.store.replace("ledger", sorted(replaced), rows, {"stage": of.agreed})


def forget(context: Context, shards: Iterable[Shard], of: SampleSet = LABELLED) -> None:
    """Keep no agreement of these shards: what their files hold next is taken as it is."""
    paths = sorted(index_path(*shard, of) for shard in shards)
    if paths:
        context.store.replace("ledger", paths, [], {"stage": of.agreed})


def _hashes(
    connection: duckdb.DuckDBPyConnection, relation: str, of: SampleSet
) -> dict[Shard, str]:
    """Hash of the rows that a relation with the columns of the set's table places in each shard."""
    number = row_number(row_text(schemas.TABLES[of.table].columns))
    found = connection.execute(
        f"SELECT split, shard, {digest()} FROM "
        f"(SELECT split, shard, {sums()} FROM (SELECT split, shard, {number} AS m "
        f"FROM {relation}) GROUP BY split, shard)"
    ).fetchall()
    return {(split, shard): hashed for split, shard, hashed in found}


def _hashes_of_files(connection: duckdb.DuckDBPyConnection, of: SampleSet) -> dict[str, str]:
    """Hash of the rows of `files` of each group, by its path."""
    number = row_number(row_text(compared("files")))
    found = connection.execute(
        f"SELECT item, {digest()} FROM (SELECT item, {sums()} FROM (SELECT item, {number} AS m "
        f"FROM files WHERE stage = {quoted(of.stage)} AND starts_with(path, item || '/')) "
        "GROUP BY item)"
    ).fetchall()
    return dict(found)
