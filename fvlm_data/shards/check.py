"""Where the tables and the files of the shards say different things."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pyarrow as pa

from fvlm_data.memory import lacks_memory
from fvlm_data.shards import agreement
from fvlm_data.shards.agreement import agreements, rows_of_index, shards_now
from fvlm_data.shards.folder import ShardFolder, group_path, index_path
from fvlm_data.shards.sets import LABELLED
from fvlm_data.store.commits import unsettle
from fvlm_data.store.sql import quoted
from schemas.splits import SPLITS

if TYPE_CHECKING:
    import duckdb

    from fvlm_data.shards.agreement import Shard
    from fvlm_data.shards.folder import Listing
    from fvlm_data.shards.sets import SampleSet
    from fvlm_data.store.declared import Context
    from fvlm_data.store.tables import Store

PLACE = ("sample_id", "index", "offset_z")
SHARDS_A_READ = 1000


def misplaced(context: Context, of: SampleSet = LABELLED) -> list[str]:
    """Ids of samples whose shard, index or first slice is not that of the shard's index, sorted.

    The place of a sample is no part of the content in the ledger, because it may differ between
    two runs. The index was written with the shard: if a shard's rows are not those that last
    agreed with it, it says which are still where they were. Samples of a shard without arrays or
    a readable index are misplaced, unless exactly these rows have agreed before; so are all
    samples of a shard whose rows in table `files` were lost, doubled or changed.

    Raises:
        StoreError: the store cannot be read.
    """
    return sorted(sample for ids in _misplaced(context, of).values() for sample in ids)


def unsettle_misplaced(context: Context, of: SampleSet = LABELLED) -> int:
    """Make the stage remake misplaced samples; returns how many. Run it before the stage.

    Raises:
        StoreError: the store cannot be read or written.
    """
    found = _misplaced(context, of)
    ids = sorted(sample for samples in found.values() for sample in samples)
    unsettle(context, of.stage, ids)
    agreement.forget(context, [shard for shard, samples in found.items() if samples], of)
    return len(ids)


def wrong_shards(
    store: Store,
    connection: duckdb.DuckDBPyConnection,
    of: SampleSet = LABELLED,
    *,
    deep: bool = False,
) -> tuple[int, list[str]]:
    """How many shards the set's table names, and the paths of what is not as the tables say.

    Told are indexes that hold other rows, and groups whose rows in table `files` are not those
    of the last run. `connection` has views of the store's tables. An index is read if it or its
    rows changed since the two last agreed; with `deep` every one is.
    """
    shards = ShardFolder(store.url, of)
    columns = ", ".join(agreement.COLUMNS)
    known = agreement.agreements_of(
        connection.execute(
            f"SELECT {columns} FROM ledger WHERE stage = {quoted(of.agreed)}"
        ).fetchall()
    )
    stamps = {
        index_path(split, shard, of): stamp
        for split in SPLITS
        for shard, stamp in shards.listing(split).indexes.items()
    }
    wrong = []
    now = agreement.told(connection, of)
    for (split, shard), told in now.items():
        path = index_path(split, shard, of)
        agreed = known.get(path)
        if agreed is not None and agreed.names_other_files(told):
            wrong.append(group_path(split, shard, of))
        unchanged = agreed is not None and (
            (agreed.told.rows, agreed.stamp) == (told.rows, stamps.get(path))
        )
        if unchanged and not deep:
            continue
        if rows_of_index(store, shards, split, shard) != told.rows:
            wrong.append(path)
    return len(now), sorted(wrong)


def _misplaced(context: Context, of: SampleSet) -> dict[Shard, list[str]]:
    shards = ShardFolder(context.store.url, of)
    known = agreements(context, of)
    now = shards_now(context, of)
    # listed after the rows are read: a run writes arrays before it names them
    listings = {split: shards.listing(split) for split in SPLITS}
    suspects: list[Shard] = []
    unnamed: set[Shard] = set()
    for (split, shard), told in now.items():
        agreed = known.get(index_path(split, shard, of))
        if agreed is not None and agreed.names_other_files(told):
            unnamed.add((split, shard))
        moved = agreed is None or agreed.told.rows != told.rows
        if moved or (split, shard) in unnamed or shard not in listings[split].groups:
            suspects.append((split, shard))
    found: dict[Shard, list[str]] = {}
    for start in range(0, len(suspects), SHARDS_A_READ):
        for one, places in _places(context, suspects[start : start + SHARDS_A_READ], of).items():
            confirmed = set() if one in unnamed else _confirmed(shards, listings[one[0]], *one)
            found[one] = [place[0] for place in places - confirmed]
    return found


def _places(
    context: Context, wanted: list[Shard], of: SampleSet
) -> dict[Shard, set[tuple[str, int, int]]]:
    """Sample id, index and first slice of each row in the shards `wanted`."""
    ids = [shard for _, shard in wanted]
    columns = ["split", "shard", *PLACE]
    rows = context.store.read(of.table, columns, [("shard", "in", ids)]).to_pylist()
    found: dict[Shard, set[tuple[str, int, int]]] = defaultdict(set)
    for row in rows:
        found[row["split"], row["shard"]].add((row["sample_id"], row["index"], row["offset_z"]))
    return {shard: found[shard] for shard in wanted}


def _confirmed(
    shards: ShardFolder, listing: Listing, split: str, shard: str
) -> set[tuple[str, int, int]]:
    """Places according to the shard's index; none if it or the arrays are missing."""
    if shard not in listing.groups or shard not in listing.indexes:
        return set()
    try:
        listed = shards.read_index(split, shard, ["split", "shard", *PLACE])
        columns = [listed[name].to_pylist() for name in ("split", "shard", *PLACE)]
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        if lacks_memory(error):  # an ArrowException too
            raise MemoryError from error
        return set()
    return {
        (sample, index, offset)
        for its_split, named, sample, index, offset in zip(*columns, strict=True)
        if (its_split, named) == (split, shard)
    }
