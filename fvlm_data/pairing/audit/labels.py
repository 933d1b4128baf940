"""Our labels against those of a CSV (CT-RATE's, Merlin's, Rad-ChestCT's), and where they differ."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import ConfigError
from fvlm_data.identity.ids import link_key
from fvlm_data.pairing.anatomy_text import READ_SECTIONS
from fvlm_data.pairing.audit.label_file import Rule, read_labels
from fvlm_data.pairing.audit.texts import study_texts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from fvlm_data.pairing.anatomy_text import StudyText
    from fvlm_data.pairing.audit.label_file import LabelTable
    from fvlm_data.store.declared import Context
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

ASSERTED = ("present", "uncertain")
"""Statuses that make a label of ours."""

SENTENCES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A study where a label (`finding`, as in the scores) and the report differ.

    `sentences` are those that decided, scrubbed.

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
    """Agreement on one label over the studies; precision or recall of 0 / 0 is None.

    `finding` is the label of the set, or a finding id.
    """

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
    """Scores by label; rows of the file that could not be compared, by reason.

    `label_set` is what its columns were read as; blank where all of them are finding ids.
    """

    label_set: str
    rows: int
    studies: int
    not_compared: Mapping[str, int]
    unknown_columns: tuple[str, ...]
    scores: tuple[LabelScore, ...]
    disagreements: tuple[Disagreement, ...]


def audit_labels(
    context: Context, path: Path, vocabulary: Vocabulary, label_set: str | None = None
) -> LabelAudit:
    """Compare the labels of every study that the file names with those of its texts.

    The file's columns are labels of a set (`label_set`; none given: the one that names most of
    them), or finding ids. Rows of one study (reconstructions of a scan) count once. Ours are the
    findings present or held possible in a study's texts, with what they imply. What a file calls
    not mentioned (-1) counts as not positive.

    Raises:
        InputError: the file cannot be read, has no column that names studies or labels, or a
            label has another value.
        ConfigError: there is no label set of that name.
    """
    table = read_labels(path, vocabulary, label_set)
    studies = _named_studies(context, table)
    reasons: dict[str, int] = defaultdict(int)
    labels: dict[str, dict[str, int]] = {}
    torn: set[str] = set()
    texted, told = _told(context.store)
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
    ours = _our_labels(context.store, table.rules, told, sorted(labels), vocabulary)
    return LabelAudit(
        label_set=table.of,
        rows=len(table.rows),
        studies=len(labels),
        not_compared=dict(reasons),
        unknown_columns=table.unknown,
        scores=tuple(_score(rule, labels, ours) for rule in table.rules),
        disagreements=_disagreements(context.store, table.rules, labels, ours, vocabulary),
    )


def _named_studies(context: Context, table: LabelTable) -> list[str | None]:
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


def _told(store: Store) -> tuple[set[str], dict[str, set[str]]]:
    """Studies with texts, and the finding ids of each."""
    told: dict[str, set[str]] = defaultdict(set)
    texted = set()
    for row in store.read("anatomy_texts", ["study_id", "labels"]).to_pylist():
        texted.add(row["study_id"])
        told[row["study_id"]].update(row["labels"])
    return texted, told


def _our_labels(
    store: Store,
    rules: Sequence[Rule],
    told: Mapping[str, set[str]],
    studies: Sequence[str],
    vocabulary: Vocabulary,
) -> dict[str, set[str]]:
    """Names of the rules that the texts of each study meet."""
    ours = {
        study: {one.name for one in rules if one.over_mm is None and one.findings & told[study]}
        for study in studies
    }
    for rule in (one for one in rules if one.over_mm is not None):
        meant = _meant(rule, vocabulary)
        maybe = [study for study in studies if rule.findings & told[study]]
        for study, text in study_texts(store, maybe):
            if any(_is_larger(row, meant, rule.over_mm or 0) for row in text.findings):
                ours[study].add(rule.name)
    return ours


def _is_larger(row: Mapping[str, Any], meant: Collection[str], over_mm: float) -> bool:
    size = row["size_mm"]
    asserted = row["finding"] in meant and row["status"] in ASSERTED
    return asserted and size is not None and size > over_mm


def _meant(rule: Rule, vocabulary: Vocabulary) -> set[str]:
    """The findings of a rule, and those that imply one of them."""
    implying = {one for one, more in vocabulary.implied.items() if rule.findings & more}
    return implying | rule.findings


def _score(
    rule: Rule, labels: Mapping[str, Mapping[str, int]], ours: Mapping[str, set[str]]
) -> LabelScore:
    pairs = [(row[rule.name] == 1, rule.name in ours[study]) for study, row in labels.items()]
    both, only_ours, only_label = (
        pairs.count(p) for p in ((True, True), (False, True), (True, False))
    )
    return LabelScore(
        finding=rule.name,
        column=", ".join(rule.columns),
        both=both,
        only_ours=only_ours,
        only_label=only_label,
        neither=len(pairs) - both - only_ours - only_label,
        precision=round(both / (both + only_ours), 4) if both + only_ours else None,
        recall=round(both / (both + only_label), 4) if both + only_label else None,
    )


def _disagreements(
    store: Store,
    rules: Sequence[Rule],
    labels: Mapping[str, Mapping[str, int]],
    ours: Mapping[str, set[str]],
    vocabulary: Vocabulary,
) -> tuple[Disagreement, ...]:
    differing = [
        (rule, study)
        for rule in rules
        for study in sorted(labels)
        if (labels[study][rule.name] == 1) != (rule.name in ours[study])
    ]
    texts = dict(study_texts(store, {study for _, study in differing}))
    return tuple(
        _disagreement(rule, study, labels[study][rule.name], texts[study], vocabulary)
        for rule, study in differing
    )


def _disagreement(
    rule: Rule, study: str, label: int, text: StudyText, vocabulary: Vocabulary
) -> Disagreement:
    """With the sentences that assert the finding; where we miss it, all that mention it."""
    meant = _meant(rule, vocabulary)
    section = {(s["report_id"], s["sentence"]): s["section"] for s in text.sentences}
    read: dict[str, list[tuple[str, int]]] = defaultdict(list)
    elsewhere: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for row in text.findings:
        place = (row["report_id"], row["sentence"])
        if row["finding"] not in meant or (label != 1 and row["status"] not in ASSERTED):
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
        about = {term.anatomy for term in vocabulary.findings if term.id in rule.findings}
        sentences = [s for s in text.sentences if about & set(s["anatomies"])]
    shown = tuple(sentence["text"] for sentence in sentences[:SENTENCES_SHOWN])
    return Disagreement(study, rule.name, label, int(label != 1), status, shown)
