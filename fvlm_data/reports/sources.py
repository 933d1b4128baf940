"""Report files: CSV, Parquet and JSONL, row by row."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

LINK_NAMES = {
    "study_uid": ("study_uid", "studyinstanceuid", "studyuid", "study_instance_uid"),
    "series_uid": ("series_uid", "seriesinstanceuid", "seriesuid"),
    "accession": ("accession", "accessionnumber", "accession_no", "accessionno", "acc_number"),
    "volume_name": ("volume_name", "volumename", "volume", "image_name", "filename", "file_name"),
    "patient_id": ("patient_id", "patientid", "pid", "mrn", "patient"),
}
TEXT_NAMES = {
    "report": ("report", "text", "report_text", "reporttext", "full_report", "narrative", "body"),
    "findings": ("findings", "finding", "findings_en", "radiology_findings"),
    "impression": ("impression", "impressions", "impressions_en", "conclusion", "conclusions"),
    "clinical_information": (
        "clinical_information", "clinicalinformation_en", "clinicalinformation", "clinicalinfo",
        "clinical_history", "indication", "history",
    ),
    "technique": ("technique", "technique_en", "techniques"),
    "comparison": ("comparison", "comparison_en", "comparisons"),
}  # fmt: skip
ISSUER_NAMES = ("issuer", "accession_issuer", "issuerofaccessionnumber", "issuer_of_accession")
FLAG = "--column"

_MAX_FIELD_CHARS = 32 * 1024 * 1024


class ReportSourceError(InputError):
    """A report file cannot be read, or has not the columns that it should have."""


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One row of a report file.

    `row` counts data rows from 0. `links` are (kind, value, issuer) as the row gives them,
    sorted. `columns` hold the text by section name, or whole under `report`; a blank cell is
    an empty text. `encoding` is that of the file (none for Parquet).
    """

    row: int
    links: tuple[tuple[str, str, str | None], ...]
    columns: Mapping[str, str]
    encoding: str | None = None

    @property
    def text(self) -> str | None:
        """The whole report where it stands in one column, else none."""
        return self.columns["report"] if set(self.columns) == {"report"} else None


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which column of the file holds what."""

    links: Mapping[str, str]
    texts: Mapping[str, str]
    issuer: str | None


def read_reports(path: Path, columns: Mapping[str, str] | None = None) -> Iterator[ReportRow]:
    """Read the rows of a report file, blank reports included, in the order of the file.

    `columns` maps our names (study_uid, series_uid, accession, issuer, volume_name, patient_id,
    report, findings, impression, clinical_information, technique, comparison) to columns of the
    file; what it leaves out is found by name, whatever the case. CSV and JSONL are read as
    UTF-8, with or without byte order mark; a file that is not UTF-8 as a whole is read as
    Windows-1252.

    Raises:
        ReportSourceError: the file is missing, of another kind, broken, or lacks a column.
    """
    suffix = path.suffix.lower()
    readers = {".csv": _csv_rows, ".tsv": _csv_rows, ".jsonl": _jsonl_rows, ".ndjson": _jsonl_rows}
    if not path.is_file():
        raise ReportSourceError(f"report file {path}: no such file; expected CSV, Parquet or JSONL")
    if suffix in (".parquet", ".pq"):
        names, rows, encoding = (*_parquet_rows(path), None)
    elif suffix in readers:
        text, encoding = _decoded(path)
        names, rows = readers[suffix](path, text)
    else:
        raise ReportSourceError(
            f"report file {path}: expected .csv, .tsv, .parquet or .jsonl, found "
            f"{suffix or 'no suffix'}; convert or rename it"
        )
    layout = _layout(path, names, columns or {})
    for number, row in enumerate(rows):
        yield _row(number, row, layout, encoding)


def _row(number: int, row: Mapping[str, Any], layout: _Layout, encoding: str | None) -> ReportRow:
    issuer = _cell(row.get(layout.issuer)) if layout.issuer else ""
    links = []
    for kind, column in layout.links.items():
        value = _cell(row.get(column))
        if value:
            links.append((kind, value, issuer or None if kind == "accession" else None))
    texts = {name: _cell(row.get(column)) for name, column in layout.texts.items()}
    return ReportRow(number, tuple(sorted(links, key=lambda link: link[:2])), texts, encoding)


def _cell(value: Any) -> str:
    """A cell as text; whole numbers that a reader made floats lose the '.0'."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    return "" if text.lower() in ("nan", "<na>", "none", "null") else text


