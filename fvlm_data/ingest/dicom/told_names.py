"""What the headers of a series tell of its patients, without decoding a pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.ingest.dicom.people import identities_of, named_alike
from fvlm_data.ingest.dicom.slice_file import Limit, Parsed, Slice, parse_file
from fvlm_data.ingest.dicom.tags import quiet_pydicom
from fvlm_data.ingest.volume.geometry import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.source_files import SourceFile

_UNSEEN = Fault("not_decoded", "its pixels were not looked at")


def told_names(
    files: Sequence[SourceFile], series_id: str, key: bytes, config: IngestConfig
) -> dict[str, tuple[str, ...]]:
    """Names, ids and dates by patient id, and by the hash of each name of the series.

    They are those that `read_series` tells, or more: it leaves out what files tell whose pixels are
    damaged, and the hashes where the series has a volume.
    """
    limit = Limit(config.max_series_mb << 20, max(len(files), config.min_slices))
    slices = []
    with quiet_pydicom():
        for file in files:
            parsed = parse_file(file, series_id, key, limit)
            if isinstance(parsed, Parsed):
                slices += [
                    Slice(
                        parsed.token, one, parsed.patient, parsed.facts, parsed.identities, _UNSEEN
                    )
                    for one in parsed.headers
                ]
    return identities_of(named_alike(slices), series_id, key, linked=True)
