"""Our labels against those of a CSV (CT-RATE's columns), and where they disagree."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import ConfigError, InputError
from fvlm_data.identity.ids import link_key
from fvlm_data.pairing.anatomy_text import READ_SECTIONS
from fvlm_data.pairing.audit.texts import study_texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fvlm_data.pairing.anatomy_text import StudyText
    from fvlm_data.store.declared import Context
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import FindingTerm, Vocabulary

KEY_COLUMNS = {
    "volumename": "volume_name",
    "studyuid": "study_uid",
    "studyinstanceuid": "study_uid",
    "accession": "accession",
    "accessionnumber": "accession",
}
"""Column that names the study (lower case, letters only), and its kind of link."""

VALUES = {"0": 0, "0.0": 0, "1": 1, "1.0": 1}
ASSERTED = ("present", "uncertain")
"""Statuses that make a label of ours."""

SENTENCES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A study where label and report differ; `sentences` are those that decided, scrubbed.

    `status` is what the report asserts: present, uncertain, absent, historical, ...; only in
    clinical_information (or another section that does not describe this scan); or not_mentioned,
    where the sentences are those about the anatomy.
    """

    study_id: str
    finding: str
    label: int
    ours: int
    status: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelScore:
    """Agreement on one finding over the studies compared; precision or recall of 0 / 0 is None."""

    finding: str
    column: str
    both: int
    only_ours: int
    only_label: int
    neither: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class LabelAudit:
    """Scores by finding; rows of the file that could not be compared, by reason."""

    rows: int
    studies: int
    not_compared: Mapping[str, int]
    unknown_columns: tuple[str, ...]
    scores: tuple[LabelScore, ...]
    disagreements: tuple[Disagreement, ...]


def audit_labels(context: Context, path: Path, vocabulary: Vocabulary) -> LabelAudit:
    """Compare the labels of every study that the file names with those of its texts.

    Rows of one study (reconstructions of a scan) count once. Ours are the findings present or
    held possible in a study's texts, with what they imply.

    Raises:
        InputError: the file cannot be read, has no column that names studies or findings, or a
            label is neither 0 nor 1.
    """
    table = _read(path, vocabulary)
    studies = _named_studies(context, table)
    texted, ours = _our_labels(context.store)
    reasons: dict[str, int] = defaultdict(int)
    labels: dict[str, dict[str, int]] = {}
    torn: set[str] = set()
    for row, study in zip(table.rows, studies, strict=True):
        if study is None:
            reasons["names no study of the store"] += 1
        elif study not in texted:
            reasons["its study has no texts"] += 1
        elif labels.setdefault(study, row.labels) != row.labels:
            # rows of one study with different labels: nothing says which is right
            torn.add(study)
    for study in torn:
        del labels[study]
    if torn:
        reasons["studies with rows that contradict each other"] = len(torn)
    return LabelAudit(
        rows=len(table.rows),
        studies=len(labels),
        not_compared=dict(reasons),
        unknown_columns=table.unknown,
        scores=tuple(_score(term, column, labels, ours) for term, column in table.terms),
        disagreements=_disagreements(
            context.store, [t for t, _ in table.terms], labels, ours, vocabulary
        ),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    labels: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Table:
    kind: str
    terms: tuple[tuple[FindingTerm, str], ...]
    unknown: tuple[str, ...]
    rows: tuple[_Row, ...]


def _read(path: Path, vocabulary: Vocabulary) -> _Table:
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
            "StudyInstanceUID or AccessionNumber"
        )
    known = {
        _plain(name): term
        for term in vocabulary.findings
        for name in (term.id, term.ct_rate or term.id)
    }
    columns = [column for column in header if column not in keys]
    terms = tuple((known[_plain(c)], c) for c in columns if _plain(c) in known)
    if not terms:
        raise InputError(
            f"label file {path}: no column is a finding; expected CT-RATE's names "
            "(Cardiomegaly, ...) or finding ids of the vocabulary"
        )
    rows = tuple(
        _Row(row[keys[0]] or "", {term.id: _value(path, line, row, c) for term, c in terms})
        for line, row in enumerate(found, start=2)
    )
    unknown = tuple(column for column in columns if _plain(column) not in known)
    return _Table(KEY_COLUMNS[_plain(keys[0])], terms, unknown, rows)


