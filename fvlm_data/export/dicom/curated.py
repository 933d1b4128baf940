"""What the tables hold of each study: its volumes with their label maps, and its findings."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.records import ASSERTING_SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.store.relations import Relations

STUDIES_AT_ONCE = 500

STUDIES = "SELECT DISTINCT study_id FROM volumes ORDER BY study_id"

VOLUMES = """
SELECT study_id, patient_id, volume_id, path, shape, affine_ras, content_sha256, acquired_on, sex,
    age_years
FROM volumes WHERE study_id IN (SELECT unnest($studies)) ORDER BY study_id, volume_id
"""

MASKS = """
SELECT v.study_id, m.volume_id, m.task, m.path, m.content_sha256, m.backend, m.backend_version,
    m.class_value, m.class_name
FROM masks m JOIN volumes v ON v.volume_id = m.volume_id
WHERE v.study_id IN (SELECT unnest($studies)) ORDER BY m.volume_id, m.task, m.class_value
"""

FINDINGS = """
SELECT j.study_id, f.report_id, f.sentence, f.start, f.finding, f.anatomy, f.status, f.laterality,
    f.severity, f.size_mm, f.change, s.text
FROM study_reports j
JOIN findings f ON f.report_id = j.report_id
JOIN sentences s ON s.report_id = f.report_id AND s.sentence = f.sentence
WHERE j.study_id IN (SELECT unnest($studies)) AND s.section IN (SELECT unnest($sections))
ORDER BY j.study_id, j."order", f.report_id, f.sentence, f.start, f."end", f.finding, f.anatomy
"""


class Volume(NamedTuple):
    """What an object tells of a volume; `shape` and `affine_ras` (16 numbers) as in the table."""

    volume_id: str
    path: str
    shape: Sequence[int]
    affine_ras: Sequence[float]
    content_sha256: str


class LabelMap(NamedTuple):
    """A label map of a volume; `classes` are (value, name) of what it shows, by value."""

    volume_id: str
    task: str
    path: str
    content_sha256: str
    backend: str
    backend_version: str
    classes: tuple[tuple[int, str], ...]


class Said(NamedTuple):
    """One mention of a finding in a section that tells what the study shows, with its sentence."""

    report_id: str
    sentence: int
    start: int
    finding: str
    anatomy: str
    status: str
    laterality: str | None
    severity: str | None
    size_mm: float | None
    change: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Study:
    """One study; `date` is the earliest shifted date of its volumes, YYYY-MM-DD."""

    study_id: str
    patient_id: str
    date: str | None
    sex: str | None
    age_years: float | None
    volumes: tuple[Volume, ...]
    label_maps: tuple[LabelMap, ...]
    findings: tuple[Said, ...]


def study_ids(tables: Relations) -> list[str]:
    """Ids of all studies that have a volume, sorted."""
    return [study for (study,) in tables.rows(STUDIES)]


def curated_studies(tables: Relations, studies: Sequence[str]) -> Iterator[Study]:
    """The named studies in their order, some hundreds in memory at once.

    Raises:
        StoreError: a table cannot be read.
    """
    for start in range(0, len(studies), STUDIES_AT_ONCE):
        yield from _part(tables, list(studies[start : start + STUDIES_AT_ONCE]))


def _part(tables: Relations, studies: list[str]) -> Iterator[Study]:
    chosen = {"studies": studies}
    volumes = defaultdict(list)
    for study, *row in tables.rows(VOLUMES, chosen):
        volumes[study].append(row)
    maps = _label_maps(tables, studies)
    findings: dict[str, list[Said]] = defaultdict(list)
    for study, *told in tables.rows(FINDINGS, {**chosen, "sections": sorted(ASSERTING_SECTIONS)}):
        findings[study].append(Said(*told))
    for study in studies:
        rows = volumes[study]
        patient, *_, sex, age = rows[0]
        yield Study(
            study_id=study,
            patient_id=patient,
            date=min((row[6] for row in rows if row[6]), default=None),
            sex=sex,
            age_years=age,
            volumes=tuple(Volume(*row[1:6]) for row in rows),
            label_maps=tuple(maps[study]),
            findings=tuple(findings[study]),
        )


def _label_maps(tables: Relations, studies: list[str]) -> dict[str, list[LabelMap]]:
    classes: dict[tuple[str, ...], list[tuple[int, str]]] = defaultdict(list)
    for *of_map, value, name in tables.rows(MASKS, {"studies": studies}):
        classes[tuple(of_map)].append((value, name))
    maps: dict[str, list[LabelMap]] = defaultdict(list)
    for (study, *of_map), shown in classes.items():
        volume, task, path, content, backend, version = of_map
        maps[study].append(LabelMap(volume, task, path, content, backend, version, tuple(shown)))
    return maps
