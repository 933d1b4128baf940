"""Tables of reports: CSV, Parquet and JSONL, a row at a time."""

from __future__ import annotations

import csv
import json
from itertools import islice
from typing import TYPE_CHECKING, Any, TextIO

from fvlm_data.reports.sources.kind import Kind
from fvlm_data.reports.sources.layout import layout
from fvlm_data.reports.sources.options import ReadOptions
from fvlm_data.reports.sources.rows import ReportRow, ReportSourceError, faulty, file_encoding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_MAX_FIELD_CHARS = 32 * 1024 * 1024
_NAMED_ROWS = 1000
"""Lines of a JSONL file whose names tell its columns, unless they are mapped."""


def read_csv(path: Path, options: ReadOptions) -> Iterator[ReportRow]:
    """Rows of a CSV or TSV file; the delimiter is the one that its header holds most of."""
    csv.field_size_limit(_MAX_FIELD_CHARS)
    encoding, errors = file_encoding(path, options.encoding)
    with path.open(encoding=encoding, errors=errors, newline="") as handle:
        reader = _csv_reader(handle)
        try:
            names = [name.strip() for name in next(reader, [])]
            columns = layout(path, names, options.columns, linked=options.linked)
            for number, cells in enumerate(cells for cells in reader if cells):
                if len(cells) != len(names):
                    yield faulty(
                        number,
                        "broken_row",
                        f"row {number} (to line {reader.line_num}) has {len(cells)} cells, "
                        f"expected {len(names)}; quote cells that hold the delimiter",
                    )
                else:
                    yield columns.row(number, dict(zip(names, cells, strict=True)))
        except csv.Error as error:
            raise ReportSourceError(
                f"report file {path}: broken CSV at line {reader.line_num}; mend or quote it"
            ) from error


def read_jsonl(path: Path, options: ReadOptions) -> Iterator[ReportRow]:
    """Rows of a file of JSON objects, one a line; columns are those of its first lines."""
    names = _names_of_lines(path, options)
    columns = layout(path, names, options.columns, linked=options.linked)
    for number, row in enumerate(_lines(path, options)):
        if row is None:
            detail = f"row {number} is no JSON object; expected one a line; mend the file"
            yield faulty(number, "broken_row", detail)
        else:
            yield columns.row(number, row)


def column_names(path: Path) -> list[str]:
    """The columns of a table, read from its start; of a file that is no table, none.

    Raises:
        ReportSourceError: the file cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return list(pq.read_schema(path).names)
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            return _names_of_lines(path, ReadOptions())
        encoding, errors = file_encoding(path, None)
        with path.open(encoding=encoding, errors=errors, newline="") as handle:
            return [name.strip() for name in next(_csv_reader(handle), [])]
    except (pa.ArrowException, OSError, csv.Error, UnicodeError) as error:
        raise ReportSourceError(
            f"table {path}: cannot be read ({type(error).__name__}); check the file"
        ) from error


def _csv_reader(handle: TextIO) -> Any:
    """A reader at the start of the file; the delimiter is the one that the header holds most of."""
    head = handle.readline()
    handle.seek(0)
    return csv.reader(handle, delimiter=max(",;\t|", key=head.count))


def _names_of_lines(path: Path, options: ReadOptions) -> list[str]:
    first = islice(_lines(path, options), _NAMED_ROWS)
    return list(dict.fromkeys(name for row in first for name in row or ()))


def _lines(path: Path, options: ReadOptions) -> Iterator[Mapping[str, Any] | None]:
    encoding, errors = file_encoding(path, options.encoding)
    with path.open(encoding=encoding, errors=errors, newline="\n") as handle:
        for line in handle:
            if line.strip():
                yield _object(line)


def _object(line: str) -> Mapping[str, Any] | None:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def read_parquet(path: Path, options: ReadOptions) -> Iterator[ReportRow]:
    """Rows of a Parquet file, in batches."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            columns = layout(path, names, options.columns, linked=options.linked)
            number = 0
            for batch in file.iter_batches(batch_size=1000):
                for row in batch.to_pylist():
                    yield columns.row(number, row)
                    number += 1
    except (pa.ArrowException, OSError) as error:
        raise ReportSourceError(
            f"report file {path}: not readable as Parquet ({type(error).__name__}); expected a "
            "whole Parquet file; copy it again"
        ) from error


CSV = Kind((".csv", ".tsv"), read_csv)
PARQUET = Kind((".parquet", ".pq"), read_parquet)
JSONL = Kind((".jsonl", ".ndjson"), read_jsonl)
