"""The column of a table of reports that names studies, where only its values tell it."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from fvlm_data.ingest.discovery.file_kind import NIFTI_ENDINGS
from fvlm_data.ingest.volume.description import stem
from fvlm_data.reports.sources import ReportSourceError, read_reports
from fvlm_data.reports.sources.layout import TEXT_NAMES, found

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fvlm_data.run.survey.listing import Listing

UID = re.compile(r"[0-2](\.\d+){3,}")
ROWS_READ = 50


def linking_column(path: Path, names: Sequence[str], listing: Listing) -> dict[str, str]:
    """Our name of a link, and its column: all values are UIDs, or names of images that were seen.

    Empty where no column is so, or several are.
    """
    texts = found(names, {}, TEXT_NAMES).values()
    seen = _image_names(listing)
    fitting = []
    for column in (name for name in names if name not in texts):
        values = _values(path, column)
        if values and all(UID.fullmatch(one) for one in values):
            fitting.append({"study_uid": column})
        elif values and seen.issuperset(stem(one) for one in values):
            fitting.append({"volume_name": column})
    return fitting[0] if len(fitting) == 1 else {}


def _values(path: Path, column: str) -> list[str]:
    try:
        rows = list(islice(read_reports(path, {"volume_name": column}), ROWS_READ))
    except ReportSourceError:
        return []
    return [value for row in rows for kind, value, _ in row.links if kind == "volume_name"]


def _image_names(listing: Listing) -> set[str]:
    """Stems of volume files, and names of folders, by which a series without UIDs is known."""
    files = {stem(path.name) for path in listing.with_ending(NIFTI_ENDINGS)}
    return files | {folder.name for folder in listing.files}
