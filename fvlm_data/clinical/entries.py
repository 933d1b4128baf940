"""The stage of this folder, as the registry lists it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.store.declared import StageEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fvlm_data.store.declared import Context, Foreseen, Stage


def _section(config: Any) -> Any:
    from fvlm_data.clinical.config import ClinicalConfig

    return config.clinical or ClinicalConfig()


def _build(config: Any) -> Stage:
    from fvlm_data.clinical.stage import clinical_stage

    return clinical_stage(_section(config), config.identity.source_names)


def _announce(config: Any) -> list[str]:
    """What the columns of the tables are used for, source by source; refuses what lacks one."""
    from fvlm_data.clinical.sources import told_columns

    lines = []
    for number, source in enumerate(_section(config).sources):
        for sentence, files in told_columns(source).items():
            counted = f" ({files} files)" if files > 1 else ""
            lines.append(f"clinical.sources[{number}]{counted}, {sentence}")
    return lines


def _check(config: Any) -> None:
    _announce(config)


def _discover(context: Context, config: Any, progress: Callable[[int], None]) -> Mapping[str, int]:
    from fvlm_data.clinical.discovery import discover_clinical

    return discover_clinical(context, _section(config), config.identity.source_names)


def _foresee(context: Context | None, config: Any) -> list[Foreseen]:
    from fvlm_data.clinical.discovery import foresee_clinical

    return foresee_clinical(context, _section(config), config.identity.source_names)


CLINICAL = StageEntry(
    name="clinical",
    build=_build,
    commands=(),
    check=_check,
    announce=_announce,
    discover=_discover,
    foresee=_foresee,
)
