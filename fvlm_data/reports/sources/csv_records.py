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
_MOST_FORMS = 64
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class Record:
    """Cells of one row of the file, and where it stands.

    `row` is the number that a spreadsheet shows: the names are row 1, blank lines count, a line
    `sep=` does not. Lines, from 1, are those of an editor.
    Without `cells` its quotes are not closed where they should be, and `rows` lines of it look
    as if a row began there.
    """

    cells: Sequence[str] | None
    row: int
    first_line: int
    last_line: int
    rows: int = 1

    @property
    def place(self) -> str:
        """Row and lines in words; the lines where they are not told by the row."""
        first, last = self.first_line, self.last_line
        if first == last:
            return f"row {self.row}" + (f" (line {first})" if first != self.row else "")
        return f"row {self.row} (lines {first} to {last})"


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
        starts = _RowStarts(self._delimiter, keys, len(self.names))
        row = 1
        while True:
            self._lines.clear()
            first = self._line + 1
            row += 1
            try:
                cells = next(self._reader, None)
            except csv.Error:
                starts.learn(_cells(self._lines[0], self._delimiter))
                yield Record(None, row, first, self._line, 1 + starts.among(self._lines[1:]))
                continue
            if cells is None:
                return
            if not cells:
                continue
            starts.learn(cells)
            swallowed = starts.among(self._lines[1:]) if len(self._lines) > 1 else 0
            found = None if swallowed else cells
            yield Record(found, row, first, self._line, 1 + swallowed)


class _RowStarts:
    """Which lines look like the beginning of a row, by the forms of the keys that came before."""

    def __init__(self, delimiter: str, keys: Sequence[int], columns: int) -> None:
        self._delimiter = delimiter
        self._keys = keys
        self._columns = columns
        self._forms: dict[int, set[str]] = {at: set() for at in keys}
        self._pattern: re.Pattern[str] | None = None

    def learn(self, cells: Sequence[str]) -> None:
        """Take in the keys of a row."""
        for at in self._keys:
            if at < len(cells) and cells[at].strip() and len(self._forms[at]) < _MOST_FORMS:
                form = _form(cells[at].strip())
                if form not in self._forms[at]:
                    self._forms[at].add(form)
                    self._pattern = None

    def among(self, lines: Sequence[str]) -> int:
        """How many of the lines look like the beginning of a row."""
        self._pattern = self._pattern or re.compile(self._any_line(), re.MULTILINE)
        if self._pattern.search("".join(lines)) is None:  # the lot of nearly all texts
            return 0
        return sum(self._begins(line) for line in lines)

    def _any_line(self) -> str:
        mark = re.escape(self._delimiter)
        before, around = rf"(?:[^{mark}\n]*{mark})", r"[ \t\"]*"
        found = [
            f"{before}{{{at}}}{around}(?:{'|'.join(sorted(forms))}){around}(?:{mark}|$)"
            for at, forms in self._forms.items()
            if forms
        ]
        return f"^(?:{'|'.join(found)})" if found else "(?!)"

    def _begins(self, line: str) -> bool:
        cells = _cells(line, self._delimiter)
        whole = len(cells) == self._columns
        for at, forms in self._forms.items():
            key = cells[at].strip() if at < len(cells) else ""
            if not any(re.fullmatch(form, key) for form in forms):
                continue
            if len(key) >= _SHORT_KEY:
                # the row may go on over more lines in a quoted cell
                return whole or (line.count('"') % 2 == 1 and len(cells) > 1)
            # "2, small nodule" and "1,5 cm" begin lines of reports too
            behind = "".join(cells[at + 1 : at + 2])
            if whole and not re.match(r"[\s\d]", behind):
                return True
        return False


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _form(key: str) -> str:
    """Pattern of the keys that look like this one: digits and letters in the same places.

    With marks between them (A-17, 1.2.840) their numbers are free.
    """
    free = re.search(r"[\W_]", key) is not None
    return "".join(
        re.escape(run)
        if not run.isalnum()
        else (r"\d" if run.isdecimal() else r"[^\W\d_]") + ("+" if free else f"{{{len(run)}}}")
        for run in re.findall(r"\d+|[^\W\d_]+|[\W_]", key)
    )
