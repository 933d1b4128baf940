"""Bringing the folder `shards` in line with the table `samples`, which is the authority."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from fvlm_data.shards import folder
from schemas.splits import SPLITS

if TYPE_CHECKING:
    from fvlm_data.shards.folder import Listing, ShardFolder
    from fvlm_data.store.declared import Context

KEEP_HOURS = 24.0


@dataclass(frozen=True, slots=True)
class Tidied:
    """What tidying did: counts of indexes and groups; `missing` are shards without a group."""

    indexes_rewritten: int
    indexes_removed: int
    groups_removed: int
    missing: tuple[str, ...]


def tidy_shards(context: Context, keep_hours: float = KEEP_HOURS) -> Tidied:
    """Make each shard's index list exactly the samples that the table places in it.

    Run it after the stage. Indexes of shards without a sample go at once, so that no trainer
    finds them; their arrays, and what a killed run left half-written, go once they are
    `keep_hours` old: a trainer may still read them, and another run may be about to commit
    them. May be killed and repeated at any time.

    Raises:
        StoreError: the store cannot be read or written.
    """
    rows = context.store.read("samples", ["sample_id", "shard", "split"]).to_pylist()
    wanted: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        wanted[row["split"], row["shard"]].add(row["sample_id"])
    shards = folder.ShardFolder(context.store.url)
    oldest = dt.datetime.now(dt.UTC) - dt.timedelta(hours=keep_hours)
    rewritten = removed = freed = 0
    missing: list[str] = []
    for split in SPLITS:
        mine = {shard: ids for (of, shard), ids in wanted.items() if of == split}
        listing = shards.listing(split)
        missing += sorted(mine.keys() - listing.groups)
        rewritten += _rewrite(context, shards, split, mine, listing)
        for shard in sorted(listing.indexes - mine.keys()):
            context.store.remove(folder.index_path(split, shard))
            removed += 1
        for name, _ in listing.notes:
            context.store.remove(f"{folder.FOLDER}/{split}/{name}")
        unused = [f"{shard}{folder.GROUP}" for shard in sorted(listing.groups - mine.keys())]
        freed += _free(context, shards, split, [*unused, *listing.other], oldest)
    return Tidied(rewritten, removed, freed, tuple(missing))


def unsettle_lost(context: Context) -> int:
    """Have the stage make the samples anew whose arrays are gone; returns how many.

    Run it before the stage. A damaged shard is mended by removing it and running the stage.

    Raises:
        StoreError: the store cannot be read or written.
    """
    shards = folder.ShardFolder(context.store.url)
    rows = context.store.read("samples", ["sample_id", "shard", "split"]).to_pylist()
    # listed after the rows are read: a run writes arrays before it names them
    groups = {split: shards.listing(split).groups for split in SPLITS}
    lost = [row["sample_id"] for row in rows if row["shard"] not in groups[row["split"]]]
    context.store.replace("ledger", lost, [], {"stage": "shard"})
    return len(lost)


def _rewrite(
    context: Context,
    shards: ShardFolder,
    split: str,
    wanted: dict[str, set[str]],
    listing: Listing,
) -> int:
    """Write the indexes that differ from the table; returns how many."""
    count = 0
    for shard, ids in sorted(wanted.items()):
        if shard in listing.indexes and _lists(shards, split, shard, ids):
            continue
        if shard in listing.groups:
            rows = context.store.read("samples", None, [("shard", "=", shard)])
            context.store.write_bytes(folder.index_path(split, shard), folder.index_bytes(rows))
            count += 1
    return count


def _lists(shards: ShardFolder, split: str, shard: str, ids: set[str]) -> bool:
    """Whether the index can be read and lists each of `ids` once and nothing else."""
    try:
        listed = shards.read_index(split, shard, ["sample_id"])["sample_id"].to_pylist()
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return False
    return set(listed) == ids and len(listed) == len(ids)


def _free(
    context: Context, shards: ShardFolder, split: str, names: list[str], oldest: dt.datetime
) -> int:
    """Remove groups and drafts that nothing refers to and that are old enough."""
    count = 0
    for name in names:
        changed = shards.changed(split, name)
        if changed is None or changed <= oldest:
            context.store.remove(f"{folder.FOLDER}/{split}/{name}")
            count += 1
    return count
