"""Reports as `.rep` files: a line `study: UID`, then the text; `====` between two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.reports.sources.kind import Kind
from fvlm_data.reports.sources.rows import RowDraft, decoded, faulty

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fvlm_data.reports.sources.options import ReadOptions
    from fvlm_data.reports.sources.rows import ReportRow


def read(path: Path, options: ReadOptions) -> Iterator[ReportRow]:
    for number, part in enumerate(decoded(path, options.encoding).split("\n====\n")):
        head, _, text = part.partition("\n")
        if not head.startswith("study:"):
            detail = "it begins with no line `study: UID`, expected one; mend it"
            yield faulty(number, "no_study_line", detail)
            continue
        draft = RowDraft(columns={"report": text})
        draft.link("study_uid", head.removeprefix("study:"))
        yield draft.row(number)


REP = Kind((".rep",), read)
