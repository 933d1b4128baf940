"""Everything that comes in several kinds, listed once: ours and what other packages add.

What each kind is and does is described in its own folder.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError
from fvlm_data.export import EXPORTS
from fvlm_data.extensions import Extensions, loaded
from fvlm_data.ingest.sources import SOURCES
from fvlm_data.reports.sources.kind import REPORT_SOURCES
from fvlm_data.segment.backends import BACKENDS
from fvlm_data.store.declared import StageEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Stage

STAGES = Extensions(
    "fvlm_data.stages",
    "stage",
    {
        "ingest": "fvlm_data.ingest.entries:INGEST",
        "select": "fvlm_data.ingest.entries:SELECT",
        "segment": "fvlm_data.segment.entries:SEGMENT",
        "radiomics": "fvlm_data.radiomics.entries:RADIOMICS",
        "clinical": "fvlm_data.clinical.entries:CLINICAL",
        "versions": "fvlm_data.reports.entries:VERSIONS",
        "match": "fvlm_data.pairing.entries:MATCH",
        "reports": "fvlm_data.reports.entries:REPORTS",
        "split": "fvlm_data.pairing.entries:SPLIT",
        "pair": "fvlm_data.pairing.entries:PAIR",
        "shard": "fvlm_data.shards.entries:SHARD",
    },
)
"""In the order of the data."""

OPTIONAL = ("radiomics", "clinical")
"""Those of ours that run only where the configuration has their section, as foreign ones do."""


LISTS = {
    "sources": SOURCES,
    "report_sources": REPORT_SOURCES,
    "segmentation_backends": BACKENDS,
    "exports": EXPORTS,
    "stages": STAGES,
}
"""All lists, by the last part of the entry-point group that adds to each."""


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


def stage_entry(name: str) -> StageEntry:
    """How the stage called `name` is made.

    Raises:
        ConfigError: there is no such stage, or its package cannot be loaded.
    """
    entry: StageEntry = STAGES.load(name)
    return entry


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
