"""Everything that comes in several kinds, listed once: ours and what other packages add.

What each kind is and does is described in its own folder.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from fvlm_data.export import EXPORTS
from fvlm_data.extensions import Extensions
from fvlm_data.ingest.sources import SOURCES
from fvlm_data.reports.sources.kind import REPORT_SOURCES
from fvlm_data.segment.backends import BACKENDS

if TYPE_CHECKING:
    from fvlm_data.store.declared import StageEntry

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
        "unlabelled": "fvlm_data.shards.entries:UNLABELLED_SHARD",
    },
)
"""In the order of the data."""

OPTIONAL = ("radiomics", "clinical", "unlabelled")
"""Those of ours that run only where the configuration has their section, as foreign ones do."""


LISTS = {
    "sources": SOURCES,
    "report_sources": REPORT_SOURCES,
    "segmentation_backends": BACKENDS,
    "exports": EXPORTS,
    "stages": STAGES,
}
"""All lists, by the last part of the entry-point group that adds to each."""


FURTHER = {"image_encoders": "fvlm_train.config.encoders:IMAGE_ENCODERS"}
"""Lists of packages above this one, by place; nothing here needs them."""


def all_lists() -> dict[str, Extensions]:
    """Every list, those of packages above this one too."""
    further = {}
    for name, place in FURTHER.items():
        module, _, attribute = place.partition(":")
        further[name] = getattr(import_module(module), attribute)
    return {**LISTS, **further}


def stage_entry(name: str) -> StageEntry:
    """How the stage called `name` is made.

    Raises:
        ConfigError: there is no such stage, or its package cannot be loaded.
    """
    entry: StageEntry = STAGES.load(name)
    return entry
