"""The stage of this folder, as the registry lists it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.store.declared import StageEntry

if TYPE_CHECKING:
    from fvlm_data.store.declared import Context, Stage


def _shard(config: Any) -> Stage:
    from fvlm_data.shards.stage import shard_stage

    return shard_stage(config.shard)


def _finish(context: Context) -> None:
    from fvlm_data.shards.tidy import tidy_shards

    tidy_shards(context)


SHARD = StageEntry(name="shard", build=_shard, commands=("shard",), finish=_finish)
