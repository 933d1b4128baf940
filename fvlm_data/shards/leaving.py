"""Taking samples out of their shards for good: what stays is written anew without them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from fvlm_data.errors import StoreError
from fvlm_data.shards import folder
from fvlm_data.shards.joining import rewritten
from fvlm_data.shards.sets import LABELLED
from fvlm_data.shards.tidy import tidy_shards
from fvlm_data.store.commits import retire

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    from fvlm_data.shards.agreement import Shard
    from fvlm_data.shards.config import ShardConfig
    from fvlm_data.shards.sets import SampleSet
    from fvlm_data.shards.slabs import SlabArray
    from fvlm_data.store.declared import Context, Stage


def shards_of(context: Context, samples: Collection[str], of: SampleSet = LABELLED) -> list[Shard]:
    """Split and id of the shards that hold samples."""
    rows = context.store.read_items(of.table, "sample_id", samples, ["split", "shard"])
    return sorted({(row["split"], row["shard"]) for row in rows})


def take_out(
    context: Context,
    config: ShardConfig,
    stage: Stage,
    samples: Collection[str],
    shards: Collection[Shard],
    of: SampleSet = LABELLED,
) -> int:
    """Remove samples from the table, and write the `shards` that held them without them.

    The other samples keep their arrays, bit by bit, and rows, but for their place. A shard that
    cannot be read is given up: its other samples are due again, which is counted. Nothing else may
    write to the store meanwhile. May be killed and repeated with the same values.

    Raises:
        StoreError: the store cannot be read or written.
    """
    retire(context, stage, sorted(samples))
    given_up = 0
    for split, shard in sorted(shards):
        left = _left(context, split, shard, of)
        if left and not _without(context, config, split, shard, left, of):
            retire(context, stage, left)
            given_up += len(left)
    tidy_shards(context, keep_hours=0, of=of)
    return given_up


def _left(context: Context, split: str, shard: str, of: SampleSet) -> list[str]:
    where = [("split", "=", split), ("shard", "=", shard)]
    return sorted(context.store.read(of.table, ["sample_id"], where)["sample_id"].to_pylist())


def _without(
    context: Context, config: ShardConfig, split: str, shard: str, left: list[str], of: SampleSet
) -> bool:
    """Whether what is left of a shard could be written to a new one."""
    try:
        shards = folder.ShardFolder(context.store.url, of)
        attributes, arrays = shards.read_group(split, shard, None)
        as_made = _made_with(config, attributes, arrays["image"])
        return rewritten(context, as_made, split, left, {shard: arrays}, of)
    except StoreError:
        if not _is_damaged(context, split, shard, of):
            raise
        return False


def _made_with(config: ShardConfig, attributes: Mapping[str, Any], image: SlabArray) -> ShardConfig:
    """The settings that the arrays of a shard were made with; how they are packed is ours."""
    low, high = attributes["hu_window"]
    return config.model_copy(
        update={
            "anatomies": tuple(attributes["anatomies"]),
            "dtype": attributes["image_dtype"],
            "hu_window": (low, high),
            "slab_z": image.slab_z,
        }
    )


def _is_damaged(context: Context, split: str, shard: str, of: SampleSet) -> bool:
    """Whether a shard's files are not those that its rows say."""
    path = folder.group_path(split, shard, of)
    where = [("stage", "=", of.stage), ("item", "=", path)]
    told = context.store.read("files", ["path", "sha256"], where).to_pylist()
    return not told or any(_sha256(context, row["path"]) != row["sha256"] for row in told)


def _sha256(context: Context, path: str) -> str:
    try:
        return hashlib.sha256(context.store.read_bytes(path)).hexdigest()
    except StoreError:
        return "unreadable"
