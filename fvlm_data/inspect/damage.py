"""What in a store is no longer as its stage left it: rows, files, discovery's rows."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pyarrow as pa

from fvlm_data.errors import StoreError
from fvlm_data.store import discovered
from fvlm_data.store.commits import retire
from fvlm_data.store.integrity import find_broken, names_view
from fvlm_data.store.planning import pending
from fvlm_data.store.sql import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import duckdb

    from fvlm_data.store.declared import Context, Stage
    from fvlm_data.store.tables import Store

EXAMPLES = 5


def broken_items(
    store: Store, connection: duckdb.DuckDBPyConnection, stage: Stage
) -> tuple[list[str], int]:
    """Items of a stage whose rows or files are not what it settled, and how many it settled.

    Rows of items that are neither in the ledger nor set aside count as well: a killed run leaves
    them behind, and the next run makes them anew or removes them.
    """
    find_broken(connection, store, stage, "_verified")
    broken = connection.execute(
        "SELECT DISTINCT item FROM (SELECT item FROM _verified UNION "
        f"SELECT item FROM ({_left_over(stage)})) ORDER BY item"
    ).fetchall()
    settled = connection.execute(
        f"SELECT count(*) FROM ledger WHERE stage = {quoted(stage.name)}"
    ).fetchall()[0][0]
    connection.execute("DROP TABLE _verified")
    connection.execute("DROP TABLE _verified_contents")
    return [item for (item,) in broken], settled


def _left_over(stage: Stage) -> str:
    """SQL of items with rows that are neither in the ledger nor set aside."""
    query = (
        "SELECT item FROM _verified_contents WHERE "
        f"item NOT IN (SELECT item FROM ledger WHERE stage = {quoted(stage.name)}) AND "
        f"item NOT IN (SELECT item FROM quarantine WHERE stage = {quoted(stage.name)})"
    )
    if stage.derived:
        return query
    # its tables hold rows of others too (of reports in `links`): only what it makes is its own
    mine = "SELECT NULL WHERE false" if names_view(stage) else f"SELECT item FROM ({stage.items})"
    return f"{query} AND item IN ({mine})"


def changed_sources(
    connection: duckdb.DuckDBPyConnection, stage: str, kind: str, *, unclosed: bool
) -> list[str]:
    """Sources whose rows are not those that discovery left; `unclosed`: or that it left open."""
    query = discovered.changed_sql(stage, kind)
    if unclosed:
        query = f"({query}) UNION ({discovered.unclosed_sql(stage, kind)})"
    return sorted(item for (item,) in connection.execute(query).fetchall())


def wrong_sizes(store: Store, connection: duckdb.DuckDBPyConnection) -> tuple[int, list[str]]:
    """How many files the store must hold, and the paths of those missing or of another size."""
    folders = connection.execute(
        "SELECT DISTINCT split_part(path, '/', 1) AS folder FROM (SELECT path FROM files UNION "
        "SELECT path FROM candidates UNION SELECT path FROM masks) ORDER BY folder"
    ).fetchall()
    sizes: dict[str, int] = {}
    for (folder,) in folders:
        sizes.update(store.sizes(folder))
    there = pa.table(
        {
            "path": pa.array(sizes.keys(), pa.string()),
            "size_bytes": pa.array(sizes.values(), pa.int64()),
        }
    )
    connection.register("_there", there)
    wrong = connection.execute(
        "SELECT f.path FROM files f LEFT JOIN _there h ON h.path = f.path "
        "WHERE h.size_bytes IS DISTINCT FROM f.size_bytes UNION "
        # rows that name a file which table `files` does not know
        "SELECT path FROM (SELECT path FROM candidates UNION SELECT path FROM masks) "
        "WHERE path NOT IN (SELECT path FROM files) ORDER BY 1"
    ).fetchall()
    connection.unregister("_there")
    named = connection.execute("SELECT count(*) FROM files").fetchall()[0][0]
    return named, [path for (path,) in wrong]


def wrong_contents(
    store: Store, connection: duckdb.DuckDBPyConnection, known: Collection[str]
) -> list[str]:
    """Paths of files whose bytes are not those that were written; `known` ones are skipped."""
    wrong = []
    query = "SELECT path, sha256 FROM files WHERE sha256 <> '' ORDER BY path"
    for path, told in connection.execute(query).fetchall():
        if path in known:
            continue
        try:
            found = hashlib.sha256(store.read_bytes(path)).hexdigest()
        except StoreError:
            found = "unreadable"
        if found != told:
            wrong.append(path)
    return wrong


def unsettle_files(
    store: Store,
    connection: duckdb.DuckDBPyConnection,
    stages: Sequence[Stage],
    paths: Collection[str],
) -> None:
    """Make the next run remake the items of these files."""
    listed = ", ".join(quoted(path) for path in paths)
    for stage in stages if paths else ():
        owners = (
            f"SELECT DISTINCT item FROM files WHERE stage = {quoted(stage.name)} "
            f"AND path IN ({listed})"
        )
        # a shared tree's file rows name the tree: every item that lies in it has to be remade
        if stage.holders:
            owners = f"SELECT h.item FROM ({owners}) o JOIN ({stage.holders}) h ON h.tree = o.item"
        items = [item for (item,) in connection.execute(owners).fetchall()]
        if items:
            store.replace("ledger", items, [], {"stage": stage.name})


def lost_items(context: Context, stages: Sequence[Stage]) -> list[str]:
    """Ids of damaged items that no source offers any more: what `give_up_lost` would give up."""
    return [item for stage in stages for item in pending(context, stage, stages).lost]


def give_up_lost(context: Context, stages: Sequence[Stage]) -> list[str]:
    """Give up damaged items that no source offers any more; returns their ids.

    As long as such an item is in the ledger, whatever may rest on it is left alone, because a
    backup may still bring the item back.
    """
    given_up: list[str] = []
    for stage in stages:
        lost = pending(context, stage, stages).lost
        retire(context, stage, lost)
        given_up += lost
    return given_up
