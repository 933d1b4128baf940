"""The stages of a configuration, in the order of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError

if TYPE_CHECKING:
    from fvlm_data.run.config import Config
    from fvlm_data.store.stage import Stage

STAGES = ("ingest", "select", "segment", "reports", "split", "pair", "shard")


def build_stage(name: str, config: Config) -> Stage:
    """The stage called `name`, made from its own section of the configuration.

    A stage's module is imported here, so that a worker loads only what its stage needs.

    Raises:
        ConfigError: there is no such stage.
    """
    if name == "ingest":
        from fvlm_data.ingest.stage import ingest_stage

        return ingest_stage(config.ingest, config.sources, config.execution.threads())
    if name == "select":
        from fvlm_data.ingest.select_stage import select_stage

        return select_stage(config.select)
    if name == "segment":
        from fvlm_data.segment.stage import segment_stage

        return segment_stage(config.segment, config.vocabulary.load(), config.identity.source_names)
    if name == "reports":
        from fvlm_data.reports.stage import reports_stage

        return reports_stage(config.parse, config.vocabulary.load())
    if name == "split":
        from fvlm_data.pairing.split_stage import split_stage

        return split_stage(config.pair)
    if name == "pair":
        from fvlm_data.pairing.stage import pair_stage

        return pair_stage(config.pair, config.vocabulary.load())
    if name == "shard":
        from fvlm_data.shards.stage import shard_stage

        return shard_stage(config.shard, config.vocabulary.load())
    raise ConfigError(f"stage {name!r} is not known; expected one of {', '.join(STAGES)}")
