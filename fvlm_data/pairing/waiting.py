"""The derived table of what waits: for its other half, or to have arrived as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schemas
from fvlm_data.store.queries import open_tables, with_readable_tables
from fvlm_data.store.sql import quoted
from schemas import Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from fvlm_data.store.declared import Context

READ_TABLES = (
    "volumes",
    "masks",
    "reports",
    "study_reports",
    schemas.measures.TABLE.name,
    "quarantine",
    "waiting",
)
OWNERS_A_COMMIT = 10_000
COLUMNS = "owner_kind, owner_id, waits_for, since_run"

_LACKING = """
WITH unmasked AS (
    SELECT DISTINCT item FROM quarantine WHERE starts_with(stage, 'segment:')
), masked AS (
    SELECT DISTINCT volume_id FROM masks
), studies AS (
    SELECT v.study_id, bool_or(m.volume_id IS NOT NULL) AS segmented,
        bool_or(u.item IS NULL) AS hopeful
    FROM volumes v LEFT JOIN masked m ON m.volume_id = v.volume_id
        LEFT JOIN unmasked u ON u.item = v.volume_id
    GROUP BY v.study_id
)
SELECT 'study' AS owner_kind, s.study_id AS owner_id, 'report' AS waits_for
FROM studies s ANTI JOIN study_reports p ON p.study_id = s.study_id
UNION ALL
SELECT 'study', s.study_id, 'mask'
FROM studies s SEMI JOIN study_reports p ON p.study_id = s.study_id
WHERE s.hopeful AND NOT s.segmented
UNION ALL
SELECT DISTINCT 'report', r.report_id, 'study'
FROM reports r ANTI JOIN study_reports p ON p.report_id = r.report_id
UNION ALL
SELECT 'report', item, name FROM measures
WHERE stage = 'reports' AND name = 'needs_review_of_names'
UNION ALL
SELECT 'series', item, name FROM measures WHERE stage = 'discover' AND name = 'still_arriving'
"""

WAITS = (
    f"SELECT * FROM ({_LACKING}) WHERE owner_id NOT IN "
    "(SELECT item FROM quarantine WHERE stage IN ('match', 'pair'))"
)
"""SQL of what waits now and for what, over READ_TABLES."""


def derive_waiting(context: Context) -> int:
    """Have table `waiting` hold the series, studies and reports that wait; returns how many do.

    A study waits for a report until it is paired with one, then for a mask of any of its
    volumes, unless all of them are set aside; a report waits for its study, or for someone to
    look at words that may be names; a series until nothing more of it comes. What matching or
    pairing has set aside does not wait. What
    waited before keeps the run that first saw it.
    Only rows that are not as they must be are written.

    Raises:
        StoreError: a table is missing, or cannot be written.
    """
    return with_readable_tables(context, READ_TABLES, lambda: _derive(context), mend=True)


def _derive(context: Context) -> int:
    connection = context.store.connect()
    try:
        open_tables(context, connection, READ_TABLES)
        _compare(connection, context.run_id)
        for owners, rows in _commits(connection):
            context.store.replace("waiting", owners, rows)
        return int(connection.execute("SELECT count(*) FROM _waits").fetchall()[0][0])
    finally:
        connection.close()


def _compare(connection: duckdb.DuckDBPyConnection, run_id: str) -> None:
    """The tables `_waits` of what waits now, and `_changed` of the owners whose rows differ."""
    connection.execute(
        "CREATE TEMP TABLE _waits AS SELECT n.owner_kind, n.owner_id, n.waits_for, "
        # what waited before keeps the run that saw it first
        f"coalesce(min(w.since_run), {quoted(run_id)}) AS since_run "
        f"FROM ({WAITS}) n LEFT JOIN waiting w USING (owner_kind, owner_id, waits_for) "
        "GROUP BY n.owner_kind, n.owner_id, n.waits_for"
    )
    wanted, there = (f"SELECT {COLUMNS} FROM {table}" for table in ("_waits", "waiting"))
    connection.execute(
        "CREATE TEMP TABLE _changed AS SELECT owner_id, "
        f"(row_number() OVER (ORDER BY owner_id) - 1) // {OWNERS_A_COMMIT} AS part "
        f"FROM (SELECT DISTINCT owner_id FROM (({wanted} EXCEPT ALL {there}) UNION ALL "
        f"({there} EXCEPT ALL {wanted})))"
    )


def _commits(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[list[str], list[Waiting]]]:
    """Owners whose rows are replaced together, and their rows."""
    parts = connection.execute("SELECT DISTINCT part FROM _changed ORDER BY part").fetchall()
    for (part,) in parts:
        mine = f"SELECT owner_id FROM _changed WHERE part = {part}"
        owners = connection.execute(f"{mine} ORDER BY owner_id").fetchall()
        rows = connection.execute(
            f"SELECT {COLUMNS} FROM _waits WHERE owner_id IN ({mine}) ORDER BY ALL"
        ).fetchall()
        yield [owner for (owner,) in owners], [_waiting(row) for row in rows]


def _waiting(row: tuple[str, ...]) -> Waiting:
    owner_kind, owner_id, waits_for, since_run = row
    return Waiting(
        owner_kind=owner_kind, owner_id=owner_id, waits_for=waits_for, since_run=since_run
    )
