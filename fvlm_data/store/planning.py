"""What a stage has to do: its items' keys compared with the ledger, computed by DuckDB.

No table is read into Python. The key of an item hashes the content of the rows that its reads
find now; an item is due when the ledger has it under another key, not at all, or with rows that
are no longer those it was settled with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import duckdb

from fvlm_data.store import integrity
from fvlm_data.store.content import added, digest, row_number, row_text, sums, tables_of
from fvlm_data.store.declared import Item
from fvlm_data.store.file_sums import with_sums
from fvlm_data.store.queries import (
    READ,
    columns_joined_on,
    constant_key,
    open_tables,
    open_views,
    read_sql,
    read_sums,
    tables_named,
    wanted_sql,
)
from fvlm_data.store.sql import identifier, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from fvlm_data.store.content import SumsOf
    from fvlm_data.store.declared import Context, Read, Stage
    from fvlm_data.store.file_sums import Sums
    from fvlm_data.store.reading import Part

HELD = "(EXISTS (SELECT * FROM _held_all) OR {} IN (SELECT item FROM _held))"


@dataclass(frozen=True, slots=True)
class Work:
    """What a stage has to do: batches to settle, and items whose rows must leave.

    `settled` items need nothing; `replaced` of those in batches were settled under another key;
    `mended` ones have rows or files that are not those they were settled with. `held` items are
    due but rest on damaged inputs, `waiting` ones are due and not yet to be worked on, `lost` ones
    are damaged and cannot be remade: all of them stay as they are.
    """

    batches: tuple[tuple[Item, ...], ...]
    obsolete: tuple[str, ...]
    settled: int
    replaced: int
    mended: tuple[str, ...] = ()
    held: int = 0
    lost: tuple[str, ...] = ()
    waiting: int = 0

    @property
    def nothing(self) -> bool:
        """Whether all that is planned is settled, waiting aside, and nothing is damaged."""
        return not (self.batches or self.obsolete or self.mended or self.held or self.lost)


def pending(
    context: Context, stage: Stage, upstream: Collection[Stage] = (), *, mend: bool = False
) -> Work:
    """Compare what the stage's items are made from now with the ledger.

    `upstream` are the stages whose rows it may read: items that rest on damaged rows are held
    back. With `mend`, table files that cannot be read are taken out first, and sums of others kept;
    without it, nothing is written.

    Raises:
        StoreError: a table is missing or damaged.
    """

    def work(sums: Sums) -> Work:
        connection = context.store.connect()
        try:
            _prepared(connection, context, stage, upstream, sums)
            return _work(connection, stage)
        finally:
            connection.close()

    return with_sums(context, _tables(stage, upstream), work, mend=mend)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Numbers of a stage's items: settled under their current key, and to be settled."""

    settled: int
    due: int


def outlook(context: Context, stage: Stage) -> Outlook:
    """What a plan would find due by keys alone, without looking for damaged rows.

    Raises:
        StoreError: a table is missing or damaged.
    """

    def work(sums: Sums) -> Outlook:
        connection = context.store.connect()
        try:
            shown = open_tables(context, connection, _tables(stage, ()))
            open_views(context, connection, stage)
            _plan(connection, stage, sums(connection, shown))
            settled, due = connection.execute(
                "SELECT count(*) FILTER (l.key IS NOT NULL), "
                f"count(*) FILTER (l.key IS NULL AND NOT {_waits(stage, 'n.item')}) "
                "FROM _now n LEFT JOIN (SELECT DISTINCT item, key FROM ledger WHERE "
                f"stage = {quoted(stage.name)}) l ON l.item = n.item AND l.key = n.key"
            ).fetchall()[0]
        finally:
            connection.close()
        return Outlook(settled, due)

    return with_sums(context, _tables(stage, ()), work)


@dataclass(frozen=True, slots=True)
class Planned:
    """One item as a plan sees it: whether its own rows or those it rests on are damaged."""

    item: Item
    broken: bool
    held: bool


def planned(
    context: Context, stage: Stage, upstream: Collection[Stage], item: str
) -> Planned | None:
    """The item called `item` as the stage plans it now; None if it does not.

    Raises:
        StoreError: a table is missing or damaged.
    """

    def work(sums: Sums) -> Planned | None:
        connection = context.store.connect()
        try:
            _prepared(connection, context, stage, upstream, sums)
            return _planned(connection, stage, item)
        finally:
            connection.close()

    return with_sums(context, _tables(stage, upstream), work)


def _planned(connection: duckdb.DuckDBPyConnection, stage: Stage, item: str) -> Planned | None:
    refs = ", ".join(["item", "key", *map(identifier, stage.refs)])
    rows = connection.execute(f"SELECT {refs} FROM _now WHERE item = {quoted(item)}").fetchall()
    if not rows:
        return None
    broken, held = connection.execute(
        f"SELECT {quoted(item)} IN (SELECT item FROM _broken), {HELD.format(quoted(item))}"
    ).fetchall()[0]
    return Planned(Item(rows[0][0], rows[0][1], tuple(rows[0][2:])), broken, held)


