"""Files of labels: a row a study (or volume), a column a label of some set, or a finding id."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fvlm_data.vocabulary import Vocabulary
    from fvlm_data.vocabulary.label_sets import LabelSet

KEY_COLUMNS = {
    "volumename": "volume_name",
    "studyuid": "study_uid",
    "studyinstanceuid": "study_uid",
    "accession": "accession",
    "accessionnumber": "accession",
    "noteaccdeid": "accession",  # Rad-ChestCT
    "studyid": "volume_name",  # Merlin, whose volumes are called by it
}
"""Column that names the study (lower case, letters only), and its kind of link."""

VALUES = {"0": 0, "0.0": 0, "1": 1, "1.0": 1, "-1": -1, "-1.0": -1}


@dataclass(frozen=True, slots=True)
class Rule:
    """What makes a label 1: one of `findings`, larger than `over_mm` where that is given.

    `columns` of the file hold it; where one is 1, it is (Rad-ChestCT: a column a place).
    """

    name: str
    findings: frozenset[str]
    columns: tuple[str, ...]
    over_mm: float | None = None


@dataclass(frozen=True, slots=True)
class LabelRow:
    """What a row calls its study, and its labels: 1, 0, or -1 for not mentioned."""

    name: str
    labels: dict[str, int]


@dataclass(frozen=True, slots=True)
class LabelTable:
    """The labels of a file; `of` is their label set, blank where its columns are finding ids."""

    kind: str
    of: str
    rules: tuple[Rule, ...]
    unknown: tuple[str, ...]
    rows: tuple[LabelRow, ...]


def read_labels(path: Path, vocabulary: Vocabulary, wanted: str | None = None) -> LabelTable:
    """Read a CSV of labels by the set called `wanted`, else the one that names most columns.

    Raises:
        InputError: the file cannot be read, has no column that names studies or labels, or a value
            is none of the set.
        ConfigError: no set is called `wanted`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            found, header = list(reader), list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"label file {path}: cannot be read ({type(error).__name__}); expected a UTF-8 CSV"
        ) from error
    keys = [column for column in header if _plain(column) in KEY_COLUMNS]
    if not keys:
        raise InputError(
            f"label file {path}: no column names the studies; expected VolumeName, "
            "StudyInstanceUID, AccessionNumber, NoteAcc_DEID (Rad-ChestCT) or study id (Merlin)"
        )
    columns = [column for column in header if column not in keys]
    of, rules = _rules(columns, vocabulary, wanted)
    if not rules:
        raise InputError(
            f"label file {path}: no column is a label; expected those of a label set "
            f"({', '.join(sorted(vocabulary.label_sets))}) or finding ids of the vocabulary"
        )
    unmentioned = vocabulary.label_sets[of].unmentioned if of else 0
    rows = tuple(
        LabelRow(
            row[keys[0]] or "",
            {rule.name: _value(path, line, row, rule.columns, unmentioned) for rule in rules},
        )
        for line, row in enumerate(found, start=2)
    )
    read = {column for rule in rules for column in rule.columns}
    unknown = tuple(column for column in columns if column not in read)
    return LabelTable(KEY_COLUMNS[_plain(keys[0])], of, rules, unknown, rows)


def _rules(
    columns: Sequence[str], vocabulary: Vocabulary, wanted: str | None
) -> tuple[str, tuple[Rule, ...]]:
    """The label set, blank where none has a column, and a rule for each label that is there."""
    if wanted is not None:
        sets = {wanted: vocabulary.label_set(wanted)}
    else:
        sets = dict(vocabulary.label_sets)
    by_name = {name: _columns_of(one, columns) for name, one in sets.items()}
    of = max(by_name, key=lambda name: len(by_name[name]))
    if not by_name[of]:
        of = ""
    rules = {
        label: Rule(label, frozenset(rule.any), tuple(by_name[of][label]), rule.over_mm)
        for label, rule in (sets[of].labels.items() if of else ())
        if label in by_name[of]
    }
    read = {column for rule in rules.values() for column in rule.columns}
    findings = {_plain(term.id): term.id for term in vocabulary.findings}
    for column in columns:
        finding = findings.get(_plain(column))
        if finding is not None and column not in read and finding not in rules:
            rules[finding] = Rule(finding, frozenset({finding}), (column,))
    place = {column: at for at, column in enumerate(columns)}
    return of, tuple(sorted(rules.values(), key=lambda rule: place[rule.columns[0]]))


def _columns_of(labels: LabelSet, columns: Sequence[str]) -> dict[str, list[str]]:
    known = {_plain(label): label for label in labels.labels}
    made: dict[str, list[str]] = {}
    for column in columns:
        label = known.get(_plain(column.partition("*")[0]))
        if label is not None:
            made.setdefault(label, []).append(column)
    return made


def _value(
    path: Path, line: int, row: Mapping[str, Any], columns: Sequence[str], unmentioned: int
) -> int:
    values = []
    for column in columns:
        value = VALUES.get((row[column] or "").strip())
        if value is None or value < unmentioned:
            also = ", or -1 for not mentioned" if unmentioned < 0 else ""
            raise InputError(
                f"label file {path}, line {line}, column {column}: expected 0 or 1{also}; write "
                "unknown labels out of the file"
            )
        values.append(value)
    return max(values)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
