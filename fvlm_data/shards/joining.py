"""Joining shards that hold few samples: small ones of nightly runs, and ones samples have left."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import schemas
from fvlm_data.errors import StoreError
from fvlm_data.hashing import array_sha256
from fvlm_data.identity.ids import keyed_id
from fvlm_data.shards import folder
from fvlm_data.shards.preprocess import PreparedSample
from fvlm_data.shards.sets import LABELLED
from fvlm_data.shards.writer import attributes, offsets_z, spool, write_shard
from fvlm_data.store.commits import stored_tree
from fvlm_data.store.queries import open_tables, with_readable_tables
from fvlm_data.store.writing import by_key

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fvlm_data.shards.config import ShardConfig
    from fvlm_data.shards.sets import SampleSet
    from fvlm_data.shards.slabs import SlabArray
    from fvlm_data.store.declared import Context

FULL_SHARE = 0.5
"""Share of a shard's samples, or of its slices in use, below which it is rewritten."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Joined:
    """Counts of shards: given up, written in their place, and left because a run changed them."""

    given_up: int
    written: int
    left: int = 0


def join_shards(context: Context, config: ShardConfig, of: SampleSet = LABELLED) -> Joined:
    """Write the samples of sparse shards into new, full ones; arrays stay as they are.

    Shards made with other settings than `config` are left alone, and so are those of which a
    concurrent run changes a sample. Run `tidy_shards` afterwards. May be killed and repeated:
    the table decides.

    Raises:
        StoreError: a shard is damaged (the message names the sample), or the store cannot be
            read or written.
    """
    held = _held(context, of)
    counts = Counter[str]()
    for split in sorted({split for split, _ in held}):
        mine = {shard: depths for (its, shard), depths in held.items() if its == split}
        sparse = _sparse(context, config, split, mine, of)
        chosen = _samples_in(context, split, sparse, of)
        size = config.samples_per_shard
        left: set[str] = set()
        for start in range(0, len(chosen), size):
            part = chosen[start : start + size]
            if rewritten(context, config, split, [sample for sample, _ in part], sparse, of):
                counts["written"] += 1
            else:
                left.update(shard for _, shard in part)
        counts["left"] += len(left)
        counts["given_up"] += len(sparse) - len(left)
    return Joined(counts["given_up"], counts["written"], counts["left"])


