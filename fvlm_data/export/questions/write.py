"""questions.jsonl from the tables of a store."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import ConfigError
from fvlm_data.export.change.said import Mention, said
from fvlm_data.export.questions.asked import NORMALITY, Answered, of_finding
from fvlm_data.pairing.lobes import lobes_of
from fvlm_data.reports.language.records import ASSERTING_SECTIONS
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fvlm_data.export.target import Draft
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

QUESTIONS = "questions.jsonl"
SUMMARY = "summary.json"
STUDIES_AT_ONCE = 500

STUDIES = """
SELECT v.study_id, any_value(s.split) FROM volumes v
LEFT JOIN splits s ON s.patient_id = v.patient_id
WHERE v.study_id IN (SELECT study_id FROM study_reports) GROUP BY v.study_id ORDER BY v.study_id
"""

MENTIONS = """
SELECT j.study_id, f.anatomy, f.finding, f.status, f.laterality, f.size_mm, f.prior_size_mm,
    f.change, f.location, concat_ws(':', s.report_id, s.start, s."end")
FROM study_reports j JOIN findings f ON f.report_id = j.report_id
JOIN sentences s ON s.report_id = f.report_id AND s.sentence = f.sentence
WHERE j.study_id IN (SELECT unnest($studies)) AND s.section IN (SELECT unnest($sections))
    AND f.status IN ('present', 'uncertain', 'absent')
ORDER BY j.study_id, f.anatomy, f.finding, j."order", f.report_id, f.sentence, f.start, f."end"
"""

STATES = """
SELECT study_id, anatomy, state, sources FROM anatomy_texts
WHERE study_id IN (SELECT unnest($studies)) ORDER BY study_id, anatomy
"""

Row = dict[str, Any]


def write(
    store: Store, draft: Draft, progress: Callable[[int, int], None], *, vocabulary: Vocabulary
) -> None:
    """Write `questions.jsonl`, a question a line, and `summary.json`, which counts them.

    A line has study_id, split, kind, anatomy, finding (none of `normal`), question, answer, value
    and sources (report_id:start:end of sentences). Asked is what a report answers: what it does not
    mention is no question. The records have the form of question and answer by which report
    labelling with questions (RATE, of Pillar-0) states its results.

    Raises:
        ConfigError: the language of the vocabulary has no questions.
        StoreError: a table cannot be read.
    """
    if not vocabulary.questions.present:
        raise ConfigError(
            f"vocabulary {vocabulary.language}: has no questions; put a questions.yaml into its "
            "overlay (docs/vocabulary.md)"
        )
    worded = _Worded(vocabulary)
    tables = Relations(store)
    studies = dict(tables.rows(STUDIES))
    ids = list(studies)
    counted: Counter[str] = Counter()
    with draft.open(QUESTIONS) as handle:
        for start in range(0, len(ids), STUDIES_AT_ONCE):
            part = ids[start : start + STUDIES_AT_ONCE]
            for row in _rows(tables, part, vocabulary, worded, counted):
                told = {**row, "split": studies[row["study_id"]]}
                handle.write(json.dumps(told, ensure_ascii=False).encode("utf-8") + b"\n")
            progress(start + len(part), len(ids))
    counted["studies"] = len(ids)
    draft.write(SUMMARY, json.dumps(dict(sorted(counted.items())), indent=1).encode())


class _Worded:
    """Questions and answers in the words of a vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._words = vocabulary.questions
        self._findings = {one.id: one.name.lower() for one in vocabulary.findings}
        self._anatomies = {one.id: one.name.lower() for one in vocabulary.anatomies}

    def row(self, study: str, anatomy: str, finding: str | None, told: Answered) -> Row:
        named = {
            "anatomy": self._anatomies.get(anatomy, anatomy),
            "finding": self._findings.get(finding or "", finding),
        }
        answers = self._words.answers
        if told.kind == "size":
            answer = answers.size.format(mm=f"{told.value:g}")
        else:
            answer = getattr(answers, str(told.value))
        return {
            "study_id": study,
            "kind": told.kind,
            "anatomy": anatomy,
            "finding": finding,
            "question": getattr(self._words, told.kind).format(**named),
            "answer": answer,
            "value": told.value,
            "sources": list(told.sources),
        }


def _rows(
    tables: Relations,
    studies: Sequence[str],
    vocabulary: Vocabulary,
    worded: _Worded,
    counted: Counter[str],
) -> Iterator[Row]:
    mentions = _mentions(tables, studies, vocabulary)
    states = defaultdict(list)
    for study, anatomy, state, sources in tables.rows(STATES, {"studies": list(studies)}):
        if state in NORMALITY:
            told = Answered("normal", NORMALITY[state], tuple(sources))
            states[study].append((anatomy, told))
    for study in studies:
        for anatomy, told in states[study]:
            counted[told.kind] += 1
            yield worded.row(study, anatomy, None, told)
        for (anatomy, finding), said_of in mentions.get(study, {}).items():
            counted["contradicted"] += said(said_of, None).state == "contradicted"
            for told in of_finding(said_of):
                counted[told.kind] += 1
                yield worded.row(study, anatomy, finding, told)


def _mentions(
    tables: Relations, studies: Sequence[str], vocabulary: Vocabulary
) -> Mapping[str, Mapping[tuple[str, str], list[Mention]]]:
    lobes = lobes_of(vocabulary)
    asked = {"studies": list(studies), "sections": sorted(ASSERTING_SECTIONS)}
    found: dict[str, dict[tuple[str, str], list[Mention]]] = defaultdict(lambda: defaultdict(list))
    for study, anatomy, finding, status, side, *sizes, location, source in tables.rows(
        MENTIONS, asked
    ):
        partial = location is not None and bool(lobes.of(location))
        size_mm, prior_size_mm, change = sizes
        found[study][anatomy, finding].append(
            Mention(status, side, size_mm, prior_size_mm, change, partial, source)
        )
    return found