def settled_before(
    context: Context, stage: Stage, upstream: Collection[Stage]
) -> list[tuple[str, str, str, str]]:
    """Item, current key, outcome and content of each item that the ledger has under any key.

    For a store whose keys an older program wrote, in another recipe: they are trusted to stand for
    what is there now.
    """

    def work(sums: Sums) -> list[tuple[str, str, str, str]]:
        connection = context.store.connect()
        try:
            _prepared(connection, context, stage, upstream, sums)
            return connection.execute(
                f"SELECT n.item, n.key, l.outcome, {digest('l.outcome')} FROM _now n "
                f"JOIN ledger l ON l.item = n.item AND l.stage = {quoted(stage.name)} "
                "LEFT JOIN _broken_contents c ON c.item = n.item ORDER BY n.item"
            ).fetchall()
        finally:
            connection.close()

    return with_sums(context, _tables(stage, upstream), work)


def _tables(stage: Stage, upstream: Collection[Stage]) -> set[str]:
    named = {read.table for read in stage.reads} - stage.views.keys()
    for query in (stage.items, stage.kept, stage.gone, stage.waits, *stage.views.values()):
        named |= tables_named(query)
    for one in (stage, *upstream):
        named.update(tables_of(one))
    return named | {"ledger"}


def _prepared(
    connection: duckdb.DuckDBPyConnection,
    context: Context,
    stage: Stage,
    upstream: Collection[Stage],
    sums: Sums,
) -> None:
    """The tables _now, _broken, _held and _held_all of a stage."""
    # taken before the views open: if a commit comes between, the memo is stale, never wrong
    files = integrity.files_of(context, stage)
    shown = open_tables(context, connection, _tables(stage, ()))
    open_views(context, connection, stage)
    # `shown` grows with the tables that the search for damage opens
    sums_of = sums(connection, shown)
    _plan(connection, stage, sums_of)
    integrity.find_broken(connection, context.store, stage, "_broken", sums_of)
    integrity.remember_broken(connection, context, stage, "_broken", files)
    _hold_back(connection, context, stage, upstream, shown, sums_of)


def _plan(connection: duckdb.DuckDBPyConnection, stage: Stage, sums_of: SumsOf) -> None:
    """The table `_now`: item, refs and current key."""
    refs = [identifier(name) for name in stage.refs]
    listed = ", ".join(["item", *refs])
    connection.execute(f"CREATE TEMP TABLE _items AS SELECT DISTINCT {listed} FROM ({stage.items})")
    parts, joins = [quoted(constant_key(stage))], []
    for number, read in enumerate(stage.reads):
        hashed = _hashed(connection, stage, read, sums_of)
        if not read.decides:
            continue
        # an item without rows in a read still has a key, unlike that of any rows; a rare read
        # without rows is null, which concat_ws passes over
        found = f"r{number}.h"
        parts.append(
            f"{quoted(read.name)} || '=' || {found}" if read.rare else f"coalesce({found}, '-')"
        )
        joins.append(
            f"LEFT JOIN (SELECT item, {digest()} AS h FROM ({hashed})) r{number} "
            f"ON r{number}.item = i.item"
        )
    columns = ", ".join(["i.item", *(f"i.{ref}" for ref in refs)])
    connection.execute(
        f"CREATE TEMP TABLE _now AS SELECT {columns}, "
        f"sha256(concat_ws('|', {', '.join(parts)})) AS key FROM _items i {' '.join(joins)}"
    )


def _hashed(
    connection: duckdb.DuckDBPyConnection, stage: Stage, read: Read, sums_of: SumsOf
) -> str:
    """SQL of item, n, low and high of the rows that a read finds.

    Makes the table of those rows where a later read joins on them.
    """
    joined_on = columns_joined_on(stage, read)
    counted = read_sums(stage, read, sums_of)
    if counted is None:
        query = read_sql(stage, read, identifier(read.table))
        if joined_on:  # evaluated once
            connection.execute(f"CREATE TEMP TABLE {READ}{read.name} AS {query}")
            query = f"SELECT * FROM {READ}{read.name}"
        # carried columns stay out of the hash: a file that moved remakes nothing
        number = row_number(row_text(read.decides))
        return (
            f"SELECT item, {sums()} FROM (SELECT item, {number} AS m FROM ({query})) GROUP BY item"
        )
    if joined_on:
        query = read_sql(
            stage, replace(read, decides=joined_on, carries=()), identifier(read.table)
        )
        connection.execute(f"CREATE TEMP TABLE {READ}{read.name} AS {query}")
    return (
        f"SELECT item, {added()} FROM ({wanted_sql(stage, read)}) s "
        f"JOIN ({counted}) t ON t.value = s.on_value GROUP BY item"
    )


