"""Files of values, read into the same records whatever their form."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from fvlm_data.clinical.sources.fhir import patients_of, read_fhir
from fvlm_data.clinical.sources.table_file import layout_of, read_table
from fvlm_data.clinical.sources.told import Aside, ClinicalSourceError, Told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fvlm_data.clinical.config import ClinicalSourceConfig

__all__ = ["Aside", "ClinicalSourceError", "Told", "read_values", "told_columns"]

SUFFIXES = {
    ".csv": "csv", ".tsv": "csv", ".json": "fhir", ".ndjson": "fhir", ".jsonl": "fhir",
}  # fmt: skip
OTHER_FILE = Aside(
    "out_of_scope",
    "not_clinical",
    "a file of another kind; expected .csv, .tsv, .json or .ndjson; nothing to do, or give `kind`",
)


def read_values(source: ClinicalSourceConfig) -> Iterator[tuple[str, Told]]:
    """Every value of a source, with the path of its file below it (empty: the source is the file).

    Files are read in the order of their names.

    Raises:
        ClinicalSourceError: the source is missing, or a file of it cannot be read.
    """
    files = list(_files(source))
    fhir = [path for path, _, kind in files if kind == "fhir"]
    try:
        patients = patients_of(fhir)
        for path, name, kind in files:
            if kind == "csv":
                yield from ((name, one) for one in read_table(path, source))
            elif kind == "fhir":
                yield from ((name, one) for one in read_fhir(path, source, patients))
            else:
                yield name, Told("", fault=OTHER_FILE)
    except OSError as error:
        raise ClinicalSourceError(
            f"clinical source {source.path}: cannot be read ({type(error).__name__}); check it"
        ) from error


def told_columns(source: ClinicalSourceConfig) -> dict[str, int]:
    """What the columns of the source's tables are used for: sentences, with the number of files.

    Raises:
        ClinicalSourceError: the source is missing, or a table lacks a column.
    """
    told: Counter[str] = Counter()
    for path, _, kind in _files(source):
        if kind == "csv":
            told[f"csv: {layout_of(path, source).sentence}"] += 1
        elif kind == "fhir":
            told["fhir: Observations by LOINC and `names`; sex and death of Patients"] += 1
    return dict(told)


def _files(source: ClinicalSourceConfig) -> Iterator[tuple[Path, str, str]]:
    """Path, path below the source, and kind (empty: none) of each file, in order of their names."""
    if source.path.is_file():
        kind = source.kind if source.kind != "auto" else _kind(source.path)
        if not kind:
            raise ClinicalSourceError(
                f"clinical source {source.path}: its kind is not known by its suffix; expected "
                f"{', '.join(SUFFIXES)}, or give `kind`"
            )
        yield source.path, "", kind
        return
    if not source.path.is_dir():
        raise ClinicalSourceError(
            f"clinical source {source.path}: no such file or folder; expected CSV or FHIR files"
        )
    for folder, folders, names in os.walk(source.path):
        folders.sort()
        for name in sorted(names):
            path = source.path.joinpath(folder, name)
            kind = _kind(path)
            taken = kind if source.kind in ("auto", kind) else ""
            yield path, path.relative_to(source.path).as_posix(), taken


def _kind(path: Path) -> str:
    return SUFFIXES.get(path.suffix.lower(), "")
