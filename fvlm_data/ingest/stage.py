"""The stage `ingest`: from the inputs of discovery to volumes, links and NIfTI files."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal

from fvlm_data.hashing import content_key
from fvlm_data.ingest.commit import FILES, SourceFile, known_sources, series_files
from fvlm_data.ingest.config import IngestConfig, SourceConfig, by_label
from fvlm_data.ingest.dicom_series import read_series
from fvlm_data.ingest.names import Names, patient_id, study_id
from fvlm_data.ingest.nifti_source import Mapped, load_mapping, mapped, read_nifti
from fvlm_data.ingest.volume import outcome
from fvlm_data.stage import Context, Item, Outcome, Reject, Stage, guarded, reject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

STAGE_VERSION = 1
NAME = "ingest"
BATCH_SERIES = 8


def ingest_stage(
    config: IngestConfig,
    sources: Sequence[SourceConfig],
    naming: Literal["token", "plain"] = "token",  # noqa: ARG001
) -> Stage:
    """The stage `ingest` over everything that `discover` found in this store so far.

    `sources` are those of the configuration; sources of earlier runs are found by the vault.

    Raises:
        ConfigError: two sources have one name.
    """
    named = by_label(tuple(sources))

    def plan(context: Context) -> list[Item]:
        return _plan(context, config, named)

    def run(context: Context, items: Sequence[Item]) -> Iterator[Outcome]:
        return _run(context, items, config, named)

    return Stage(
        name=NAME,
        tables=("volumes", "links"),
        plan=plan,
        run=run,
        batch_size=BATCH_SERIES,
        derived=False,
    )
