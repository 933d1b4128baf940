"""Rows of CSV, read strictly: a quote that nothing closes must not swallow the rows behind it."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from fvlm_data.reports.sources.rows import named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAX_FIELD_CHARS = 32 * 1024 * 1024
_SHORT_KEY = 4
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class Record:
    """Cells of one row of the file, and the lines (from 1) that it stands on.

    Without `cells` its quotes are not closed where they should be, and `rows` lines of it look
    as if a row began there.
    """

    cells: Sequence[str] | None
    first_line: int
    last_line: int
    rows: int = 1


class CsvRecords:
    """The records of an open CSV file; the delimiter is the one that its first line has most of.

    A line `sep=;` at the beginning, as spreadsheets write it, names the delimiter.
    """

    def __init__(self, handle: TextIO) -> None:
        """`handle` stands at the file's beginning; raises csv.Error where no name row is."""
        csv.field_size_limit(_MAX_FIELD_CHARS)
        head = handle.readline()
        stated = re.match(r"\ufeff?\"?sep=(.)\"?\s*$", head, re.IGNORECASE)
        if stated is None:
            handle.seek(0)
        self._delimiter = stated[1] if stated else max(_DELIMITERS, key=head.count)
        self._lines: list[str] = []
        self._line = 0 if stated is None else 1
        self._reader: Any = csv.reader(self._told(handle), delimiter=self._delimiter, strict=True)
        self.names = named(next(self._reader, []))

    def _told(self, handle: TextIO) -> Iterator[str]:
        for line in handle:
            self._lines.append(line)
            self._line += 1
            yield line

    def records(self, keys: Sequence[int]) -> Iterator[Record]:
        """All rows but blank lines; `keys` are the columns by which rows are told apart.

        A quote not closed is seen by what cannot follow a closing one, by the file's end, or by a
        line within a cell that looks like the beginning of a row: its keys have the form that
        those of the rows before have.
        """
        forms: set[tuple[int, str]] = set()
        while True:
            self._lines.clear()
            first = self._line + 1
            try:
                cells = next(self._reader, None)
            except csv.Error:
                forms |= _forms(self._cells(self._lines[0]), keys)
                starts = self._starts(keys, forms)
                yield Record(None, first, self._line, 1 + starts)
                continue
            if cells is None:
                return
            if not cells:
                continue
            forms |= _forms(cells, keys)
            starts = self._starts(keys, forms) if len(self._lines) > 1 else 0
            yield Record(None if starts else cells, first, self._line, 1 + starts)

    def _starts(self, keys: Sequence[int], forms: set[tuple[int, str]]) -> int:
        """Lines behind the first that look like the beginning of a row."""
        return sum(self._begins_row(line, keys, forms) for line in self._lines[1:])

    def _begins_row(self, line: str, keys: Sequence[int], forms: set[tuple[int, str]]) -> bool:
        cells = self._cells(line)
        whole = len(cells) == len(self.names)
        for at in keys:
            if at >= len(cells) or (at, _form(cells[at])) not in forms:
                continue
            if len(cells[at].strip()) >= _SHORT_KEY:
                # the row may go on over more lines in a quoted cell
                return whole or (line.count('"') % 2 == 1 and len(cells) > 1)
            # "2, small nodule" and "1,5 cm" begin lines of reports too
            behind = "".join(cells[at + 1 : at + 2])
            if whole and not re.match(r"[\s\d]", behind):
                return True
        return False

    def _cells(self, line: str) -> list[str]:
        return next(csv.reader([line], delimiter=self._delimiter), [])


def _forms(cells: Sequence[str], keys: Sequence[int]) -> set[tuple[int, str]]:
    return {(at, _form(cells[at])) for at in keys if at < len(cells) and cells[at].strip()}


def _form(key: str) -> str:
    """A key with 9 for its digits and A for its letters; with marks in it, for runs of them."""
    form = re.sub(r"[^\W\d_]", "A", re.sub(r"\d", "9", key.strip()))
    return re.sub(r"(9|A)\1+", r"\1", form) if re.search(r"[^9A]", form) else form
