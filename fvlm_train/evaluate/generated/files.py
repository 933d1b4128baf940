"""Reports by study from JSON lines or CSV: written ones, and those they are judged by."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

STUDY, PATIENT, SPLIT, TEXT = "study_id", "patient_id", "split", "text"
PARTS = ("findings", "impression")
FORMS = (
    f"expected JSON lines or CSV with {STUDY} and {TEXT} (or {' and '.join(PARTS)}), or the "
    "records.jsonl of `fvlm-data export report-generation`"
)


@dataclass(frozen=True, slots=True)
class Written:
    """A report's text; `patient` is its study where the file names none."""

    text: str
    patient: str


def read_reports(file: Path, split: str | None = None) -> dict[str, Written]:
    """Reports by study; of `split` alone, where the file says of which each is.

    Raises:
        InputError: the file cannot be read, lacks what is needed, or has a study twice.
    """
    found: dict[str, Written] = {}
    for line, row in _rows(file):
        place = f"{file}, line {line}"
        study = row.get(STUDY)
        if not isinstance(study, str) or not study:
            raise InputError(f"{place}: no {STUDY}; {FORMS}")
        if study in found:
            raise InputError(f"{place}: study {study} a second time; expected one report a study")
        if split is not None and row.get(SPLIT, split) != split:
            continue
        found[study] = Written(_text(row, place), str(row.get(PATIENT) or study))
    if not found:
        told = f" of split {split}" if split else ""
        raise InputError(f"{file}: no report{told}; {FORMS}")
    return found


def _text(row: Mapping[str, Any], place: str) -> str:
    told: Mapping[str, Any] = row.get("targets") or row
    if isinstance(told.get(TEXT), str):
        return str(told[TEXT])
    parts = [told[name] for name in PARTS if isinstance(told.get(name), str)]
    if not parts:
        raise InputError(f"{place}: no {TEXT}; {FORMS}")
    headed = zip(PARTS, parts, strict=False) if len(parts) == len(PARTS) else [("", parts[0])]
    return "\n".join(f"{name.upper()}: {part}".removeprefix(": ") for name, part in headed if part)


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:
            if file.suffix.lower() == ".csv":
                yield from enumerate(csv.DictReader(handle, strict=True), 2)
                return
            for number, line in enumerate(handle, 1):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise InputError(f"{file}, line {number}: no JSON object; {FORMS}")
                    yield number, row
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read ({type(error).__name__}); {FORMS}") from error
