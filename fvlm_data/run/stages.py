"""The stages that run under a configuration, in order, made from their own sections of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError
from fvlm_data.extensions import loaded
from fvlm_data.run.registry import OPTIONAL, STAGES, stage_entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Stage, StageEntry


def stage_names(config: Config | None = None) -> list[str]:
    """All stages in the order in which they run; some only if `config` has their section.

    Those are OPTIONAL ones and foreign ones: a foreign stage does nothing to a store merely because
    its package is installed, and a faulty one stops only those who use it. It runs after the stage
    that it names.

    Raises:
        ConfigError: another package's stage cannot be loaded, or runs after one that is not known.
    """
    names = [
        name
        for name in STAGES.own
        if name not in OPTIONAL or getattr(config, name, None) is not None
    ]
    for offer in STAGES.offers():
        if not offer.foreign or getattr(config, offer.name, None) is None:
            continue
        entry = stage_entry(offer.name)
        place = len(names) if entry.after is None else names.index(_known(entry, names)) + 1
        names.insert(place, offer.name)
    return names


def stages_of(command: str, config: Config) -> list[str]:
    """The stages that a command of `fvlm-data` runs, in order."""
    return [name for name in stage_names(config) if command in stage_entry(name).commands]


def build_stage(name: str, config: Config) -> Stage:
    """The stage called `name`, made from its own section of the configuration.

    A stage's module is imported here, so that a worker loads only what its stage needs. The
    version of another package is part of its stage's settings, so a new one remakes its items.

    Raises:
        ConfigError: there is no such stage, or its package cannot be loaded.
    """
    offer = STAGES.offer(name)
    entry: StageEntry = loaded(offer, STAGES.what)
    with STAGES.named_in_errors(name):
        stage = entry.build(config)
    if not offer.foreign:
        return stage
    made_by = f"{offer.package} {offer.version}"
    # our own stages have a version of their own, which a release need not change
    return replace(stage, settings={**stage.settings, "package": made_by})


def build_stages(config: Config, names: Sequence[str] | None = None) -> list[Stage]:
    """The stages called `names` (none given: all that run under it), in that order."""
    return [build_stage(name, config) for name in names or stage_names(config)]


def _known(entry: StageEntry, names: Sequence[str]) -> str:
    if entry.after not in names:
        raise ConfigError(
            f"stage {entry.name!r} is to run after {entry.after!r}, which is not known; expected "
            f"one of {', '.join(names)}; mend or uninstall its package"
        )
    return str(entry.after)
