"""DICOM and volume files side by side: each file is what its name and content say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.ingest.discovery import file_kind
from fvlm_data.ingest.sources import dicom, nifti
from fvlm_data.ingest.sources.kind import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.discovery.file_kind import Probed
    from fvlm_data.ingest.discovery.found_file import FoundFile
    from fvlm_data.ingest.source_files import SourceFile
    from fvlm_data.ingest.volume.description import Description
    from fvlm_data.ingest.volume.result import SeriesResult


def probe(found: FoundFile) -> Probed:
    """Volume files by their ending, with what lies beside them; all else as DICOM, by content."""
    if nifti.is_volume(found.relative) or nifti.is_companion(found.place):
        return nifti.probe(found)
    return file_kind.probe(found, "dicom")


def read(
    files: Sequence[SourceFile],
    series_id: str,
    key: bytes,
    config: IngestConfig,
    description: Description,
    threads: int,
) -> SeriesResult:
    """Read one series of slices, or one volume file."""
    one = nifti.read if nifti.is_volume(files[0].relative) else dicom.read
    return one(files, series_id, key, config, description, threads)


IMAGES = Kind(
    find=nifti.find,
    changed=nifti.find,
    named=nifti.named,
    probe=probe,
    read=read,
    mapping=nifti.NIFTI.mapping,
    is_mapped=nifti.is_volume,
)
