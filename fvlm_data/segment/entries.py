"""The stage of this folder, as the registry lists it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.store.declared import StageEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fvlm_data.store.declared import Context, Foreseen, Stage


def _segment(config: Any) -> Stage:
    from fvlm_data.segment.stage import segment_stage

    return segment_stage(config.segment, config.vocabulary.load())


def _check(config: Any) -> None:
    from fvlm_data.segment.stage import check_masks

    check_masks(config.segment, config.vocabulary.load())


def _discover(context: Context, config: Any, progress: Callable[[int], None]) -> Mapping[str, int]:
    from fvlm_data.segment.discovery import discover_masks

    vocabulary = config.vocabulary.load()
    return discover_masks(context, config.segment, vocabulary, config.identity.source_names)


def _foresee(context: Context | None, config: Any) -> list[Foreseen]:
    from fvlm_data.segment.discovery import foresee_masks

    return foresee_masks(context, config.segment, config.identity.source_names)


SEGMENT = StageEntry(
    name="segment",
    build=_segment,
    commands=("segment",),
    check=_check,
    discover=_discover,
    foresee=_foresee,
    # a whole body on a CPU, with a model of many parts, takes more than an hour
    seconds=7200.0,
)