def _layout(path: Path, names: Sequence[str], mapping: Mapping[str, str]) -> _Layout:
    known = {*LINK_NAMES, *TEXT_NAMES, "issuer"}
    for ours, column in mapping.items():
        if ours not in known:
            raise ReportSourceError(
                f"report file {path}: {ours!r} is none of our names; expected one of "
                f"{', '.join(sorted(known))} before the = of {FLAG}"
            )
        if column not in names:
            raise ReportSourceError(
                f"report file {path}: no column {column!r} for {ours}; its columns are "
                f"{', '.join(names) or 'none'}; give {FLAG} {ours}=COLUMN"
            )
    links = _found(names, mapping, LINK_NAMES)
    texts = _found(names, mapping, TEXT_NAMES)
    if "report" in texts and ("report" in mapping or not texts.keys() & {"findings", "impression"}):
        texts = {"report": texts["report"]}
    texts = {name: column for name, column in texts.items() if name != "report" or len(texts) == 1}
    if not texts.keys() & {"report", "findings", "impression"}:
        raise ReportSourceError(
            f"report file {path}: no column holds reports; expected report, or findings and "
            f"impression; its columns are {', '.join(names) or 'none'}; give {FLAG} "
            "report=COLUMN"
        )
    if not links:
        raise ReportSourceError(
            f"report file {path}: no column names a study; expected study_uid, accession or "
            f"volume_name; its columns are {', '.join(names)}; give {FLAG} study_uid=COLUMN"
        )
    issuers = _found(names, mapping, {"issuer": ISSUER_NAMES})
    return _Layout(links, texts, issuers.get("issuer"))


def _found(
    names: Sequence[str], mapping: Mapping[str, str], wanted: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    plain: dict[str, str] = {}
    for name in sorted(names):
        plain.setdefault(_plain(name), name)
    made = {}
    for ours, forms in wanted.items():
        if ours in mapping:
            made[ours] = mapping[ours]
            continue
        column = next((plain[_plain(form)] for form in forms if _plain(form) in plain), None)
        if column is not None and column not in mapping.values():
            made[ours] = column
    return made


def _plain(name: str) -> str:
    return re.sub(r"[\s_.-]", "", name.lower())


def _decoded(path: Path) -> tuple[str, str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReportSourceError(
            f"report file {path}: cannot be read ({type(error).__name__}); check its permissions"
        ) from error
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        marked = content.startswith(b"\xef\xbb\xbf")
        return text, encoding if encoding == "cp1252" or marked else "utf-8"
    raise ReportSourceError(
        f"report file {path}: neither UTF-8 nor Windows-1252; expected UTF-8; convert it"
    )


def _csv_rows(path: Path, text: str) -> tuple[list[str], Iterator[Mapping[str, Any]]]:
    csv.field_size_limit(_MAX_FIELD_CHARS)
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = [name for name in reader.fieldnames or [] if name is not None]
    return [name.strip() for name in names], _checked(path, reader)


def _checked(path: Path, reader: csv.DictReader[str]) -> Iterator[Mapping[str, Any]]:
    try:
        for row in reader:
            if None in row:
                raise ReportSourceError(
                    f"report file {path}: line {reader.line_num} has more cells than the header "
                    f"({len(reader.fieldnames or [])}); quote cells that hold the delimiter"
                )
            yield {name.strip(): value for name, value in row.items()}
    except csv.Error as error:
        raise ReportSourceError(
            f"report file {path}: broken CSV at line {reader.line_num}; mend or quote it"
        ) from error


def _jsonl_rows(path: Path, text: str) -> tuple[list[str], Iterator[Mapping[str, Any]]]:
    rows: list[Mapping[str, Any]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            row = None
        if not isinstance(row, dict):
            raise ReportSourceError(
                f"report file {path}: line {number} is no JSON object; expected one a line"
            )
        rows.append(row)
    return list(dict.fromkeys(name for row in rows for name in row)), iter(rows)


def _parquet_rows(path: Path) -> tuple[list[str], Iterator[Mapping[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise ReportSourceError(
            f"report file {path}: not readable as Parquet ({type(error).__name__}); expected a "
            "whole Parquet file; copy it again"
        ) from error
    rows = (row for batch in file.iter_batches(batch_size=1000) for row in batch.to_pylist())
    return file.schema_arrow.names, rows
