"""DICOM files in folders, archives and on discs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fvlm_data.ingest.dicom.series import read_series
from fvlm_data.ingest.dicom.told_names import told_names
from fvlm_data.ingest.discovery.file_kind import probe
from fvlm_data.ingest.discovery.walk import named, walk
from fvlm_data.ingest.sources.kind import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.source_files import SourceFile
    from fvlm_data.ingest.volume.description import Description
    from fvlm_data.ingest.volume.result import SeriesResult


def read(
    files: Sequence[SourceFile],
    series_id: str,
    key: bytes,
    config: IngestConfig,
    description: Description,
    threads: int,
) -> SeriesResult:
    """Read a series of slices, which its headers describe completely."""
    return read_series(files, series_id, key, config, threads)


DICOM = Kind(
    find=walk,
    probe=partial(probe, kind="dicom"),
    read=read,
    told_names=told_names,
    changed=walk,
    named=named,
)
