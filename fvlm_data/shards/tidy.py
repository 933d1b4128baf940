"""Bringing the folder of a set of samples in line with its table, which is the authority."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from fvlm_data.shards import folder
from fvlm_data.shards.agreement import (
    Agreement,
    Told,
    agreements,
    remember,
    rows_of_index,
    shards_now,
)
from fvlm_data.shards.sets import LABELLED
from fvlm_data.store import unused
from fvlm_data.store.queries import open_tables, with_readable_tables
from fvlm_data.store.sql import quoted
from fvlm_data.store.unused import long_unused
from schemas.splits import SPLITS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from fvlm_data.shards.agreement import Shard
    from fvlm_data.shards.folder import Listing, ShardFolder
    from fvlm_data.shards.sets import SampleSet
    from fvlm_data.store.declared import Context

NOTE = "unused.json"
"""Beside the splits: shards that the last tidying found without a sample, and since when."""

SHARDS_A_READ = 32


@dataclass(frozen=True, slots=True)
class Tidied:
    """What tidying did: counts of indexes and groups; `missing` are shards without a group."""

    indexes_rewritten: int
    indexes_removed: int
    groups_removed: int
    missing: tuple[str, ...]


def tidy_shards(
    context: Context, keep_hours: float | None = None, of: SampleSet = LABELLED
) -> Tidied:
    """Make each shard's index hold exactly the rows that the table places in it.

    Run it after the stage. Indexes of shards without a sample go at once, so that no trainer
    finds them; their arrays go once they have held none for `keep_hours` (None: the context's), as
    a trainer may still read them, and are so old, as another run may be about to commit them; what
    a killed run left half-written goes by its age. An index is read only where it or its rows
    changed since they last agreed. May be killed and repeated at any time.

    Raises:
        StoreError: the store cannot be read or written.
    """
    known = agreements(context, of)
    now = shards_now(context, of)
    shards = folder.ShardFolder(context.store.url, of)
    hours = context.keep_hours if keep_hours is None else keep_hours
    oldest = unused.now() - dt.timedelta(hours=hours)
    agreed: dict[Shard, Agreement] = {}
    rewritten = removed = freed = 0
    missing: list[str] = []
    without: list[str] = []
    there: set[str] = set()
    for split in SPLITS:
        mine = {shard: told for (its, shard), told in now.items() if its == split}
        listing = shards.listing(split)
        missing += sorted(mine.keys() - listing.groups)
        agree = _agreeing(context, shards, split, mine, listing, known)
        agreed.update(agree)
        outdated = sorted(mine.keys() & listing.groups - {shard for _, shard in agree})
        _rewrite(context, split, outdated, of)
        rewritten += len(outdated)
        for shard in sorted(listing.indexes.keys() - mine.keys()):
            context.store.remove(folder.index_path(split, shard, of))
            removed += 1
        # the indexes hold just the table's rows now, so notes have nothing left to take out
        for name, _ in listing.notes:
            context.store.remove(f"{of.folder}/{split}/{name}")
        without += [folder.group_path(split, shard, of) for shard in listing.groups - mine.keys()]
        drafts = [f"{of.folder}/{split}/{name}" for name in listing.other]
        freed += _free(context, shards, drafts, oldest)
    note = f"{of.folder}/{NOTE}"
    freed += _free(context, shards, long_unused(context.store, note, without, hours), oldest)
    for split in SPLITS:
        there |= {folder.group_path(split, shard, of) for shard in shards.listing(split).groups}
    there |= {folder.group_path(split, shard, of) for split, shard in now}
    remember(context, known, agreed, of)
    _forget_trees(context, there, of)
    return Tidied(rewritten, removed, freed, tuple(missing))


def unused_groups(context: Context, keep_hours: float, of: SampleSet = LABELLED) -> list[str]:
    """Paths of the groups that tidying would remove now; nothing is changed.

    Raises:
        StoreError: the store cannot be read.
    """
    held = {folder.group_path(*shard, of) for shard in shards_now(context, of)}
    shards = folder.ShardFolder(context.store.url, of)
    groups = {
        folder.group_path(split, one, of)
        for split in SPLITS
        for one in shards.listing(split).groups
    }
    note = f"{of.folder}/{NOTE}"
    due = long_unused(context.store, note, groups - held, keep_hours, look=False)
    oldest = unused.now() - dt.timedelta(hours=keep_hours)
    return [path for path in due if _is_old(shards, path, oldest)]


def _agreeing(
    context: Context,
    shards: ShardFolder,
    split: str,
    wanted: Mapping[str, Told],
    listing: Listing,
    known: Mapping[str, Agreement],
) -> dict[Shard, Agreement]:
    """The shards whose index holds just the rows of the table, with what they agree on."""
    found: dict[Shard, Agreement] = {}
    for shard in sorted(wanted.keys() & listing.groups & listing.indexes.keys()):
        before = known.get(folder.index_path(split, shard, shards.of))
        told, stamp = wanted[shard], listing.indexes[shard]
        unchanged = before is not None and (before.told.rows, before.stamp) == (told.rows, stamp)
        if unchanged or rows_of_index(context.store, shards, split, shard) == told.rows:
            # what table `files` says is taken once: a change of it is damage, for `check` to find
            files = (before.told.files if before is not None else "") or told.files
            found[split, shard] = Agreement(Told(told.rows, files), stamp)
    return found


def _rewrite(context: Context, split: str, shards: Sequence[str], of: SampleSet) -> None:
    """Rewrite indexes from the table."""
    for start in range(0, len(shards), SHARDS_A_READ):
        part = list(shards[start : start + SHARDS_A_READ])
        where = [("split", "=", split), ("shard", "in", part)]
        rows = context.store.read(of.table, None, where)
        for shard in part:
            mine = rows.filter(pc.equal(rows["shard"], shard))
            if mine.num_rows:  # else a run has moved its samples meanwhile
                path = folder.index_path(split, shard, of)
                context.store.write_bytes(path, folder.index_bytes(mine, of))


def _forget_trees(context: Context, there: Collection[str], of: SampleSet) -> None:
    """Take the files of shards that are gone, and that no row names, out of table `files`."""

    def work() -> set[str]:
        connection = context.store.connect()
        try:
            open_tables(context, connection, ["files"])
            rows = connection.execute(
                f"SELECT DISTINCT item FROM files WHERE stage = {quoted(of.stage)} "
                "AND starts_with(path, item || '/')"
            ).fetchall()
        finally:
            connection.close()
        return {tree for (tree,) in rows}

    gone = sorted(with_readable_tables(context, ["files"], work, mend=False).difference(there))
    if gone:
        context.store.replace("files", gone, [], {"stage": of.stage})


def _free(context: Context, shards: ShardFolder, paths: Iterable[str], oldest: dt.datetime) -> int:
    """Remove groups and drafts that nothing refers to and that are old enough."""
    count = 0
    for path in paths:
        if _is_old(shards, path, oldest):
            context.store.remove(path)
            count += 1
    return count


def _is_old(shards: ShardFolder, path: str, oldest: dt.datetime) -> bool:
    split, name = path.split("/")[-2:]
    changed = shards.changed(split, name)
    return changed is None or changed <= oldest
