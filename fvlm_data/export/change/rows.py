"""What became of each finding of a patient, from one study to the next, read from the tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from fvlm_data.export.change.compared import compared
from fvlm_data.export.change.linked import study_pairs
from fvlm_data.export.change.row import SIDES, ChangeRow
from fvlm_data.export.change.said import POSITIVE, Mention, Said, said
from fvlm_data.pairing.lobes import lobes_of
from fvlm_data.reports.language.records import ASSERTING_SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.export.change.linked import StudyPair
    from fvlm_data.store.relations import Relations
    from fvlm_data.vocabulary import Vocabulary

PATIENTS = """
SELECT patient_id FROM volumes GROUP BY patient_id HAVING count(DISTINCT study_id) > 1
ORDER BY patient_id
"""

STUDIES = """
SELECT patient_id, study_id, min(acquired_on) FROM volumes
WHERE patient_id IN (SELECT unnest($patients)) GROUP BY patient_id, study_id
ORDER BY patient_id, study_id
"""

SPLIT_OF = """
SELECT patient_id, split FROM splits WHERE patient_id IN (SELECT unnest($patients))
"""

SAMPLES = """
SELECT study_id, sample_id FROM samples WHERE study_id IN (SELECT unnest($studies))
ORDER BY study_id, sample_id
"""

REPORTS = """
SELECT study_id, report_id FROM study_reports WHERE study_id IN (SELECT unnest($studies))
"""

MENTIONS = """
SELECT j.study_id, f.anatomy, f.finding, f.status, f.laterality, f.size_mm, f.prior_size_mm,
    f.change, f.location, concat_ws(':', s.report_id, s.start, s."end")
FROM study_reports j JOIN findings f ON f.report_id = j.report_id
JOIN sentences s ON s.report_id = f.report_id AND s.sentence = f.sentence
WHERE j.study_id IN (SELECT unnest($studies)) AND s.section IN (SELECT unnest($sections))
    AND f.status IN ('present', 'uncertain', 'absent')
ORDER BY j.study_id, j."order", f.report_id, f.sentence, f.start, f."end", f.finding, f.anatomy
"""

Told = dict[tuple[str, str], list[Mention]]
"""Mentions of a study by (anatomy, finding), in the order of its reports."""


class Part(NamedTuple):
    """What is read of some patients, by patient or study."""

    studies: Mapping[str, Mapping[str, str | None]]
    split: Mapping[str, str]
    samples: Mapping[str, Sequence[str]]
    reports: Mapping[str, set[str]]
    told: Mapping[str, Told]


def part_of(tables: Relations, patients: list[str], vocabulary: Vocabulary) -> Part:
    """What the tables hold of some patients.

    Raises:
        StoreError: a table cannot be read.
    """
    studies: dict[str, dict[str, str | None]] = defaultdict(dict)
    for patient, study, told in tables.rows(STUDIES, {"patients": patients}):
        studies[patient][study] = told
    chosen: dict[str, Any] = {"studies": [study for one in studies.values() for study in one]}
    samples, reports = defaultdict(list), defaultdict(set)
    for study, sample in tables.rows(SAMPLES, chosen):
        samples[study].append(sample)
    for study, report in tables.rows(REPORTS, chosen):
        reports[study].add(report)
    split = dict(tables.rows(SPLIT_OF, {"patients": patients}))
    return Part(studies, split, samples, reports, _told(tables, chosen, vocabulary))


def _told(tables: Relations, chosen: dict[str, Any], vocabulary: Vocabulary) -> dict[str, Told]:
    lobes = lobes_of(vocabulary)
    told: dict[str, Told] = defaultdict(lambda: defaultdict(list))
    asked = {**chosen, "sections": sorted(ASSERTING_SECTIONS)}
    for study, anatomy, finding, status, side, *sizes, location, source in tables.rows(
        MENTIONS, asked
    ):
        partial = location is not None and bool(lobes.of(location))
        size_mm, prior_size_mm, change = sizes
        told[study][anatomy, finding].append(
            Mention(status, side, size_mm, prior_size_mm, change, partial, source)
        )
    return told


def rows_of(part: Part, patient: str, counted: Counter[str]) -> Iterator[ChangeRow]:
    """The rows of a patient, by pair of studies, anatomy, finding and side; `counted` grows."""
    date_of = part.studies[patient]
    counted["studies"] += len(date_of)
    counted["studies without date"] += sum(not told for told in date_of.values())
    counted["studies without report"] += sum(study not in part.reports for study in date_of)
    for pair in study_pairs(date_of, part.reports.keys()):
        counted["pairs"] += 1
        for row in _rows_of_pair(part, patient, pair):
            counted["rows"] += 1
            counted[f"{row.change} by {row.stated_by}" if row.change else "without label"] += 1
            counted.update(f"conflict {one}" for one in row.conflicts)
            yield row


def _rows_of_pair(part: Part, patient: str, pair: StudyPair) -> Iterator[ChangeRow]:
    before, now = part.told.get(pair.prior, {}), part.told.get(pair.current, {})
    reports = part.reports.get(pair.prior, set())
    one_report = not reports.isdisjoint(part.reports[pair.current])
    for anatomy, finding in sorted({*before, *now}):
        mentions = before.get((anatomy, finding), []), now.get((anatomy, finding), [])
        for side in _sides(*mentions):
            then = said(mentions[0], side) if reports else Said("no_report")
            today = said(mentions[1], side)
            found = compared(then, today, adjacent=pair.between == 0, one_report=one_report)
            yield ChangeRow(
                patient_id=patient,
                split=part.split.get(patient),
                prior_study_id=pair.prior,
                study_id=pair.current,
                days=pair.days,
                studies_between=pair.between,
                anatomy=anatomy,
                finding=finding,
                laterality=side,
                prior_state=then.state,
                state=today.state,
                size_mm=today.size_mm,
                prior_size_mm=today.prior_size_mm,
                prior_report_size_mm=then.size_mm,
                change_by_words=found.by_words,
                change_by_sizes=found.by_sizes,
                change_by_presence=found.by_presence,
                change=found.label,
                stated_by=found.stated_by,
                conflicts=found.conflicts,
                remarks=tuple(sorted((*pair.remarks, *found.remarks))),
                prior_sample_ids=tuple(part.samples.get(pair.prior, ())),
                sample_ids=tuple(part.samples.get(pair.current, ())),
                prior_sources=then.sources,
                sources=today.sources,
            )


def _sides(before: Sequence[Mention], now: Sequence[Mention]) -> list[str | None]:
    """Sides that a row is made of: those named, and none where a study names no side of it."""
    both = (*before, *now)
    named = {one.laterality for one in both} - {None}
    sides: list[str | None] = [one for one in SIDES if one in named or "bilateral" in named]
    if not sides or any(one.status in POSITIVE and one.laterality is None for one in both):
        sides.append(None)
    return sides
