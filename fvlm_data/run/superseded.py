"""What compaction deletes beside tables and shards: files out of use, drafts, old records."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.store import unused
from fvlm_data.store.leases import runs_at_work

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fvlm_data.store.declared import Context

KEPT_RECORDS = 400
"""Records of runs that are kept, the newest: more than a year of nights."""

RUNS = "runs/"


@dataclass(frozen=True, slots=True)
class Deletable:
    """Paths of the store that may go: what each is, with its bytes, by path.

    A path is a file, or a folder that is a draft as a whole.
    """

    superseded: Mapping[str, int]
    drafts: Mapping[str, int]
    records: Mapping[str, int]

    @property
    def bytes(self) -> int:
        """Of all of them."""
        kinds = (self.superseded, self.drafts, self.records)
        return sum(size for sizes in kinds for size in sizes.values())

    @property
    def paths(self) -> Iterator[str]:
        """All of them."""
        yield from (*self.superseded, *self.drafts, *self.records)


def deletable(
    context: Context, keep_hours: float, least_hours: float, *, look: bool = True
) -> Deletable:
    """What is out of use for `keep_hours`, and was not written within `least_hours`.

    Files of items (volumes, masks, ...) that no row names, at this look and at all since
    `keep_hours`; drafts that a killed process left; records of runs beyond the newest. Nothing that
    was written since the oldest run at work began. Without `look` this look is not noted.

    Raises:
        StoreError: the store cannot be read or written.
    """
    store = context.store
    # the listing first: what is written and named after it is not in it
    sizes = store.sizes("")
    named = unused.named_files(context)
    begun = unused.nobody_writes(context)
    if begun is None:
        return Deletable({}, {}, {})
    before = min(begun, unused.now() - dt.timedelta(hours=least_hours))
    folders = unused.OF_ITEMS | {path.split("/", 1)[0] for path in named}
    unnamed = {
        path
        for path in sizes
        if path.split("/", 1)[0] in folders - unused.NOT_OF_ITEMS
        and path not in named
        and path != unused.NOTE
        and not unused.is_draft(path)
    }
    due = unused.long_unused(store, unused.NOTE, unnamed, keep_hours, look=look)
    return Deletable(
        {path: sizes[path] for path in due if _older(context, path, before)},
        _drafts(context, sizes, min(before, unused.now() - dt.timedelta(hours=keep_hours))),
        _records(context, sizes),
    )


def _drafts(context: Context, sizes: Mapping[str, int], before: dt.datetime) -> dict[str, int]:
    """Drafts outside the tables' folders and the shards', which have their own ways."""
    files: dict[str, list[str]] = {}
    for path in sizes:
        if not path.startswith(("tables/", "shards/")) and unused.is_draft(path):
            files.setdefault(unused.draft_of(path), []).append(path)
    return {
        draft: sum(sizes[path] for path in paths)
        for draft, paths in files.items()
        if all(_older(context, path, before) for path in paths)
    }


def _records(context: Context, sizes: Mapping[str, int]) -> dict[str, int]:
    at_work = {f"{RUNS}{name}.json" for name in runs_at_work(context.store)}
    # ids begin with the UTC time
    records = sorted(path for path in sizes if path.startswith(RUNS) and path.endswith(".json"))
    return {path: sizes[path] for path in records[:-KEPT_RECORDS] if path not in at_work}


def _older(context: Context, path: str, before: dt.datetime) -> bool:
    try:
        return context.store.modified(path) <= before
    except FileNotFoundError:
        return False  # it has gone, or was renamed, since it was listed
