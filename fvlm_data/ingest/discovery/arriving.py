"""Series that are still arriving: they wait until nothing of them has changed for a while.

Table `measures` keeps, as stage `discover`, when the last file of such a series came. Discovery
alone looks at the clock: it adds rows and takes out those that are quiet; whatever has a row waits.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from fvlm_data.ingest.lost_files import SHORT
from fvlm_data.store.queries import open_tables, with_readable_tables
from schemas import Measure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.ingest.discovery.found_file import FoundFile
    from fvlm_data.store.declared import Context

STAGE = "discover"
NAME = "still_arriving"
UNIT = "s since 1970-01-01"
MINUTE_S = 60.0
NS = 1e9

ARRIVING = f"SELECT item FROM measures WHERE stage = '{STAGE}' AND name = '{NAME}'"
"""SQL of column item: series that wait because they are still arriving."""

_OF_SHORT_STUDIES = f"""
WITH arriving AS (
    SELECT item, value FROM measures WHERE stage = '{STAGE}' AND name = '{NAME}'
), files AS (
    SELECT DISTINCT item, study FROM inputs WHERE kind = 'file' AND item <> '' AND study <> ''
), studies AS (
    SELECT study, max(value) AS value FROM files JOIN arriving USING (item) GROUP BY study
)
SELECT f.item, max(s.value) FROM files f JOIN studies s USING (study)
WHERE f.item IN (SELECT item FROM ({SHORT})) AND f.item NOT IN (SELECT item FROM arriving)
GROUP BY f.item ORDER BY f.item
"""
"""Series that lack instances which header or server announce, while others of their study come."""


def clock_s() -> float:
    """Seconds since 1970."""
    return time.time()


def quiet_before_s(settle_minutes: float) -> float:
    """The time after which nothing may have come of what is quiet; infinite where none waits."""
    return clock_s() - settle_minutes * MINUTE_S if settle_minutes else math.inf


def arrived_s(found: FoundFile, now_s: float) -> float:
    """When a file came, as far as its place tells; where it does not: now, when it is first seen.

    A time in the future, of a clock that is ahead, counts as now.
    """
    return min(found.arrived_ns / NS, now_s) if found.arrived_ns else now_s


def remember_arrivals(context: Context, arrived: Mapping[str, float], before_s: float) -> None:
    """Note when the last file of each series came, where that is after `before_s`.

    Raises:
        StoreError: the table cannot be read or written.
    """
    new = {item: came for item, came in arrived.items() if came > before_s}
    if new:
        told = {item: max(came, new.get(item, 0.0)) for item, came in _told(context, new).items()}
        _write(context, {**new, **told})


def forget_quiet(context: Context, before_s: float) -> None:
    """Let go of the series of which nothing came after `before_s`.

    Raises:
        StoreError: the table cannot be read or written.
    """
    mine = [("stage", "=", STAGE), ("name", "=", NAME)]
    rows = context.store.read("measures", ["item", "value"], mine).to_pylist()
    quiet = [row["item"] for row in rows if row["value"] <= before_s]
    if quiet:
        context.store.replace("measures", quiet, [], {"stage": STAGE})


def join_short_studies(context: Context) -> None:
    """Have series that lack announced instances wait as long as others of their study arrive.

    Raises:
        StoreError: a table cannot be read or written.
    """
    tables = ("inputs", "measures")

    def work() -> list[tuple[str, float]]:
        connection = context.store.connect()
        try:
            open_tables(context, connection, tables)
            # most nights nothing waits, and what is announced need not be counted
            if not connection.execute(f"SELECT count(*) FROM ({ARRIVING})").fetchall()[0][0]:
                return []
            return connection.execute(_OF_SHORT_STUDIES).fetchall()
        finally:
            connection.close()

    found = with_readable_tables(context, tables, work, mend=False)
    _write(context, dict(found))


def _told(context: Context, items: Mapping[str, float]) -> dict[str, float]:
    rows = context.store.read_items("measures", "item", items)
    return {
        row["item"]: row["value"] for row in rows if (row["stage"], row["name"]) == (STAGE, NAME)
    }


def _write(context: Context, arrived: Mapping[str, float]) -> None:
    rows: Sequence[Measure] = [
        Measure(stage=STAGE, item=item, name=NAME, value=came, unit=UNIT)
        for item, came in sorted(arrived.items())
    ]
    if rows:
        context.store.replace("measures", sorted(arrived), rows, {"stage": STAGE})
