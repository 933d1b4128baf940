"""The earlier study that the writer of a report had before him, with what its reports say."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from fvlm_data.export.change.linked import study_pairs
from fvlm_data.export.layouts.scans import read_reports
from fvlm_data.reports.language.records import ASSERTING_SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fvlm_data.export.layouts.scans import Listed
    from fvlm_data.store.relations import Relations

OF_PATIENTS = """
SELECT patient_id, study_id, min(acquired_on) FROM volumes
WHERE patient_id IN (SELECT unnest($patients)) GROUP BY patient_id, study_id
"""

REPORTED = """
SELECT DISTINCT study_id FROM study_reports WHERE study_id IN (SELECT unnest($studies))
"""

MENTIONS = """
SELECT DISTINCT j.study_id, f.anatomy, f.finding, f.status, f.laterality, f.size_mm
FROM study_reports j JOIN findings f ON f.report_id = j.report_id
JOIN sentences s ON s.report_id = f.report_id AND s.sentence = f.sentence
WHERE j.study_id IN (SELECT unnest($studies)) AND s.section IN (SELECT unnest($sections))
    AND f.status IN ('present', 'uncertain', 'absent')
ORDER BY ALL
"""


class _Before(NamedTuple):
    study_id: str
    days: int
    remarks: tuple[str, ...]


def priors(tables: Relations, studies: Sequence[Listed]) -> dict[str, dict[str, Any]]:
    """By study: its last earlier study that has a report, its text by column, and its findings.

    A study without an earlier one is left out, as are those whose order is not known: of the same
    day, or without a date.

    Raises:
        StoreError: a table cannot be read.
    """
    before = _before(tables, {one.patient_id for one in studies})
    wanted = {one.study_id: before[one.study_id] for one in studies if one.study_id in before}
    earlier = sorted({one.study_id for one in wanted.values()})
    reports, mentions = read_reports(tables, earlier), _mentions(tables, earlier)
    return {
        study: {
            "study_id": one.study_id,
            "days": one.days,
            "remarks": list(one.remarks),
            "findings": reports[one.study_id].get("findings", ""),
            "impression": reports[one.study_id].get("impression", ""),
            "mentions": mentions[one.study_id],
        }
        for study, one in wanted.items()
    }


def _before(tables: Relations, patients: Iterable[str]) -> dict[str, _Before]:
    dates: dict[str, dict[str, str | None]] = defaultdict(dict)
    for patient, study, date in tables.rows(OF_PATIENTS, {"patients": sorted(patients)}):
        dates[patient][study] = date
    all_studies = [study for one in dates.values() for study in one]
    reported = {study for (study,) in tables.rows(REPORTED, {"studies": all_studies})}
    found: dict[str, _Before] = {}
    for date_of in dates.values():
        for pair in study_pairs(date_of, reported):
            # the last that has a report; of two of one day that of the greater id
            if pair.prior in reported:
                found[pair.current] = _Before(pair.prior, pair.days, pair.remarks)
    return found


def _mentions(tables: Relations, studies: Sequence[str]) -> Mapping[str, list[dict[str, Any]]]:
    asked = {"studies": list(studies), "sections": sorted(ASSERTING_SECTIONS)}
    names = ("anatomy", "finding", "status", "laterality", "size_mm")
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for study, *row in tables.rows(MENTIONS, asked):
        found[study].append(dict(zip(names, row, strict=True)))
    return found
