"""What a layout tells of each study: its patient's split, its volumes, its report by section."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.store.relations import Relations

STUDIES_AT_ONCE = 500

STUDIES = """
SELECT v.patient_id, v.study_id, any_value(s.split), min(v.acquired_on)
FROM volumes v LEFT JOIN splits s ON s.patient_id = v.patient_id
GROUP BY v.patient_id, v.study_id ORDER BY v.patient_id, min(v.acquired_on) NULLS LAST, v.study_id
"""

VOLUMES = """
SELECT study_id, volume_id, path, shape, spacing_mm, affine_ras, manufacturer, kernel,
    series_description, sex, age_years
FROM volumes WHERE study_id IN (SELECT unnest($studies)) ORDER BY study_id, volume_id
"""

REPORTS = """
SELECT j.study_id, r.text, r.sections
FROM study_reports j JOIN reports r ON r.report_id = j.report_id
WHERE j.study_id IN (SELECT unnest($studies)) ORDER BY j.study_id, j."order", r.report_id
"""

COLUMN_OF = {
    "clinical_information": "clinical_information",
    "technique": "technique",
    "comparison": "technique",
    "findings": "findings",
    "other": "findings",
    "impression": "impression",
}
"""Which of the four columns of CT-RATE's reports holds a section: all of a report stands in one."""


class Listed(NamedTuple):
    """A study in the order of its patient; `split` is none where the patient has none yet."""

    patient_id: str
    study_id: str
    split: str | None
    acquired_on: str | None


@dataclass(frozen=True, slots=True)
class VolumeFile:
    """A volume's file; shape (i, j, k), spacing in mm, affine to RAS+ mm as 16 numbers."""

    volume_id: str
    path: str
    shape: Sequence[int]
    spacing_mm: Sequence[float]
    affine_ras: Sequence[float]
    manufacturer: str | None
    kernel: str | None
    series_description: str | None
    sex: str | None
    age_years: float | None


@dataclass(frozen=True, slots=True)
class Scan:
    """A study with its volumes; `report` holds its text by column, none where it has none."""

    listed: Listed
    volumes: tuple[VolumeFile, ...]
    report: Mapping[str, str] | None


def listed_studies(tables: Relations) -> list[Listed]:
    """All studies that have a volume, by patient and then by date (studies without one last)."""
    return [Listed(*row) for row in tables.rows(STUDIES)]


def scans(tables: Relations, studies: Sequence[Listed]) -> Iterator[Scan]:
    """The studies in their order, some hundreds in memory at once.

    Raises:
        StoreError: a table cannot be read.
    """
    for start in range(0, len(studies), STUDIES_AT_ONCE):
        yield from _part(tables, studies[start : start + STUDIES_AT_ONCE])


def _part(tables: Relations, studies: Sequence[Listed]) -> Iterator[Scan]:
    chosen = {"studies": [one.study_id for one in studies]}
    volumes: dict[str, list[VolumeFile]] = defaultdict(list)
    for study, *row in tables.rows(VOLUMES, chosen):
        volumes[study].append(VolumeFile(*row))
    reports = read_reports(tables, chosen["studies"])
    for one in studies:
        yield Scan(one, tuple(volumes[one.study_id]), reports.get(one.study_id))


def read_reports(tables: Relations, studies: Sequence[str]) -> dict[str, dict[str, str]]:
    """By study that has reports: their text by the columns of `COLUMN_OF`, in their order.

    Raises:
        StoreError: a table cannot be read.
    """
    reports: dict[str, dict[str, list[str]]] = {}
    for study, text, sections in tables.rows(REPORTS, {"studies": list(studies)}):
        found = reports.setdefault(study, defaultdict(list))
        whole: list[dict[str, Any]] = [{"name": "other", "start": 0, "end": len(text)}]
        for section in sections or whole:
            content = text[section["start"] : section["end"]].strip()
            if content:
                found[COLUMN_OF[section["name"]]].append(content)
    return {
        study: {name: "\n".join(parts) for name, parts in told.items()}
        for study, told in reports.items()
    }
