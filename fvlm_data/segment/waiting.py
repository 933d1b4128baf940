"""Volumes that wait for a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.segment.stage import stage_name
from fvlm_data.store.queries import open_tables
from fvlm_data.store.sql import quoted

if TYPE_CHECKING:
    from fvlm_data.store.declared import Context


def volumes_without_mask(context: Context, task: str) -> set[str]:
    """Volumes that wait for a mask: neither settled nor set aside by the stage of `task`."""
    connection = context.store.connect()
    try:
        open_tables(context, connection, ("volumes", "ledger", "quarantine"))
        done = " UNION ALL ".join(
            f"SELECT item FROM {table} WHERE stage = {quoted(stage_name(task))}"
            for table in ("ledger", "quarantine")
        )
        found = connection.execute(
            f"SELECT volume_id FROM volumes WHERE volume_id NOT IN ({done})"
        ).fetchall()
    finally:
        connection.close()
    return {volume for (volume,) in found}