def _hold_back(
    connection: duckdb.DuckDBPyConnection,
    context: Context,
    stage: Stage,
    upstream: Collection[Stage],
    shown: dict[str, list[Part]],
    sums_of: SumsOf,
) -> None:
    """The table `_held`: items that rest on rows which are not what their stage settled.

    `shown` are the tables whose views are open, with their files.

    If lost rows leave no trace of the items that rested on them, `_held_all` is true, and nothing
    of the stage changes until they are remade. `_damage` records any damage at all, because of
    which an item may no longer be listed.
    """
    connection.execute("CREATE TEMP TABLE _damage (stage VARCHAR)")
    connection.execute("CREATE TEMP TABLE _held (item VARCHAR)")
    connection.execute("CREATE TEMP TABLE _held_all (held BOOLEAN)")
    for number, (one, reads) in enumerate(integrity.owners_read(stage, upstream)):
        broken = integrity.broken_items(connection, context, one, shown, sums_of)
        if not broken:
            continue
        connection.execute(f"INSERT INTO _damage VALUES ({quoted(one.name)})")
        table = f"_upstream_{number}"
        connection.execute(f"CREATE TEMP TABLE {table} AS SELECT unnest(?) AS item", [broken])
        for read in reads:
            if integrity.finds_item(read):
                connection.execute(
                    f"INSERT INTO _held SELECT DISTINCT i.item FROM _now i JOIN {table} b "
                    f"ON b.item = i.{identifier(read.on)}"
                )
            else:
                connection.execute("INSERT INTO _held_all VALUES (true)")


def _work(connection: duckdb.DuckDBPyConnection, stage: Stage) -> Work:
    # an item with two ledger rows is broken; grouping lists it once all the same
    mine = f"WHERE stage = {quoted(stage.name)} GROUP BY item"
    ledger = f"(SELECT item, min(key) AS key FROM ledger {mine})"
    connection.execute(
        f"CREATE TEMP TABLE _due AS SELECT n.*, l.key IS NOT NULL AS known, "
        f"b.item IS NOT NULL AS broken FROM _now n LEFT JOIN {ledger} l ON l.item = n.item "
        f"LEFT JOIN (SELECT DISTINCT item FROM _broken) b ON b.item = n.item "
        f"WHERE l.key IS DISTINCT FROM n.key OR b.item IS NOT NULL"
    )
    held = HELD.format("item")
    group = identifier(stage.group) if stage.group else "''"
    refs = [identifier(name) for name in stage.refs]
    listed = ", ".join(["item", "key", f"{group} AS batch_group", "known", "broken", *refs])
    waits = _waits(stage, "item")
    rows = connection.execute(
        f"SELECT {listed} FROM _due WHERE NOT {held} AND NOT {waits} ORDER BY batch_group, item"
    ).fetchall()
    total, held_back, waiting = connection.execute(
        f"SELECT (SELECT count(*) FROM _now), (SELECT count(*) FROM _due WHERE {held}), "
        f"(SELECT count(*) FROM _due WHERE {waits} AND NOT {held})"
    ).fetchall()[0]
    lost = connection.execute(
        "SELECT DISTINCT item FROM _broken WHERE item NOT IN (SELECT item FROM _now) "
        f"AND {_stays(stage)} ORDER BY item"
    ).fetchall()
    return Work(
        batches=tuple(_batches(rows, stage.batch_size)),
        obsolete=_obsolete(connection, stage),
        settled=total - len(rows) - held_back - waiting,
        replaced=sum(1 for row in rows if row[3]),
        mended=tuple(row[0] for row in rows if row[4]),
        held=held_back,
        lost=tuple(item for (item,) in lost),
        waiting=waiting,
    )


def _batches(rows: Sequence[tuple[str, ...]], size: int) -> Iterator[tuple[Item, ...]]:
    batch: list[Item] = []
    group = None
    for item, key, mine, _, _, *refs in rows:
        # rows come sorted by group and id, so a batch covers a narrow range of ids and few table
        # files
        if batch and (len(batch) == size or mine != group):
            yield tuple(batch)
            batch = []
        group = mine
        batch.append(Item(item, key, tuple(refs)))
    if batch:
        yield tuple(batch)


def _waits(stage: Stage, item: str) -> str:
    """SQL condition: an item, due or not, is not yet to be worked on."""
    return f"({item} IN ({stage.waits}))" if stage.waits else "FALSE"


def _stays(stage: Stage) -> str:
    """SQL condition: an item that is not planned stays as it is."""
    if not stage.derived:
        return f"(item NOT IN ({stage.gone}))" if stage.gone else "TRUE"
    return f"(item IN ({stage.kept}))" if stage.kept else "FALSE"


def _obsolete(connection: duckdb.DuckDBPyConnection, stage: Stage) -> tuple[str, ...]:
    """Items that have rows or ledger entries and are no longer planned.

    None while anything that the stage reads is damaged: an item may only seem gone because the
    rows it rests on are.
    """
    found = connection.execute(
        f"SELECT item FROM (SELECT item FROM ledger WHERE stage = {quoted(stage.name)} "
        "UNION SELECT item FROM _broken_contents) WHERE item NOT IN (SELECT item FROM _now) "
        f"AND NOT {_stays(stage)} "
        "AND NOT EXISTS (SELECT * FROM _damage) ORDER BY item"
    ).fetchall()
    return tuple(item for (item,) in found)