def foresee_joins(context: Context, config: ShardConfig, of: SampleSet = LABELLED) -> Joined:
    """What `join_shards` would give up and write; nothing is changed.

    Raises:
        StoreError: a shard is damaged, or the store cannot be read.
    """
    held = _held(context, of)
    given_up = written = 0
    for split in sorted({split for split, _ in held}):
        mine = {shard: depths for (its, shard), depths in held.items() if its == split}
        sparse = _sparse(context, config, split, mine, of)
        given_up += len(sparse)
        written += -(-sum(len(mine[shard]) for shard in sparse) // config.samples_per_shard)
    return Joined(given_up, written)


def _held(context: Context, of: SampleSet) -> dict[tuple[str, str], list[int]]:
    """Slices of each sample in each shard, by split and shard."""

    def work() -> dict[tuple[str, str], list[int]]:
        connection = context.store.connect()
        try:
            open_tables(context, connection, [of.table])
            rows = connection.execute(
                f"SELECT split, shard, list(shape_zyx[1]) FROM {of.table} GROUP BY split, shard"
            ).fetchall()
        finally:
            connection.close()
        return {(split, shard): depths for split, shard, depths in rows}

    return with_readable_tables(context, [of.table], work, mend=False)


def _samples_in(
    context: Context, split: str, shards: Collection[str], of: SampleSet
) -> list[tuple[str, str]]:
    """Sample id and shard of the samples in some shards of a split, by sample id."""
    where = [("split", "=", split), ("shard", "in", sorted(shards))]
    rows = context.store.read(of.table, ["sample_id", "shard"], where).to_pylist()
    return sorted((row["sample_id"], row["shard"]) for row in rows)


def _sparse(
    context: Context,
    config: ShardConfig,
    split: str,
    held: dict[str, list[int]],
    of: SampleSet,
) -> dict[str, dict[str, SlabArray]]:
    """Arrays of the shards that are worth joining: two small ones or more, or a hollow one."""
    shards = folder.ShardFolder(context.store.url, of)
    there = shards.listing(split).groups  # `verify` names those that are missing
    sparse: dict[str, dict[str, SlabArray]] = {}
    hollow = False
    for shard, depths in sorted(held.items()):
        if shard not in there:
            continue
        try:
            found, arrays = shards.read_group(split, shard, None)
        except StoreError:
            # still as counted: then the shard is damaged, not taken away by a run
            if len(_samples_in(context, split, [shard], of)) == len(depths):
                raise
            continue  # a run has made its samples anew and removed it
        if {name: found.get(name) for name in attributes(config)} != _plain(config):
            continue
        empty = _used_share(depths, arrays["image"]) < FULL_SHARE
        if empty or len(depths) < FULL_SHARE * config.samples_per_shard:
            sparse[shard], hollow = arrays, hollow or empty
    return sparse if len(sparse) > 1 or hollow else {}


def _plain(config: ShardConfig) -> dict[str, Any]:
    """The attributes as JSON gives them back."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in attributes(config).items()}


def _used_share(depths: Sequence[int], image: SlabArray) -> float:
    shapes = [(depth, 0, 0) for depth in depths]
    last = offsets_z([*shapes, (0, 0, 0)], image.slab_z)[-1]
    return last / max(1, image.shape_zyx[0])


def rewritten(
    context: Context,
    config: ShardConfig,
    split: str,
    samples: Sequence[str],
    arrays: dict[str, dict[str, SlabArray]],
    of: SampleSet = LABELLED,
) -> bool:
    """Write one new shard of `samples`, as the stage does it: arrays, notes, index, rows.

    `arrays` are those of the shards that hold them now, by shard.

    False where a run has changed one of them since they were chosen. What was written then,
    named by no row, is removed by `tidy_shards`.
    """
    rows = context.store.read_items(of.table, "sample_id", samples)
    # sorted, so that a repeated run after a kill makes the same shard id
    rows.sort(key=lambda row: str(row["sample_id"]))
    if len(rows) < len(samples) or any(
        row["split"] != split or row["shard"] not in arrays for row in rows
    ):
        return False
    parts = [part for row in rows for part in (row["sample_id"], row["content_sha256"])]
    shard = keyed_id(context.vault.key, "sh", "joined", *parts)
    try:
        with spool() as aside:
            laid = [aside.lay(_read(row, arrays[row["shard"]])) for row in rows]
            target = aside.folder / f"{shard}.zarr"
            offsets = write_shard(target, laid, config)
            path = folder.group_path(split, shard, of)
            recorded = stored_tree(of.stage, path, target)
            context.store.put_tree(target, path)
            context.store.replace("files", [path], recorded, {"stage": of.stage})
    except StoreError:
        if _stand(context, rows, of):
            raise
        return False  # made anew: a run may have removed the old arrays
    except OSError as error:
        raise StoreError(
            f"shard {shard}: the temporary folder cannot be written ({error.strerror or error}); "
            "free space there (or set TMPDIR) and run again: finished work is kept"
        ) from error
    if not _stand(context, rows, of):
        return False
    moved: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        moved[row["shard"]].append(row["sample_id"])
    for old, ids in moved.items():
        path = folder.note_path(split, old, shard, of)
        context.store.write_bytes(path, folder.note_bytes(ids))
    placed = [
        replace(_sample(row, of), shard=shard, index=index, offset_z=offset)
        for index, (row, offset) in enumerate(zip(rows, offsets, strict=True))
    ]
    table = schemas.TABLES[of.table].to_arrow(placed)
    context.store.write_bytes(folder.index_path(split, shard, of), folder.index_bytes(table, of))
    # last: until this commit the samples belong to their old shards
    return context.store.swap(of.table, rows, placed)


def _stand(context: Context, rows: Sequence[Row], of: SampleSet) -> bool:
    """Whether the table still has the samples as `rows` say."""
    ids = [row["sample_id"] for row in rows]
    now = context.store.read_items(of.table, "sample_id", ids)
    return by_key(of.table, now) == by_key(of.table, rows)


def _read(row: Row, arrays: dict[str, SlabArray]) -> PreparedSample:
    """A sample's arrays as the old shard holds them."""
    nz, ny, nx = row["shape_zyx"]
    part = (slice(row["offset_z"], row["offset_z"] + nz), slice(0, ny), slice(0, nx))
    found = {}
    for name, array in arrays.items():
        found[name] = np.empty((nz, ny, nx), array.dtype)
        try:
            array.read(part, found[name])
        except (StoreError, OSError) as error:
            why = str(error) if isinstance(error, StoreError) else type(error).__name__
            raise StoreError(
                f"sample {row['sample_id']}: shard {row['split']}/{row['shard']} cannot be read "
                f"({why}); {folder.REMEDY}"
            ) from error
    if array_sha256(found["image"], found["label"]) != row["content_sha256"]:
        raise StoreError(
            f"sample {row['sample_id']}: arrays in shard {row['split']}/{row['shard']} are not "
            f"those of its row (content_sha256); {folder.REMEDY}"
        )
    spacing_z, spacing_y, spacing_x = row["spacing_mm"]
    affine = np.array(row["affine_ras"], np.float64).reshape(4, 4)
    spacing = (spacing_z, spacing_y, spacing_x)
    return PreparedSample(found["image"], found["label"], affine, spacing, {})


def _sample(row: Row, of: SampleSet = LABELLED) -> Any:
    return schemas.TABLES[of.table].row(**{name: _frozen(value) for name, value in row.items()})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value
