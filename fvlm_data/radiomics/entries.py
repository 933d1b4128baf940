"""The stage of this folder, as the registry lists it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.store.declared import StageEntry

if TYPE_CHECKING:
    from fvlm_data.store.declared import Stage


def _section(config: Any) -> Any:
    from fvlm_data.radiomics.config import RadiomicsConfig

    return config.radiomics or RadiomicsConfig()


def _build(config: Any) -> Stage:
    from fvlm_data.radiomics.stage import radiomics_stage

    return radiomics_stage(_section(config), config.vocabulary.load())


def _check(config: Any) -> None:
    """Refuse anatomies that the vocabulary has no masks of.

    Raises:
        ConfigError: one is not known.
    """
    from fvlm_data.segment.merge import ranked_anatomies

    ranked_anatomies(_section(config).anatomies, config.vocabulary.load())


RADIOMICS = StageEntry(name="radiomics", build=_build, commands=(), check=_check)
