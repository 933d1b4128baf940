"""The stages of this folder, as the registry lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.errors import missing_input
from fvlm_data.store.declared import StageEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fvlm_data.store.declared import Context, Foreseen, Stage


def _ingest(config: Any) -> Stage:
    from fvlm_data.ingest.stage import ingest_stage

    return ingest_stage(config.ingest, config.sources, config.execution.threads())


def _select(config: Any) -> Stage:
    from fvlm_data.ingest.select_stage import select_stage

    return select_stage(config.select)


def _check(config: Any) -> None:
    from fvlm_data.ingest.sources import SOURCES

    for number, source in enumerate(config.sources):
        if not source.url and not source.path.exists():
            raise missing_input(f"sources[{number}].path", source.path)
        if source.mapping is not None and not source.mapping.exists():
            raise missing_input(f"sources[{number}].mapping", source.mapping)
    for source in config.sources:
        # `find` raises before its first file if the source cannot be read
        next(SOURCES.load(source.kind).find(source))


def _discover(context: Context, config: Any, progress: Callable[[int], None]) -> Mapping[str, int]:
    from fvlm_data.ingest.discovery.discover import LIMITS, discover
    from fvlm_data.ingest.discovery.file_kinds import SECTION

    names = config.identity.source_names
    limits = config.execution.limits_of(SECTION, LIMITS.seconds)
    return discover(
        context,
        config.sources,
        names,
        progress,
        limits,
        rehash=context.rehash,
        settle_minutes=config.ingest.settle_minutes,
        full_listing_days=config.ingest.full_listing_days,
    )


def _foresee(context: Context | None, config: Any) -> list[Foreseen]:
    from fvlm_data.ingest.discovery.discover import LIMITS, foresee
    from fvlm_data.ingest.discovery.file_kinds import SECTION

    limits = config.execution.limits_of(SECTION, LIMITS.seconds)
    return foresee(context, config.sources, config.identity.source_names, limits)


def _finish(context: Context) -> None:
    from fvlm_data.ingest.discovery.forgotten import unname_series

    unname_series(context)


INGEST = StageEntry(
    name="ingest",
    build=_ingest,
    commands=("ingest",),
    check=_check,
    discover=_discover,
    foresee=_foresee,
    finish=_finish,
)
SELECT = StageEntry(name="select", build=_select, commands=("ingest",))
