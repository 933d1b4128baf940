"""What discovery wrote of a source, as one ledger row that shows whether it is still intact.

Discovery has no items of its own: it looks at a source as a whole and skips what its rows in
`inputs` say is known. If one of these rows were changed or lost, its file would be skipped for
ever; so the ledger keeps a hash of all that discovery wrote of a source. A source has no ledger
row while it is being looked at: what a killed run leaves is taken as it is.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from fvlm_data.store.content import compared, digest, row_number, row_text, sums
from fvlm_data.store.queries import open_tables, with_readable_tables
from fvlm_data.store.sql import quoted
from schemas import Input, LedgerRow

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fvlm_data.store.declared import Context

DISCOVERIES = {
    "discover": "file",
    "discover_mapping": "mapping",
    "discover_masks": "mask",
    "discover_reports": "report",
    "discover_split": "split",
    "discover_clinical": "clinical",
}
"""Discovery's stage name by the kind of its rows in `inputs`."""

TABLES = ("inputs", "quarantine", "links", "ledger")
ROWS_A_COMMIT = 100_000
SEEN = "accepted"
"""Outcome of a source's row in the ledger."""


def changed_sources(context: Context, stage: str, kind: str) -> set[str]:
    """Sources (column `source` of inputs) whose rows are not those that discovery left.

    `kind` is that of their rows in `inputs`, `stage` the name under which discovery sets aside.

    Raises:
        StoreError: a table is missing or damaged beyond taking out files.
    """

    def work() -> set[str]:
        connection = context.store.connect()
        try:
            open_tables(context, connection, TABLES)
            found = connection.execute(changed_sql(stage, kind)).fetchall()
        finally:
            connection.close()
        return {item for (item,) in found}

    return with_readable_tables(context, TABLES, work, mend=True)


def changed_sql(stage: str, kind: str) -> str:
    """SQL of `changed_sources`, over views of the tables."""
    return (
        f"SELECT l.item FROM ledger l LEFT JOIN ({_contents(stage, kind)}) c ON c.item = l.item "
        f"WHERE l.stage = {quoted(stage)} AND l.content <> {digest(quoted(SEEN))}"
    )


def unclosed_sql(stage: str, kind: str) -> str:
    """SQL of sources that have rows and no row in the ledger: a killed run leaves such."""
    return (
        f"SELECT DISTINCT source FROM inputs WHERE kind = {quoted(kind)} "
        f"EXCEPT SELECT item FROM ledger WHERE stage = {quoted(stage)}"
    )


def open_source(context: Context, stage: str, source: str) -> None:
    """Remove the ledger row of a source, before the first of its rows is written."""
    open_sources(context, stage, [source])


def open_sources(context: Context, stage: str, sources: Collection[str]) -> None:
    """As `open_source`, of many at once."""
    wanted = [("stage", "=", stage), ("item", "in", sorted(sources))]
    known = context.store.read("ledger", ["item"], wanted)["item"].to_pylist()
    if known:
        context.store.replace("ledger", known, [], {"stage": stage})


def rename_sources(context: Context, stage: str, kind: str, names: Mapping[str, str]) -> None:
    """Have rows of sources stand under new names; damage that the ledger tells stays told."""
    there = _sources(context, kind) & names.keys() if names else set()
    damaged = changed_sources(context, stage, kind) if there else set()
    for old in sorted(there):
        new = names[old]
        mine = [("kind", "=", kind), ("source", "=", old)]
        rows = context.store.read("inputs", None, mine).to_pylist()
        for start in range(0, len(rows), ROWS_A_COMMIT):
            part = [Input(**{**row, "source": new}) for row in rows[start : start + ROWS_A_COMMIT]]
            context.store.replace("inputs", [row.token for row in part], part, {"kind": kind})
        told = context.store.read("ledger", None, [("stage", "=", stage), ("item", "=", old)])
        if old in damaged:
            kept = [LedgerRow(**{**row, "item": new}) for row in told.to_pylist()]
            context.store.replace("ledger", [old, new], kept, {"stage": stage})
        else:
            close_sources(context, stage, kind, [new])
            open_source(context, stage, old)


def _sources(context: Context, kind: str) -> set[str]:
    """Sources of which there are rows of a kind."""

    def work() -> set[str]:
        connection = context.store.connect()
        try:
            open_tables(context, connection, ["inputs"])
            found = connection.execute(
                f"SELECT DISTINCT source FROM inputs WHERE kind = {quoted(kind)}"
            ).fetchall()
        finally:
            connection.close()
        return {source for (source,) in found}

    return with_readable_tables(context, ["inputs"], work, mend=True)


def close_sources(context: Context, stage: str, kind: str, sources: Collection[str]) -> None:
    """Record what discovery left of the sources, after the last of their rows.

    Nothing is written for those whose row is right already.
    """
    connection = context.store.connect()
    try:
        open_tables(context, connection, TABLES)
        rows = connection.execute(
            f"SELECT item, {digest(quoted(SEEN))} FROM ({_contents(stage, kind)})"
        ).fetchall()
    finally:
        connection.close()
    now = dict(rows)
    told: dict[str, list[str]] = defaultdict(list)
    for row in context.store.read(
        "ledger", ["item", "content"], [("stage", "=", stage)]
    ).to_pylist():
        told[row["item"]].append(row["content"])
    written = [
        LedgerRow(
            stage=stage,
            item=source,
            key="",
            outcome=SEEN,
            content=now[source],
            parts="",
            run_id=context.run_id,
        )
        for source in sorted(sources)
        if source in now and told[source] != [now[source]]
    ]
    if written:
        context.store.replace("ledger", [row.item for row in written], written, {"stage": stage})


def _contents(stage: str, kind: str) -> str:
    """SQL of item (the source), n, low and high of all rows that discovery wrote."""
    mine = f"SELECT * FROM inputs WHERE kind = {quoted(kind)}"
    hashed = {
        table: row_number(row_text(compared(table), table, alias))
        for table, alias in (("inputs", "i"), ("quarantine", "q"), ("links", "k"))
    }
    rows = [
        f"SELECT source AS item, {hashed['inputs']} AS m FROM ({mine}) i",
        # quarantine and links do not name a source: their rows are found through those of inputs
        f"SELECT i.source AS item, {hashed['quarantine']} AS m "
        f"FROM quarantine q JOIN ({mine}) i ON i.token = q.item WHERE q.stage = {quoted(stage)}",
        f"SELECT i.source AS item, {hashed['links']} AS m "
        f"FROM links k JOIN (SELECT DISTINCT source, item FROM ({mine}) WHERE item IS NOT NULL) i "
        "ON i.item = k.owner_id WHERE k.owner_kind = 'report'",
    ]
    return f"SELECT item, {sums()} FROM ({' UNION ALL '.join(rows)}) GROUP BY item"
