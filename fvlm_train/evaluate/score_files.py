"""The command `fvlm-eval score`: predictions against labels in files, without a store."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError
from fvlm_train.evaluate.cells import label_of, read_cells, score_of
from fvlm_train.evaluate.metrics import (
    FindingScore,
    MacroScore,
    Unscored,
    crg_by_thresholds,
    score_findings,
    unscored,
    youden_thresholds,
)
from fvlm_train.evaluate.names import FindingNames, plain
from fvlm_train.evaluate.scoring import Score
from fvlm_train.evaluate.tables import auc_lines, decision_lines, macro_line, unscored_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from fvlm_train.config import EvaluateConfig
    from fvlm_train.evaluate.cells import Cell, CellTable

SCORE_COLUMNS = ("score", "probability", "prediction", "present", "value")
LABEL_COLUMNS = ("present", "label", "value")

CT_RATE_PATIENT = re.compile(r"((?:train|valid)_\d+)_[a-z]+(?:_\d+)?")
"""Patient in the name of a volume or scan of CT-RATE."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A file of predictions and one of labels."""

    predictions: Path
    labels: Path


@dataclass(frozen=True, slots=True)
class FileScores:
    """What the command prints.

    `patients_known` says whether a file (a column of patients, CT-RATE's names) tells which rows
    are of one patient; else each row counts as one, and intervals may be too narrow. Columns that
    only one file has, and rows without a partner, take no part. `crg` is VLM3D's score over all
    findings, by who chose the thresholds (test, validation).
    """

    table: list[FindingScore]
    unscored: list[Unscored]
    macro: MacroScore
    scans: int
    predictions_without_labels: int
    labels_without_predictions: int
    columns_without_partner: tuple[str, ...]
    patients_known: bool
    validated: bool
    crg: dict[str, float | None]

    def as_json(self) -> dict[str, Any]:
        """The whole result as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Joined:
    scores: list[Score]
    labels: list[bool | None]
    only_predictions: int
    only_labels: int
    without_partner: tuple[str, ...]
    patients_known: bool


def score_files(
    pair: Pair, config: EvaluateConfig, names: FindingNames, validation: Pair | None = None
) -> FileScores:
    """Score predictions by labels; rows are joined by the scan they name, columns by the finding.

    Names of volumes lose folder and ending. Labels that are empty or -1 are not mentioned and left
    out; empty predictions are left out, or 0 by `absent_anatomy: zero`, as the public code counts
    them. `validation` chooses thresholds.

    Raises:
        InputError: a file cannot be read, names a scan and finding twice, holds what is no label or
            number, or the two share no scan or no finding.
    """
    joined = _join(pair, config, names)
    thresholds = {}
    if validation is not None:
        other = _join(validation, config, names)
        thresholds = youden_thresholds(other.scores, other.labels)
    table, macro = score_findings(joined.scores, joined.labels, config, thresholds)
    return FileScores(
        table=table,
        unscored=unscored(joined.scores, joined.labels),
        macro=macro,
        scans=len({score.sample_id for score in joined.scores}),
        predictions_without_labels=joined.only_predictions,
        labels_without_predictions=joined.only_labels,
        columns_without_partner=joined.without_partner,
        patients_known=joined.patients_known,
        validated=any(row.by_validation for row in table),
        crg=crg_by_thresholds(table),
    )


def printed(result: FileScores, confidence: float) -> list[str]:
    """Lines of the tables, then what took no part."""
    of = f"{result.scans} scans of {result.macro.patients} patients"
    lines = [
        *auc_lines(result.table, confidence),
        macro_line(result.macro, confidence, of),
        *unscored_lines(result.unscored),
        *decision_lines(result.table, validated=result.validated),
        *(f"CRG, thresholds by {name}: {crg:.3f}" for name, crg in result.crg.items() if crg),
        "",
        f"scans without a partner: {result.predictions_without_labels} of the predictions, "
        f"{result.labels_without_predictions} of the labels",
    ]
    if result.columns_without_partner:
        lines.append(
            f"in one file only, so not scored: {', '.join(result.columns_without_partner)}"
        )
    if not result.patients_known:
        lines.append(
            "Neither file says which scans are of one patient (a column patient_id): each counts "
            "as a patient of its own, so intervals may be too narrow."
        )
    return lines


def _join(pair: Pair, config: EvaluateConfig, names: FindingNames) -> _Joined:
    predictions = read_cells(pair.predictions, "predictions", SCORE_COLUMNS, None, any_key=True)
    labels = read_cells(pair.labels, "labels", LABEL_COLUMNS, None, any_key=True)
    ours, theirs = (_shown(table, names) for table in (predictions, labels))
    common = ours.keys() & theirs.keys()
    files = f"predictions {pair.predictions.name}, labels {pair.labels.name}"
    if not common:
        raise InputError(
            f"{files}: no finding is in both; the predictions have {_some(ours)}, the labels "
            f"{_some(theirs)}"
        )
    scores = _values(predictions, common, names, score_of, "a number or nothing")
    stated = _values(labels, common, names, label_of, "1, 0, -1 or empty")
    scans = {key for key, _ in scores} & {key for key, _ in stated}
    if not scans:
        raise InputError(
            f"{files}: no scan is in both; they are compared by the columns that name scans, "
            "without folder and .nii.gz"
        )
    patients = _patients(predictions) | _patients(labels)
    joined: list[Score] = []
    known: list[bool | None] = []
    for (key, finding), value in scores.items():
        if key not in scans:
            continue
        present = value is not None
        joined.append(
            Score(
                sample_id=key,
                patient_id=patients.get(key, key),
                study_id=key,
                finding=ours[finding],
                anatomy="",
                anatomy_present=present,
                score=0.0 if value is None else value,
                stated=None,
            )
        )
        counts = present or config.absent_anatomy == "zero"
        known.append(stated.get((key, finding)) if counts else None)
    return _Joined(
        scores=joined,
        labels=known,
        only_predictions=len({key for key, _ in scores} - scans),
        only_labels=len({key for key, _ in stated} - scans),
        without_partner=tuple(
            sorted(shown[name] for shown in (ours, theirs) for name in shown.keys() - common)
        ),
        patients_known=scans <= patients.keys(),
    )


def _canonical(name: str, names: FindingNames) -> str:
    return plain(names.id_of(name) or name)


def _shown(table: CellTable, names: FindingNames) -> dict[str, str]:
    """Findings of a file, in the form that is compared, and as they are printed."""
    found = {cell.finding for cell in table.cells}
    return {_canonical(name, names): names.id_of(name) or name for name in sorted(found)}


def _some(shown: Mapping[str, str]) -> str:
    few = sorted(shown.values())[:3]
    return ", ".join(few) + (", ..." if len(shown) > len(few) else "")


def _values(
    table: CellTable,
    common: set[str],
    names: FindingNames,
    read: Callable[[Any], Any],
    expected: str,
) -> dict[tuple[str, str], Any]:
    """Value by scan and finding; a row without the name of a scan has no partner."""
    values: dict[tuple[str, str], Any] = {}
    lines: dict[tuple[str, str], int] = {}
    for cell in table.cells:
        finding = _canonical(cell.finding, names)
        if finding not in common or cell.key is None:
            continue
        place = (scan_name(cell.key), finding)
        value = _read_value(table, cell, read, expected)
        if place in values:
            raise InputError(
                f"{table.what} {table.name}: rows {lines[place]} and {cell.line} are of the same "
                f"scan and finding ({cell.finding}); keep one of them"
            )
        values[place], lines[place] = value, cell.line
    return values


def _read_value(table: CellTable, cell: Cell, read: Callable[[Any], Any], expected: str) -> Any:
    try:
        return read(cell.value)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{table.what} {table.name}: row {cell.line}, {cell.finding}: expected {expected}, "
            "found another"
        ) from error


def scan_name(key: str) -> str:
    """The name of a scan as it is compared: without folder, `.nii`, `.nii.gz`, blanks and case."""
    name = key.strip().casefold().replace("\\", "/").rsplit("/", 1)[-1]
    return name.removesuffix(".gz").removesuffix(".nii")


def _patients(table: CellTable) -> dict[str, str]:
    """The patient of each scan that the file, or CT-RATE's way of naming, tells."""
    found = {}
    for cell in table.cells:
        if cell.key is None:
            continue
        name = scan_name(cell.key)
        parts = CT_RATE_PATIENT.fullmatch(name)
        if cell.patient is not None:
            found[name] = cell.patient
        elif parts is not None:
            found[name] = parts[1]
    return found
