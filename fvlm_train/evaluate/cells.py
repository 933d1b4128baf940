"""Labels and predictions in files: one value for each row and finding, long or wide.

Long: a column that names the scan, `finding`, and one of the value. Wide (CT-RATE, Rad-ChestCT and
most published scores): a column that names the scan, and one for each finding. A column
`finding*location` (Rad-ChestCT) is part of its finding, which is there if it is anywhere.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from fvlm_data.column_names import shown_columns
from fvlm_data.errors import InputError
from fvlm_train.evaluate.names import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from fvlm_train.evaluate.names import FindingNames

KEY_COLUMNS = {
    "studyuid": "study_uid",
    "studyinstanceuid": "study_uid",
    "accession": "accession",
    "accessionnumber": "accession",
    "noteaccdeid": "accession",
    "volumename": "volume_name",
    "volume": "volume_name",
    "studyid": "study_id",
    "sampleid": "sample_id",
}
"""Column that names the scan (lower case, letters only), and its kind of key."""

PATIENT_COLUMNS = ("patientid", "patient", "mrndeid")
OTHER_COLUMNS = (*PATIENT_COLUMNS, "issuer", "imaged", "anatomy", "anatomypresent")
"""Columns beside the key that are no findings."""

DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as the file has it; `line` counts rows from 1, without the header."""

    line: int
    key: str | None
    finding: str
    value: Any
    patient: str | None = None
    issuer: str | None = None
    imaged: Any = True


@dataclass(frozen=True, slots=True)
class CellTable:
    """The cells of a file, the kind of its key, and its columns that were not read.

    `what` is labels or predictions, `name` the file's.
    """

    what: str
    name: str
    key_kind: str
    rows: int
    cells: tuple[Cell, ...]
    ignored: tuple[str, ...]


def read_cells(
    path: Path,
    what: str,
    values: Sequence[str],
    names: FindingNames | None,
    *,
    any_key: bool = False,
) -> CellTable:
    """The cells of a Parquet or CSV file; `values` are names of a long file's value column.

    `what` is labels or predictions, for messages. With `names`, findings get our ids; without,
    they keep the file's, and a wide file's columns are all findings. With `any_key`, the first
    column names the scan where none of the known names is there.

    Raises:
        InputError: the file cannot be read, a column is missing or stands twice, or a finding is
            not known.
    """
    table = _read(path, what)
    file = f"{what} {path.name}"
    by_plain = {plain(column): column for column in table.column_names}
    if len(by_plain) < table.num_columns:
        raise InputError(f"{file}: two columns have the same name; keep one of them")
    key = next((column for name, column in by_plain.items() if name in KEY_COLUMNS), None)
    found = shown_columns(table.column_names, {*KEY_COLUMNS, *OTHER_COLUMNS, *values})
    if key is None and any_key and table.num_columns:
        key = table.column_names[0]
    if key is None:
        raise InputError(
            f"{file}: no column study_uid or accession; found {found}; VolumeName, "
            "StudyInstanceUID, AccessionNumber and NoteAcc_DEID are read too"
        )
    kind = KEY_COLUMNS.get(plain(key), "other")
    rows = table.to_pylist()
    facts = [_facts(row, key, by_plain) for row in rows]
    if "finding" in by_plain:
        value = next((by_plain[name] for name in values if name in by_plain), None)
        if value is None:
            raise InputError(f"{file}: no column {values[0]}; found {found}")
        cells = _long(rows, facts, by_plain["finding"], value)
        if names is not None:
            names.check(sorted({cell.finding for cell in cells}), file)
            cells = [_renamed(cell, names) for cell in cells]
        return CellTable(what, path.name, kind, len(rows), tuple(cells), ())
    columns = [c for name, c in by_plain.items() if c != key and name not in OTHER_COLUMNS]
    found_ids = {c: _wide_id(c, names) for c in columns}
    known = {column: finding for column, finding in found_ids.items() if finding is not None}
    if not known:
        raise InputError(
            f"{file}: no column finding, and no column of a finding's name; found {found}"
        )
    cells = list(_wide(rows, facts, known, file))
    ignored = tuple(column for column in columns if column not in known)
    return CellTable(what, path.name, kind, len(rows), tuple(cells), ignored)


