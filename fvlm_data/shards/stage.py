"""The stage `shard`: from volumes, masks and texts to shards and rows of table `samples`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fvlm_data.shards import inputs
from fvlm_data.shards.batch import make_batch
from fvlm_data.shards.making import make_sample
from fvlm_data.shards.sets import LABELLED
from fvlm_data.store.declared import Stage

if TYPE_CHECKING:
    from fvlm_data.shards.config import ShardConfig
    from fvlm_data.shards.making import MadeSample
    from fvlm_data.store.declared import Batch, Inputs, Reject
    from fvlm_data.vocabulary import Vocabulary

STAGE_VERSION = 1


def shard_stage(config: ShardConfig, vocabulary: Vocabulary) -> Stage:
    """The stage that makes one sample of each volume with masks and texts.

    A batch is one shard, cut within a split by sample id: it is settled as a whole, so what is
    left after a kill is cut the same way again. Run `tidy_shards` after the stage.
    """
    return Stage(
        name=LABELLED.stage,
        version=STAGE_VERSION,
        settings=inputs.settings(config, vocabulary),
        tables=(LABELLED.table,),
        items=inputs.ITEMS,
        make=partial(make_batch, LABELLED, config, partial(_prepared, config, vocabulary)),
        reads=inputs.reads(config),
        refs=inputs.REFS,
        batch_size=config.samples_per_shard,
        group="split",
        holders=f"SELECT {LABELLED.tree_sql} AS tree, sample_id AS item FROM {LABELLED.table}",
    )


def _prepared(
    config: ShardConfig, vocabulary: Vocabulary, batch: Batch, one: Inputs
) -> MadeSample | Reject | None:
    known = inputs.sample_inputs(one)
    return None if known is None else make_sample(known, batch.file, config, vocabulary)
