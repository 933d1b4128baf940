"""Files of the store that nothing names any more, and since when that is so.

A file does not tell when it went out of use: what a row named until last night may be years old,
and a trainer or a worker may still read it. So each look writes down what it first finds unused;
what was so at every look for long enough may go.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from fvlm_data.store.leases import runs_at_work
from fvlm_data.store.queries import open_tables, with_readable_tables

if TYPE_CHECKING:
    from collections.abc import Collection

    from fvlm_data.store.declared import Context
    from fvlm_data.store.tables import Store

NAMED_BY = ("files", "candidates", "volumes", "masks")
"""Tables whose column path names files of the store."""

OF_ITEMS = frozenset({"volumes", "masks"})
"""Folders in which every file belongs to an item; others are added as tables name them."""

NOT_OF_ITEMS = frozenset({"shards"})
"""Brought in line with the tables by `tidy_shards`."""

NOTE = "volumes/unused.json"
"""What `superseded_files` noted at its last look. `forget` removes it with what no row names."""

RUN_ID_TIME = "%Y%m%dT%H%M%SZ"
MARGIN = dt.timedelta(minutes=10)
"""How far the clocks of machines and of the store's place may differ."""


def now() -> dt.datetime:
    """The time, in UTC."""
    return dt.datetime.now(dt.UTC)


def named_files(context: Context) -> set[str]:
    """Paths of all files that a row names.

    Raises:
        StoreError: a table cannot be read.
    """

    def work() -> set[str]:
        connection = context.store.connect()
        try:
            open_tables(context, connection, NAMED_BY)
            query = " UNION ".join(f"SELECT path FROM {table}" for table in NAMED_BY)
            return {path for (path,) in connection.execute(query).fetchall()}
        finally:
            connection.close()

    return with_readable_tables(context, NAMED_BY, work, mend=False)


def is_draft(path: str) -> bool:
    """Whether a file, or a folder above it, bears the name of a draft."""
    return draft_of(path) != ""


def draft_of(path: str) -> str:
    """The draft, a file or folder, that a file is or lies in; empty if it is of none."""
    parts = PurePosixPath(path).parts
    for number, part in enumerate(parts):
        if part.startswith(".") and (part.endswith(".tmp") or part.startswith(".compact-")):
            return "/".join(parts[: number + 1])
    return ""


def long_unused(
    store: Store, note: str, unused: Collection[str], keep_hours: float, *, look: bool = True
) -> list[str]:
    """Those of `unused` that were so at every look for `keep_hours`, in order.

    The looks stand in the store's file `note`; without `look` this one is not written down.

    Raises:
        StoreError: the note cannot be written.
    """
    time = now()
    before = _noted(store, note)
    since = {one: before.get(one, time) for one in unused}
    due = sorted(
        one for one, first in since.items() if first <= time - dt.timedelta(hours=keep_hours)
    )
    left = {one: first for one, first in since.items() if one not in set(due)}
    if look and left != before:
        if left:
            text = json.dumps({one: left[one].isoformat() for one in sorted(left)})
            store.write_bytes(note, text.encode())
        else:
            store.remove(note)
    return due


def _noted(store: Store, note: str) -> dict[str, dt.datetime]:
    if not store.exists(note):
        return {}
    try:
        told = json.loads(store.read_bytes(note))
        return {str(one): dt.datetime.fromisoformat(first) for one, first in told.items()}
    except (ValueError, AttributeError, TypeError):
        return {}  # damaged: the time begins anew, nothing goes early


def nobody_writes(context: Context) -> dt.datetime | None:
    """A time before which no run that is at work has begun; None where one does not tell.

    What was written since may be about to be named by a row.
    """
    starts = [now()]
    for name in runs_at_work(context.store) - {context.run_id}:
        try:
            began = dt.datetime.strptime(name.split("-", 1)[0], RUN_ID_TIME)
        except ValueError:
            return None
        starts.append(began.replace(tzinfo=dt.UTC))
    return min(starts) - MARGIN
