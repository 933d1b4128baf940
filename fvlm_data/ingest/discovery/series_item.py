"""Which series a file belongs to, as far as its header or place tells."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from fvlm_data.identity.ids import keyed_id
from fvlm_data.ingest.volume.attributes import normal_text

if TYPE_CHECKING:
    from fvlm_data.ingest.config import SourceConfig
    from fvlm_data.ingest.discovery.file_kind import Probed
    from fvlm_data.ingest.discovery.found_file import FoundFile


def series_item(key: bytes, source: SourceConfig, found: FoundFile, probed: Probed) -> str:
    """The series that a file belongs to, as a keyed id.

    A DICOM slice is identified by series UID and patient id, which is one in whatever case and
    whether or not its issuer is stated; without a series UID, by its folder and whatever else all
    slices of a series share. A file that holds a volume is a series of its own,
    identified by its place.
    """
    names = probed.names
    if names is None:
        return keyed_id(key, "se", "nifti", source.label, found.relative)
    # upper case and an empty issuer: the ids of most series are those of earlier versions
    patient = (normal_text(names.patient).upper(), "")
    if names.series_uid:
        return keyed_id(key, "se", names.series_uid, *patient)
    folder = str(PurePosixPath(found.relative).parent)
    return keyed_id(key, "se", "folder", source.label, folder, *probed.series_hint, *patient)
