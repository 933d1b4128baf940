"""Tables of reports: CSV, Parquet, JSONL and spreadsheets, a row at a time."""

from __future__ import annotations

import csv
import json
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from fvlm_data.memory import lacks_memory
from fvlm_data.reports.sources.csv_records import CsvRecords
from fvlm_data.reports.sources.kind import Kind
from fvlm_data.reports.sources.layout import ToldColumns, layout
from fvlm_data.reports.sources.options import ReadOptions
from fvlm_data.reports.sources.rows import (
    THE_FILE,
    ReportRow,
    ReportSourceError,
    faulty,
    file_encoding,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from fvlm_data.reports.sources.layout import Layout

_LOOKED_AT = 200
"""Rows that tell whether a column that is not used holds text."""


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """What stands in the place of a row that cannot be read."""

    detail: str
    kind: str = "fault"
    reason: str = "broken_row"


_OPEN_QUOTE = BrokenRow(
    "a quote is not closed where it should be, or not doubled within the cell; expected "
    '"" for each quote in a quoted cell; mend the file',
    reason="open_quote",
)

Row = tuple[str, "Mapping[str, Any] | BrokenRow"]
"""Where a row stands (`rows.placed`), and its cells."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its column names, and its rows, which are told apart by the columns `keys`."""

    names: Sequence[str]
    rows: Callable[[Sequence[str]], Iterator[Row]]


def read_tables(
    opened: Callable[[Path, ReadOptions], Sequence[Table]], path: Path, options: ReadOptions
) -> Iterator[ReportRow]:
    """Reports of all tables of a file; one table without reports is told among others."""
    number = 0
    for table, columns in _laid_out(opened(path, options), path, options):
        if isinstance(columns, BrokenRow):
            kind, detail = columns.kind, columns.detail
            yield faulty(number, columns.reason, detail, kind=kind, place=THE_FILE)
            number += 1
            continue
        for place, cells in table.rows(list(columns.links.values())):
            if isinstance(cells, BrokenRow):
                yield faulty(number, cells.reason, cells.detail, kind=cells.kind, place=place)
            else:
                yield columns.row(number, cells, place)
            number += 1


def told_columns(
    opened: Callable[[Path, ReadOptions], Sequence[Table]], path: Path, options: ReadOptions
) -> list[ToldColumns]:
    """Which columns of a file's tables are used for what, and which are left out."""
    made = []
    for table, columns in _laid_out(opened(path, options), path, options):
        if not isinstance(columns, BrokenRow):
            rows = islice(table.rows(list(columns.links.values())), _LOOKED_AT)
            made.append(
                columns.told(table.names, [one for _, one in rows if isinstance(one, dict)])
            )
    return made


def _laid_out(
    tables: Sequence[Table], path: Path, options: ReadOptions
) -> Iterator[tuple[Table, Layout | BrokenRow]]:
    for at, table in enumerate(tables):
        try:
            yield table, layout(path, table.names, options.columns, linked=options.linked)
        except ReportSourceError:
            if at == 0:
                raise
            detail = (
                f"table {at + 1} of the file has not the columns of reports; expected those of "
                "the first one; give it as a file of its own"
            )
            yield table, BrokenRow(detail, "out_of_scope", "not_a_report")


def column_names(path: Path) -> list[str]:
    """The columns of a table, read from its start; of a file that is no table, none.

    Raises:
        ReportSourceError: the file cannot be read.
    """
    try:
        for opened, suffixes in _OPENED:
            if path.suffix.lower() in suffixes:
                tables = opened(path, ReadOptions())
                return list(tables[0].names) if tables else []
    except (OSError, csv.Error, UnicodeError) as error:
        raise ReportSourceError(
            f"table {path}: cannot be read ({type(error).__name__}); check the file"
        ) from error
    return []


def csv_tables(path: Path, options: ReadOptions) -> list[Table]:
    """The table of a CSV or TSV file."""
    with _csv(path, options) as records:
        names = records.names
    return [Table(names, partial(_csv_rows, path, options))]


@contextmanager
def _csv(path: Path, options: ReadOptions) -> Iterator[CsvRecords]:
    encoding, errors = file_encoding(path, options.encoding)
    with path.open(encoding=encoding, errors=errors, newline="") as handle:
        try:
            records = CsvRecords(handle)
        except csv.Error as error:
            raise ReportSourceError(
                f"report file {path}: broken CSV at line 1; mend or quote it"
            ) from error
        yield records


def _csv_rows(path: Path, options: ReadOptions, keys: Sequence[str]) -> Iterator[Row]:
    with _csv(path, options) as records:
        names = records.names
        for record in records.records([names.index(key) for key in keys]):
            if record.cells is None:
                yield from [(record.place, _OPEN_QUOTE)] * record.rows
            elif len(record.cells) != len(names):
                detail = (
                    f"{len(record.cells)} cells, expected {len(names)}; quote cells that hold the "
                    "delimiter"
                )
                yield record.place, BrokenRow(detail)
            else:
                yield record.place, dict(zip(names, record.cells, strict=True))


def jsonl_tables(path: Path, options: ReadOptions) -> list[Table]:
    """The table of a file of JSON objects, one a line; its columns are those of any line."""
    rows = (row for _, row in _lines(path, options) if isinstance(row, dict))
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [Table(names, lambda keys: _lines(path, options))]


def _lines(path: Path, options: ReadOptions) -> Iterator[Row]:
    encoding, errors = file_encoding(path, options.encoding)
    with path.open(encoding=encoding, errors=errors, newline="\n") as handle:
        for number, line in enumerate(handle, start=1):
            if line.strip():
                yield f"row {number}", _object(line)


def _object(line: str) -> Mapping[str, Any] | BrokenRow:
    try:
        row = json.loads(line, object_pairs_hook=_without_doubles)
    except (json.JSONDecodeError, RecursionError):
        return BrokenRow("no JSON object; expected one a line; mend the file")
    except KeyError:
        return BrokenRow("two values of one name; expected one; mend the file")
    return row if isinstance(row, dict) else BrokenRow("no JSON object; expected one a line")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise KeyError("two values of one name")
    return made


def parquet_tables(path: Path, options: ReadOptions) -> list[Table]:
    """The table of a Parquet file."""
    import pyarrow.parquet as pq

    with _parquet_errors(path):
        names = pq.read_schema(path).names
    return [Table(names, lambda keys: _parquet_rows(path))]


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow.parquet as pq

    with _parquet_errors(path), pq.ParquetFile(path) as file:
        rows = (row for batch in file.iter_batches(batch_size=1000) for row in batch.to_pylist())
        for number, row in enumerate(rows, start=1):
            yield f"row {number}", row


@contextmanager
def _parquet_errors(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if lacks_memory(error):  # an ArrowException too
            raise MemoryError from error
        raise ReportSourceError(
            f"report file {path}: not readable as Parquet ({type(error).__name__}); expected a "
            "whole Parquet file; copy it again"
        ) from error


def xlsx_tables(path: Path, options: ReadOptions) -> list[Table]:
    """The tables of a spreadsheet, one a sheet that is not empty."""
    from fvlm_data.reports.sources.sheets import sheets

    return [Table(names, partial(_sheet_rows, path, at, names)) for at, names in sheets(path)]


def _sheet_rows(path: Path, at: int, names: Sequence[str], keys: Sequence[str]) -> Iterator[Row]:
    from fvlm_data.reports.sources.sheets import sheet_rows

    beside = BrokenRow("cells beside the named columns; expected a name above each; mend the file")
    for number, row in sheet_rows(path, at, names):
        yield f"sheet {at + 1}, row {number}", beside if row is None else row


_OPENED = (
    (csv_tables, (".csv", ".tsv")),
    (parquet_tables, (".parquet", ".pq")),
    (jsonl_tables, (".jsonl", ".ndjson")),
    (xlsx_tables, (".xlsx", ".xlsm")),
)
CSV, PARQUET, JSONL, XLSX = (
    Kind(suffixes, partial(read_tables, opened), partial(told_columns, opened))
    for opened, suffixes in _OPENED
)
