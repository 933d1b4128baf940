"""The check of a kind of report files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.reports.sources import REPORT_SOURCES, Kind, read_reports
from fvlm_data.testing.statements import check_reject, require
from schemas.links import LINK_KINDS

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_data.reports.sources import ReportRow


def check_report_source(kind: str, path: Path) -> None:
    """Read a file, or a folder, of reports of a kind, and look at its rows.

    Rows are the same each time and numbered from 0 in each file; each has a text or a fault,
    which holds neither text nor identity; links are of known kinds; at least one report is
    whole: it has a text and a link.

    Raises:
        AssertionError: one of these does not hold.
    """
    loaded: Kind = REPORT_SOURCES.load(kind)
    for suffix in loaded.suffixes:
        require(
            suffix.startswith(".") and suffix == suffix.lower(),
            f"{kind}: suffix {suffix!r} found, expected one as .csv",
        )
    rows = list(read_reports(path, kind=kind))
    require(rows == list(read_reports(path, kind=kind)), f"{kind}: rows differ from time to time")
    numbers: dict[str, list[int]] = {}
    for row in rows:
        numbers.setdefault(row.file, []).append(row.row)
        _check_row(kind, row)
    for found in numbers.values():
        require(found == list(range(len(found))), f"{kind}: rows are numbered {found}, from 0 on")
    whole = [row for row in rows if row.fault is None and row.links and any(row.columns.values())]
    require(bool(whole), f"{kind}: no report with a text and a link, expected one at least")


def _check_row(kind: str, row: ReportRow) -> None:
    if row.fault is not None:
        check_reject(*row.fault, (*row.identities, *filter(None, row.columns.values())))
        return
    require(
        row.version.withdrawn or bool(row.columns),
        f"{kind}: row {row.row} has neither text nor fault",
    )
    strange = {link[0] for link in row.links} - set(LINK_KINDS)
    require(not strange, f"{kind}: links of kind {strange} found, expected {LINK_KINDS}")
