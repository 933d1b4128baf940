"""A text file a report; its name says whose it is, or a mapping file does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fvlm_data.reports.sources.attachments import UnreadError
from fvlm_data.reports.sources.kind import Kind
from fvlm_data.reports.sources.markup import plain_text
from fvlm_data.reports.sources.rows import THE_FILE, RowDraft, decoded, mended

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fvlm_data.reports.sources.options import ReadOptions
    from fvlm_data.reports.sources.rows import ReportRow

_UID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*)){3,}")


def read_text(path: Path, options: ReadOptions) -> Iterator[ReportRow]:
    """The one report of a text file; RTF and HTML are read as the text that they show.

    Its name without suffix is a study UID where it has the form of one, else offered as an
    accession number and as a volume's name.
    """
    draft = RowDraft(name=path.stem)
    try:
        draft.columns = {"report": plain_text(mended(decoded(path, options.encoding)))}
    except UnreadError as error:
        draft.fault = ("fault", error.reason, f"it {error.detail}")
    for kind in ("study_uid",) if _UID.fullmatch(path.stem) else ("accession", "volume_name"):
        draft.link(kind, path.stem)
    yield draft.row(0, THE_FILE)


TEXT = Kind((".txt", ".text", ".rtf", ".htm", ".html"), read_text)