def _value(path: Path, line: int, row: Mapping[str, Any], column: str) -> int:
    value = VALUES.get((row[column] or "").strip())
    if value is None:
        raise InputError(
            f"label file {path}, line {line}, column {column}: expected 0 or 1; write unknown "
            "labels out of the file"
        )
    return value


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _named_studies(context: Context, table: _Table) -> list[str | None]:
    """The study of each row; none where the store has none, or several, of that name."""
    hashes = [_hash(context, table.kind, row.name) for row in table.rows]
    store = context.store
    wanted = {one for one in hashes if one is not None}
    links = store.read_items(
        "links", "value_hash", wanted, ["owner_kind", "owner_id", "value_hash"]
    )
    series = {link["owner_id"] for link in links if link["owner_kind"] == "series"}
    rows = store.read_items("candidates", "series_id", series, ["series_id", "study_id"])
    study_of = {row["series_id"]: row["study_id"] for row in rows}
    owners: dict[str, set[str]] = defaultdict(set)
    for link in links:
        if link["owner_kind"] == "study":
            owners[link["value_hash"]].add(link["owner_id"])
        elif link["owner_id"] in study_of:
            owners[link["value_hash"]].add(study_of[link["owner_id"]])
    # a name of several studies would count one study's labels for another
    only = {name: next(iter(those)) for name, those in owners.items() if len(those) == 1}
    return [only.get(one) if one is not None else None for one in hashes]


def _hash(context: Context, kind: str, name: str) -> str | None:
    try:
        return link_key(kind, name, key=context.vault.key)
    except ConfigError:  # a blank name
        return None


def _our_labels(store: Store) -> tuple[set[str], dict[str, set[str]]]:
    """Studies with texts, and the finding ids of each."""
    ours: dict[str, set[str]] = defaultdict(set)
    texted = set()
    for row in store.read("anatomy_texts", ["study_id", "labels"]).to_pylist():
        texted.add(row["study_id"])
        ours[row["study_id"]].update(row["labels"])
    return texted, ours


def _score(
    term: FindingTerm,
    column: str,
    labels: Mapping[str, Mapping[str, int]],
    ours: Mapping[str, set[str]],
) -> LabelScore:
    pairs = [(bool(row[term.id]), term.id in ours[study]) for study, row in labels.items()]
    both, only_ours, only_label = (
        pairs.count(p) for p in ((True, True), (False, True), (True, False))
    )
    return LabelScore(
        finding=term.id,
        column=column,
        both=both,
        only_ours=only_ours,
        only_label=only_label,
        neither=len(pairs) - both - only_ours - only_label,
        precision=round(both / (both + only_ours), 4) if both + only_ours else None,
        recall=round(both / (both + only_label), 4) if both + only_label else None,
    )


def _disagreements(
    store: Store,
    terms: Sequence[FindingTerm],
    labels: Mapping[str, Mapping[str, int]],
    ours: Mapping[str, set[str]],
    vocabulary: Vocabulary,
) -> tuple[Disagreement, ...]:
    differing = [
        (term, study)
        for term in terms
        for study in sorted(labels)
        if bool(labels[study][term.id]) != (term.id in ours[study])
    ]
    texts = dict(study_texts(store, {study for _, study in differing}))
    return tuple(
        _disagreement(term, study, labels[study][term.id], texts[study], vocabulary)
        for term, study in differing
    )


def _disagreement(
    term: FindingTerm, study: str, label: int, text: StudyText, vocabulary: Vocabulary
) -> Disagreement:
    """With the sentences that assert the finding; where we miss it, all that mention it."""
    meant = {term.id, *(one for one, more in vocabulary.implied.items() if term.id in more)}
    section = {(s["report_id"], s["sentence"]): s["section"] for s in text.sentences}
    read: dict[str, list[tuple[str, int]]] = defaultdict(list)
    elsewhere: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for row in text.findings:
        place = (row["report_id"], row["sentence"])
        if row["finding"] not in meant or (not label and row["status"] not in ASSERTED):
            continue
        if section[place] in READ_SECTIONS:
            read[row["status"]].append(place)
        else:
            elsewhere[f"only in {section[place]}"].append(place)
    told = read or elsewhere
    status = max(told, key=lambda one: len(told[one]), default="not_mentioned")
    spoken = {place for places in told.values() for place in places}
    sentences = [s for s in text.sentences if (s["report_id"], s["sentence"]) in spoken]
    if not sentences:
        sentences = [s for s in text.sentences if term.anatomy in s["anatomies"]]
    shown = tuple(sentence["text"] for sentence in sentences[:SENTENCES_SHOWN])
    return Disagreement(study, term.id, label, 1 - label, status, shown)
