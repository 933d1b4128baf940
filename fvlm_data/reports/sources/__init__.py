"""Report sources: one file a kind, read into the same rows."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fvlm_data.reports.sources.dicom_sr import read_dicom_sr
from fvlm_data.reports.sources.fhir import read_fhir
from fvlm_data.reports.sources.hl7_v2 import read_hl7
from fvlm_data.reports.sources.mapping import LinkMapping, read_mapping
from fvlm_data.reports.sources.options import ReadOptions
from fvlm_data.reports.sources.rows import ReportRow, ReportSourceError, Version, faulty
from fvlm_data.reports.sources.tables import read_csv, read_jsonl, read_parquet
from fvlm_data.reports.sources.text_file import read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "KINDS",
    "LinkMapping",
    "ReadOptions",
    "ReportRow",
    "ReportSourceError",
    "Version",
    "read_mapping",
    "read_reports",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of report file: the suffixes by which it is known, and its reader."""

    suffixes: tuple[str, ...]
    read: Callable[[Path, ReadOptions], Iterator[ReportRow]]


KINDS: Mapping[str, Kind] = {
    "csv": Kind((".csv", ".tsv"), read_csv),
    "parquet": Kind((".parquet", ".pq"), read_parquet),
    "jsonl": Kind((".jsonl", ".ndjson"), read_jsonl),
    "text": Kind((".txt", ".text"), read_text),
    "dicom_sr": Kind((".dcm", ".dicom"), read_dicom_sr),
    "fhir": Kind((".json",), read_fhir),
    "hl7": Kind((".hl7", ".oru"), read_hl7),
}


def read_reports(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    kind: str = "auto",
    mapping: Path | None = None,
    encoding: str | None = None,
) -> Iterator[ReportRow]:
    """Read the reports of a file, or of all files of a folder in the order of their names.

    `columns` maps our names (study_uid, accession, issuer, volume_name, patient_id, report,
    findings, impression, patient_name, issued, ...) to columns of a table; what it leaves out
    is found by name, whatever the case. `kind` is one of KINDS, or `auto`: by suffix. A report
    that cannot be read comes as a row with a fault; so does a file of a folder that is of no
    kind. `mapping` names a CSV file with more links.

    Raises:
        ReportSourceError: the file is missing, of another kind, broken as a whole, or lacks a
            column.
    """
    links = read_mapping(mapping) if mapping else None
    options = ReadOptions(columns or {}, encoding, linked=mapping is not None)
    for file, name in _files(path):
        for row in _read(file, kind, options, in_folder=path.is_dir()):
            named = replace(row, file=name)
            yield links.added_to(named) if links and named.fault is None else named


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    """Files with their path relative to the source; hidden ones are left out."""
    if path.is_file():
        yield path, path.name
        return
    if not path.is_dir():
        raise ReportSourceError(
            f"report file {path}: no such file; expected a file or folder of reports"
        )
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                file = Path(folder, name)
                yield file, file.relative_to(path).as_posix()


def _read(path: Path, kind: str, options: ReadOptions, *, in_folder: bool) -> Iterator[ReportRow]:
    if kind != "auto":
        yield from KINDS[kind].read(path, options)
        return
    suffix = path.suffix.lower()
    found = next((one for one in KINDS.values() if suffix in one.suffixes), None)
    if found is not None:
        yield from found.read(path, options)
    elif in_folder:
        detail = f"a file with {suffix or 'no suffix'} is of no known kind; name its kind"
        yield faulty(0, "unknown_kind", detail, kind="out_of_scope")
    else:
        raise ReportSourceError(
            f"report file {path}: expected one of "
            f"{', '.join(suffix for one in KINDS.values() for suffix in one.suffixes)}, found "
            f"{suffix or 'no suffix'}; rename it or name its kind"
        )