def label_of(value: Any) -> bool | None:
    """True or false; None where it is not mentioned (empty, -1).

    Raises:
        ValueError: it is none of these.
    """
    if _blank(value):
        return None
    if isinstance(value, str):
        text = value.strip().lower()
        value = {"true": 1.0, "false": 0.0}.get(text)
        value = float(text) if value is None else value
    if value in (-1, 0, 1):
        return None if value < 0 else bool(value)
    raise ValueError("no label")


def score_of(value: Any) -> float | None:
    """A finite number; None where it is empty.

    Raises:
        ValueError: it is none of these.
    """
    if _blank(value):
        return None
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("no finite number")
    return number


def _blank(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ("", "nan", "none", "null")
    return value is None or (isinstance(value, float) and math.isnan(value))


def _read(path: Path, what: str) -> pa.Table:
    try:
        if path.suffix == ".parquet":
            return pyarrow.parquet.read_table(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
        delimiter = max(DELIMITERS, key=first.count)
        header = next(csv.reader([first], delimiter=delimiter), [])
        # all as text: the key 00123 is not 123
        options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()))
        parsing = pyarrow.csv.ParseOptions(delimiter=delimiter)
        return pyarrow.csv.read_csv(path, convert_options=options, parse_options=parsing)
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise InputError(
            f"{what} {path.name}: cannot be read ({type(error).__name__}); expected Parquet or CSV"
        ) from error


def _facts(row: Mapping[str, Any], key: str, by_plain: Mapping[str, str]) -> dict[str, Any]:
    patient = next((by_plain[name] for name in PATIENT_COLUMNS if name in by_plain), None)
    return {
        "key": None if _blank(row[key]) else str(row[key]).strip(),
        "patient": None if patient is None or _blank(row[patient]) else str(row[patient]).strip(),
        "issuer": _text(row, by_plain.get("issuer")),
        "imaged": row[by_plain["imaged"]] if "imaged" in by_plain else True,
    }


def _text(row: Mapping[str, Any], column: str | None) -> str | None:
    return None if column is None or _blank(row[column]) else str(row[column])


def _long(
    rows: Sequence[Mapping[str, Any]], facts: Sequence[dict[str, Any]], finding: str, value: str
) -> list[Cell]:
    return [
        Cell(line, finding=str(row[finding] or "").strip(), value=row[value], **known)
        for line, (row, known) in enumerate(zip(rows, facts, strict=True), start=1)
    ]


def _renamed(cell: Cell, names: FindingNames) -> Cell:
    finding = names.id_of(cell.finding) or cell.finding
    return Cell(cell.line, cell.key, finding, cell.value, cell.patient, cell.issuer, cell.imaged)


def _wide_id(column: str, names: FindingNames | None) -> str | None:
    name = column.partition("*")[0].strip()
    return name if names is None else names.id_of(name)


def _wide(
    rows: Sequence[Mapping[str, Any]],
    facts: Sequence[dict[str, Any]],
    known: Mapping[str, str],
    file: str,
) -> Iterator[Cell]:
    """A cell a row and finding; the columns of one finding's locations are one."""
    columns: dict[str, list[str]] = {}
    for column, finding in known.items():
        columns.setdefault(finding, []).append(column)
    for finding, those in columns.items():
        if len(those) > 1 and not all("*" in column for column in those):
            raise InputError(f"{file}: {those[0]} and {those[1]} are both {finding}; keep one")
    for line, (row, fact) in enumerate(zip(rows, facts, strict=True), start=1):
        for finding, those in columns.items():
            value = row[those[0]]
            if len(those) > 1:
                value = _anywhere([row[column] for column in those], line, finding, file)
            yield Cell(line, finding=finding, value=value, **fact)


def _anywhere(values: Sequence[Any], line: int, finding: str, file: str) -> int | None:
    try:
        labels = [label_of(value) for value in values]
    except ValueError as error:
        raise InputError(
            f"{file}: row {line}, columns of {finding}: expected 1, 0, -1 or empty"
        ) from error
    if any(labels):
        return 1
    return None if all(label is None for label in labels) else 0
