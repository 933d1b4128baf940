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
from fvlm_data.run.superseded import deletable
from fvlm_data.shards.joining import foresee_joins, join_shards
from fvlm_data.shards.sets import LABELLED, SETS, UNLABELLED
from fvlm_data.shards.tidy import tidy_shards, unused_groups
from fvlm_data.shards.unlabelled.config import UnlabelledConfig
from fvlm_data.store import upkeep
from fvlm_data.store.file_sums import drop_sums
from fvlm_data.store.leases import at_work
from fvlm_data.store.upkeep import compact_table, foresee_compact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fvlm_data.run.config import Config
    from fvlm_data.shards.config import ShardConfig
    from fvlm_data.shards.sets import SampleSet
    from fvlm_data.store.declared import Context

COMMIT_HOURS = 1
"""A run writes the arrays of a shard and names them by rows within seconds, a minute where many
write at once; the rest is for clocks that differ."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What compaction did, in counts.

    Shards given up, written, and left because a run changed them; groups of arrays removed;
    files of items that were superseded, drafts and records of runs that went; `deleted_bytes` of
    these three; files of each table `before` and `after`, and old ones `removed`.
    """

    shards_given_up: int
    shards_written: int
    shards_left: int
    groups_removed: int
    superseded_removed: int
    drafts_removed: int
    records_removed: int
    deleted_bytes: int
    tables: dict[str, dict[str, int]]


def compact_store(context: Context, config: Config, keep_hours: float | None = None) -> Compacted:
    """Join sparse shards and small files; drop history and what is out of use for `keep_hours`.

    None given: `execution.keep_days`. What is younger than `COMMIT_HOURS`, or was written since a
    run at work began, stays in any case. May be killed and repeated.

    Raises:
        StoreError: a shard is damaged, or the store cannot be read or written.
    """
    # deltalake panics on a read-only store; this write fails with a sentence instead
    probe = f"runs/.compact-{context.run_id}"
    context.store.write_bytes(probe, b"")
    context.store.remove(probe)
    hours = config.execution.keep_hours if keep_hours is None else keep_hours
    with at_work(context.store, context.run_id):
        joined = [join_shards(context, packed, one) for one, packed in _sets(config)]
        tidied = [tidy_shards(context, max(hours, COMMIT_HOURS), one) for one in SETS]
        gone = deletable(context, hours, COMMIT_HOURS)
        for path in gone.paths:
            context.store.remove(path)
        tables = {name: compact_table(context.store, name, int(hours)) for name in schemas.TABLES}
        drop_sums(context.store)  # of files that are joined now
    return Compacted(
        sum(one.given_up for one in joined),
        sum(one.written for one in joined),
        sum(one.left for one in joined),
        sum(one.groups_removed for one in tidied),
        len(gone.superseded),
        len(gone.drafts),
        len(gone.records),
        gone.bytes,
        tables,
    )


@dataclass(frozen=True, slots=True)
class CompactionForeseen:
    """What compaction would do now: shards given up and written, files of tables that it reads.

    What it would delete, by what it is: numbers and bytes. What joining puts out of use goes later
    and is not told.
    """

    shards_given_up: int
    shards_written: int
    table_files: int
    deletes: dict[str, int]
    deleted_bytes: dict[str, int]


def foresee_compaction(
    context: Context, config: Config, keep_hours: float | None = None
) -> CompactionForeseen:
    """Look what `compact_store` would do; nothing is changed.

    Raises:
        StoreError: a shard is damaged, or the store cannot be read.
    """
    hours = config.execution.keep_hours if keep_hours is None else keep_hours
    joined = [foresee_joins(context, packed, one) for one, packed in _sets(config)]
    gone = deletable(context, hours, COMMIT_HOURS, look=False)
    arrays = [
        path for one in SETS for path in unused_groups(context, max(hours, COMMIT_HOURS), one)
    ]
    tables = [foresee_compact(context.store, name, int(hours)) for name in schemas.TABLES]
    found = {
        "superseded volumes, masks and other files": list(gone.superseded.values()),
        "drafts of killed runs": list(gone.drafts.values()),
        "records of runs": list(gone.records.values()),
        "arrays of shards without a sample": [
            sum(context.store.sizes(path).values()) for path in arrays
        ],
    }
    old = "old files of tables"
    return CompactionForeseen(
        sum(one.given_up for one in joined),
        sum(one.written for one in joined),
        sum(counts["files"] for counts in tables),
        {
            **{name: len(sizes) for name, sizes in found.items()},
            old: sum(counts["old"] for counts in tables),
        },
        {
            **{name: sum(sizes) for name, sizes in found.items()},
            old: sum(counts["old_bytes"] for counts in tables),
        },
    )


def _sets(config: Config) -> list[tuple[SampleSet, ShardConfig]]:
    """Each set of samples with the settings that its shards are written with now."""
    packed = (config.unlabelled or UnlabelledConfig()).packed(config.shard)
    return [(LABELLED, config.shard), (UNLABELLED, packed)]


def join_small_files(context: Context, tables: Iterable[str]) -> None:
    """Join the small files that a run's commits leave, so that the next ones do not slow down.

    Raises:
        StoreError: a table cannot be read or written.
    """
    for table in sorted(tables):
        if upkeep.join_small_files(context.store, table):
            upkeep.erase_superseded(context.store, table)
