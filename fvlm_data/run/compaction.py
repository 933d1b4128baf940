"""Compaction of a store: sparse shards joined, small table files joined, what is old removed.

A run may be under way at the same time. Tables change by commits, which fail if the other side has
changed the same rows; shards are joined by such a commit, and those that a run changes meanwhile
are left alone. Files have no commits: only those are removed that no row names and that are older
than any run needs to commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import schemas
from fvlm_data.shards.joining import foresee_joins, join_shards
from fvlm_data.shards.tidy import tidy_shards
from fvlm_data.store.leases import at_work

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Context

COMMIT_HOURS = 1
"""A run writes the arrays of a shard and names them by rows within seconds, a minute where many
write at once; the rest is for clocks that differ."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What compaction did, in counts.

    Shards given up, written, and left because a run changed them; groups of arrays removed;
    files of each table `before` and `after`, and old ones `removed`.
    """

    shards_given_up: int
    shards_written: int
    shards_left: int
    groups_removed: int
    tables: dict[str, dict[str, int]]


def compact_store(context: Context, config: Config, keep_hours: int) -> Compacted:
    """Join sparse shards and small files; drop history and arrays out of use for `keep_hours`.

    Arrays younger than `COMMIT_HOURS` stay in any case. May be killed and repeated.

    Raises:
        StoreError: a shard is damaged, or the store cannot be read or written.
    """
    # deltalake panics on a read-only store; this write fails with a sentence instead
    probe = f"runs/.compact-{context.run_id}"
    context.store.write_bytes(probe, b"")
    context.store.remove(probe)
    with at_work(context.store, context.run_id):
        joined = join_shards(context, config.shard)
        tidied = tidy_shards(context, max(keep_hours, COMMIT_HOURS))
        tables = {name: context.store.compact(name, keep_hours) for name in schemas.TABLES}
    return Compacted(joined.given_up, joined.written, joined.left, tidied.groups_removed, tables)


@dataclass(frozen=True, slots=True)
class CompactionForeseen:
    """What compaction would do: shards given up and written; files of tables, old ones to go."""

    shards_given_up: int
    shards_written: int
    table_files: int
    old_files: int
    old_bytes: int


def foresee_compaction(context: Context, config: Config, keep_hours: int) -> CompactionForeseen:
    """Look what `compact_store` would do; nothing is changed.

    Raises:
        StoreError: a shard is damaged, or the store cannot be read.
    """
    joined = foresee_joins(context, config.shard)
    tables = [context.store.foresee_compact(name, keep_hours) for name in schemas.TABLES]
    told = {key: sum(counts[key] for counts in tables) for key in ("files", "old", "old_bytes")}
    return CompactionForeseen(
        joined.given_up, joined.written, told["files"], told["old"], told["old_bytes"]
    )


def join_small_files(context: Context, tables: Iterable[str]) -> None:
    """Join the small files that a run's commits leave, so that the next ones do not slow down.

    Raises:
        StoreError: a table cannot be read or written.
    """
    for table in sorted(tables):
        if context.store.join_small_files(table):
            context.store.forget(table)
