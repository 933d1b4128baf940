"""The stages of this folder, as the registry lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.errors import missing_input
from fvlm_data.store.declared import StageEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fvlm_data.store.declared import Context, Stage


def _match(config: Any) -> Stage:
    from fvlm_data.pairing.match_stage import match_stage

    return match_stage()


def _split(config: Any) -> Stage:
    from fvlm_data.pairing.split_stage import split_stage

    return split_stage(config.pair)


def _pair(config: Any) -> Stage:
    from fvlm_data.pairing.stage import pair_stage

    vocabularies = config.vocabulary.load_all()
    return pair_stage(config.pair, vocabularies.own, vocabularies.further)


def _check_words(config: Any) -> None:
    config.vocabulary.load_all()


def _check_split(config: Any) -> None:
    if config.pair.split_file is None:
        return
    if not config.pair.split_file.exists():
        raise missing_input("pair.split_file", config.pair.split_file)
    from fvlm_data.pairing.splits import read_split_file

    read_split_file(config.pair.split_file, b"")


def _discover_split(
    context: Context, config: Any, progress: Callable[[int], None]
) -> Mapping[str, int]:
    from fvlm_data.pairing.split_discovery import discover_split

    return discover_split(context, config.pair)


def _discover_review(
    context: Context, config: Any, progress: Callable[[int], None]
) -> Mapping[str, int]:
    """Bring up to date which decisions hold: masks and texts may be others by now."""
    from fvlm_data.review.standing import derive_effects

    return derive_effects(context, config.vocabulary.load())


MATCH = StageEntry(name="match", build=_match, commands=("reports", "pair"))
SPLIT = StageEntry(
    name="split", build=_split, commands=("pair",), check=_check_split, discover=_discover_split
)
PAIR = StageEntry(
    name="pair",
    build=_pair,
    commands=("pair",),
    check=_check_words,
    discover=_discover_review,
)
