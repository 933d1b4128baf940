"""What the tables hold of findings and of the organs and patients that have them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from fvlm_data.reports.language.records import ASSERTING_SECTIONS
from fvlm_data.segment.organ_volumes import OF_VOLUME, named_classes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.store.relations import Relations
    from fvlm_data.vocabulary import Vocabulary

STUDIES = """
SELECT v.study_id, min(v.patient_id), min(p.split), min(v.age_years),
    min(v.sex)
FROM volumes v LEFT JOIN splits p ON p.patient_id = v.patient_id
WHERE v.study_id IN (SELECT study_id FROM study_reports) GROUP BY v.study_id ORDER BY v.study_id
"""

SAMPLES = """
SELECT study_id, sample_id FROM samples WHERE study_id IN (SELECT unnest($studies))
ORDER BY study_id, sample_id
"""

MENTIONS = """
SELECT j.study_id, f.anatomy, f.finding, f.status, f.laterality, f.severity, f.size_mm, f.count,
    f.location, f.change, concat_ws(':', s.report_id, s.start, s."end") AS source, f.start
FROM study_reports j JOIN findings f ON f.report_id = j.report_id
JOIN sentences s ON s.report_id = f.report_id AND s.sentence = f.sentence
WHERE j.study_id IN (SELECT unnest($studies)) AND s.section IN (SELECT unnest($sections))
    AND f.status IN ('present', 'uncertain')
ORDER BY j.study_id, j."order", f.report_id, f.start, f."end", f.finding, f.anatomy
"""

SYSTEMS = "SELECT DISTINCT class_system FROM masks ORDER BY class_system"

ORGANS = f"""
WITH measured AS (
    SELECT m.* FROM masks m JOIN volumes v ON v.volume_id = m.volume_id
    WHERE v.study_id IN (SELECT unnest($studies)) AND m.voxels > 0
), {OF_VOLUME}, cut AS (
    SELECT volume_id, anatomy, bool_or(touches_border) AS is_cut
    FROM measured JOIN classes USING (class_system, class_name) GROUP BY ALL
)
SELECT v.study_id, anatomy, max(ml), arg_max(is_cut, ml)
FROM of_volume JOIN cut USING (volume_id, anatomy) JOIN volumes v USING (volume_id)
GROUP BY v.study_id, anatomy
"""

TRAIN_PATIENTS = """
WITH train AS (SELECT patient_id FROM splits WHERE split = 'train')
SELECT f.finding, count(DISTINCT v.patient_id)
FROM volumes v JOIN train t ON t.patient_id = v.patient_id
JOIN study_reports j ON j.study_id = v.study_id JOIN findings f ON f.report_id = j.report_id
JOIN sentences s ON s.report_id = f.report_id AND s.sentence = f.sentence
WHERE f.status = 'present' AND s.section IN (SELECT unnest($sections))
GROUP BY f.finding ORDER BY f.finding
"""

IN_TRAIN = "SELECT count(*) FROM splits WHERE split = 'train'"


class Patient(NamedTuple):
    """Whose a study is."""

    patient_id: str
    split: str | None
    age_years: int | None
    sex: str | None


class Organ(NamedTuple):
    """What the masks of a study show of an anatomy: its volume, and whether it is cut."""

    ml: float
    cut: bool


def reported_studies(tables: Relations) -> dict[str, Patient]:
    """Studies with a volume and a report, in order of their ids."""
    return {study: Patient(*row) for study, *row in tables.rows(STUDIES)}


def samples_of(tables: Relations, studies: Sequence[str]) -> dict[str, list[str]]:
    """Sample ids by study."""
    found: dict[str, list[str]] = defaultdict(list)
    for study, sample in tables.rows(SAMPLES, {"studies": list(studies)}):
        found[study].append(sample)
    return found


def mentions(tables: Relations, studies: Sequence[str]) -> list[tuple[Any, ...]]:
    """Columns of MENTIONS, in the order of studies, reports and characters."""
    return tables.rows(MENTIONS, {"studies": list(studies), "sections": sorted(ASSERTING_SECTIONS)})


def organs(
    tables: Relations, studies: Sequence[str], vocabulary: Vocabulary
) -> dict[tuple[str, str], Organ]:
    """By study and anatomy, of the volume that shows most of it."""
    systems = [system for (system,) in tables.rows(SYSTEMS)]
    asked = {"studies": list(studies), **named_classes(systems, vocabulary)}
    return {(study, anatomy): Organ(ml, cut) for study, anatomy, ml, cut in
            tables.rows(ORGANS, asked)}  # fmt: skip


def train_patients(tables: Relations) -> dict[str, int] | None:
    """Patients of split train by the findings that are present in them; none: nobody is in it."""
    ((number,),) = tables.rows(IN_TRAIN)
    if not number:
        return None
    return dict(tables.rows(TRAIN_PATIENTS, {"sections": sorted(ASSERTING_SECTIONS)}))
