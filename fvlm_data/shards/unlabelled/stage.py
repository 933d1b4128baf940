"""The stage `unlabelled`: from volumes alone to shards and rows of table `unlabelled_samples`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fvlm_data.settings import deciding
from fvlm_data.shards.batch import make_batch
from fvlm_data.shards.inputs import REFS
from fvlm_data.shards.sets import UNLABELLED
from fvlm_data.shards.unlabelled import inputs
from fvlm_data.shards.unlabelled.config import LAYOUT
from fvlm_data.shards.unlabelled.making import make_unlabelled
from fvlm_data.store.declared import Stage

if TYPE_CHECKING:
    from fvlm_data.shards.config import ShardConfig
    from fvlm_data.shards.making import MadeSample
    from fvlm_data.shards.unlabelled.config import UnlabelledConfig
    from fvlm_data.store.declared import Batch, Inputs, Reject

STAGE_VERSION = 1


def unlabelled_stage(config: UnlabelledConfig, layout: ShardConfig) -> Stage:
    """The stage that makes one sample of each volume without labels, as `shard` of the others.

    `layout` is section `shard`, of which it is read how shards are cut and packed. A volume that
    gets masks and texts leaves the stage, unless `volumes` is all. Run
    `tidy_shards(of=UNLABELLED)` after the stage.
    """
    return Stage(
        name=UNLABELLED.stage,
        version=STAGE_VERSION,
        settings={**deciding(config), **{name: getattr(layout, name) for name in LAYOUT}},
        tables=(UNLABELLED.table,),
        items=inputs.items(config),
        make=partial(
            make_batch, UNLABELLED, config.packed(layout), partial(_prepared, config, layout)
        ),
        reads=inputs.reads(),
        refs=REFS,
        batch_size=layout.samples_per_shard,
        group="split",
        holders=f"SELECT {UNLABELLED.tree_sql} AS tree, sample_id AS item FROM {UNLABELLED.table}",
    )


def _prepared(
    config: UnlabelledConfig, layout: ShardConfig, batch: Batch, one: Inputs
) -> MadeSample | Reject | None:
    known = inputs.sample_inputs(one)
    return None if known is None else make_unlabelled(known, batch.file, config, layout)
