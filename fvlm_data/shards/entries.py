"""The stages of this folder, as the registry lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.store.declared import StageEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fvlm_data.store.declared import Context, Stage


def _shard(config: Any) -> Stage:
    from fvlm_data.shards.stage import shard_stage

    return shard_stage(config.shard, config.vocabulary.load())


def _check(config: Any) -> None:
    from fvlm_data.segment.merge import ranked_anatomies

    ranked_anatomies(config.shard.anatomies, config.vocabulary.load())


def _discover(context: Context, config: Any, progress: Callable[[int], None]) -> Mapping[str, int]:
    """Unsettle samples whose rows name another place than the shards' indexes do; derive review."""
    from fvlm_data.review.standing import derive_effects
    from fvlm_data.shards.check import unsettle_misplaced

    derive_effects(context, config.vocabulary.load())
    misplaced = unsettle_misplaced(context)
    return {"misplaced": misplaced} if misplaced else {}


def _unlabelled_section(config: Any) -> Any:
    from fvlm_data.shards.unlabelled.config import UnlabelledConfig

    return config.unlabelled or UnlabelledConfig()


def _unlabelled(config: Any) -> Stage:
    from fvlm_data.shards.unlabelled.stage import unlabelled_stage

    return unlabelled_stage(_unlabelled_section(config), config.shard)


def _discover_unlabelled(
    context: Context, config: Any, progress: Callable[[int], None]
) -> Mapping[str, int]:
    """As `_discover`, for the samples without labels; volumes that `pair` has not been run for."""
    from fvlm_data.review.standing import derive_effects
    from fvlm_data.shards.check import unsettle_misplaced
    from fvlm_data.shards.sets import UNLABELLED
    from fvlm_data.shards.unlabelled.inputs import volumes_without_split

    derive_effects(context, config.vocabulary.load())
    misplaced = unsettle_misplaced(context, UNLABELLED)
    told = {"misplaced": misplaced, "volumes_without_split": volumes_without_split(context)}
    return {name: number for name, number in told.items() if number}


def _finish_unlabelled(context: Context) -> None:
    from fvlm_data.shards.restricted import write_restricted
    from fvlm_data.shards.sets import UNLABELLED
    from fvlm_data.shards.tidy import tidy_shards

    tidy_shards(context, of=UNLABELLED)
    write_restricted(context.store)


def _finish(context: Context) -> None:
    from fvlm_data.shards.apart import write_apart
    from fvlm_data.shards.restricted import write_restricted
    from fvlm_data.shards.tidy import tidy_shards

    tidy_shards(context)
    write_apart(context)
    write_restricted(context.store)


SHARD = StageEntry(
    name="shard",
    build=_shard,
    commands=("shard",),
    check=_check,
    discover=_discover,
    finish=_finish,
)

UNLABELLED_SHARD = StageEntry(
    name="unlabelled",
    build=_unlabelled,
    commands=("shard",),
    discover=_discover_unlabelled,
    finish=_finish_unlabelled,
)
