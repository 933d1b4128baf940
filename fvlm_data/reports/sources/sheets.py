"""Sheets of .xlsx files as tables of texts."""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fvlm_data.extras import needs_extra
from fvlm_data.reports.sources.rows import ReportSourceError, named
from fvlm_data.reports.sources.spreadsheet import MOST_DIGITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


def sheets(path: Path) -> list[tuple[int, list[str]]]:
    """Number and column names of each sheet that is not empty, hidden ones too.

    Raises:
        ReportSourceError: the file is no spreadsheet, or has no sheet with a row.
        MissingExtraError: openpyxl is not installed.
    """
    made = []
    with _workbook(path, values=True) as book:
        for at, sheet in enumerate(book.worksheets):
            head = next((row for row in _rows(sheet) if _filled(row)), None)
            if head is not None:
                made.append((at, named([str(_shown(one) or "") for one in head])))
    if not made:
        raise ReportSourceError(
            f"report file {path}: all its sheets are empty; expected a row of column names"
        )
    return made


def sheet_rows(
    path: Path, at: int, names: Sequence[str]
) -> Iterator[tuple[int, Mapping[str, Any] | None]]:
    """Number and cells of the rows of a sheet below its names; none for one with cells beside them.

    What a formula gave is read where the file tells it, else the formula: ="00123" is a text that
    was to stay one.
    """
    with _workbook(path, values=True) as values, _workbook(path, values=False) as formulas:
        rows = zip(_rows(values.worksheets[at]), _rows(formulas.worksheets[at]), strict=False)
        filled = (
            (number, shown, typed)
            for number, (shown, typed) in enumerate(rows, start=1)
            if _filled(shown) or _filled(typed)
        )
        next(filled, None)
        for number, shown, typed in filled:
            cells = [_shown(one) for one in shown]
            for column, one in enumerate(typed):
                if column < len(cells) and cells[column] is None:
                    cells[column] = one.value
            beside = any(cell not in (None, "") for cell in cells[len(names) :])
            cells += [None] * (len(names) - len(cells))
            yield number, None if beside else dict(zip(names, cells, strict=False))


@contextmanager
def _workbook(path: Path, *, values: bool) -> Iterator[Any]:
    with needs_extra("xlsx", f"report file {path}"):
        from openpyxl import load_workbook
    from zipfile import BadZipFile

    try:
        book = load_workbook(path, read_only=True, data_only=values)
    except (BadZipFile, KeyError, ValueError, OSError, TypeError) as error:
        raise ReportSourceError(
            f"report file {path}: not readable as .xlsx ({type(error).__name__}); expected a "
            "whole workbook without password; save it again"
        ) from error
    try:
        yield book
    finally:
        book.close()


def _rows(sheet: Any) -> Iterator[Sequence[Any]]:
    sheet.reset_dimensions()  # what the file says of the sheet's size is often wrong
    yield from sheet.iter_rows()


def _filled(row: Sequence[Any]) -> bool:
    return any(cell.value not in (None, "") for cell in row)


def _shown(cell: Any) -> Any:
    """A cell's value; a number whose format shows leading zeros has them.

    One of more digits than a spreadsheet keeps is shown as one that has lost some.
    """
    value = cell.value
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float) and float(value).is_integer():
        if abs(value) >= 10**MOST_DIGITS:
            return f"{value:E}"
        zeros = re.fullmatch(r"0{2,}", str(cell.number_format or ""))
        return str(int(value)).zfill(len(zeros[0])) if zeros else value
    return value.isoformat(" ") if isinstance(value, datetime) else value
