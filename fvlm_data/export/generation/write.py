"""records.jsonl from the tables of a store: image, context and report of each study."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from fvlm_data.export.generation.priors import priors
from fvlm_data.export.layouts.scans import STUDIES_AT_ONCE, listed_studies, scans
from fvlm_data.export.outcome.windowed import Value, windowed
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fvlm_data.export.layouts.scans import Listed, Scan
    from fvlm_data.export.target import Draft
    from fvlm_data.store.tables import Store

RECORDS = "records.jsonl"
SUMMARY = "summary.json"
CONTEXT = ("clinical_information", "technique")
TARGETS = ("findings", "impression")

SAMPLES = """
SELECT study_id, sample_id FROM samples WHERE study_id IN (SELECT unnest($studies))
ORDER BY study_id, sample_id
"""

TEXTS = """
SELECT study_id, anatomy, text FROM anatomy_texts
WHERE study_id IN (SELECT unnest($studies)) AND state <> 'not_mentioned'
ORDER BY study_id, anatomy
"""


VALUES = """
SELECT patient_id, kind, name, value, observed_on, unit FROM clinical
WHERE patient_id IN (SELECT unnest($patients)) ORDER BY patient_id, number
"""


def write(
    store: Store, draft: Draft, progress: Callable[[int, int], None], *, window_days: int
) -> None:
    """Write `records.jsonl`, a line for each study with a report and a split, and `summary.json`.

    A line has study_id, patient_id, split, volumes (volume_id and path in the store), samples, and

    - context, what is known before the report is written: age_years, sex, clinical_information,
      technique; clinical, the last value of each name (kind, name, value, unit) from `window_days`
      before the image's day to the day before it; and prior: the last earlier study with a
      report (study_id, days, remarks, findings, impression, mentions), or none;
    - targets: findings and impression as reported, and `anatomies`, the sentences about each
      anatomy that the report speaks of.

    Nothing of the study's own findings stands in its context. The summary counts the studies and
    what was left out, by reason.

    Raises:
        StoreError: a table cannot be read.
    """
    tables = Relations(store)
    listed = listed_studies(tables)
    counted: Counter[str] = Counter(studies=len(listed), records=0)
    with draft.open(RECORDS) as handle:
        for start in range(0, len(listed), STUDIES_AT_ONCE):
            some = listed[start : start + STUDIES_AT_ONCE]
            chosen = {"studies": [one.study_id for one in some]}
            before, values = priors(tables, some), _values(tables, some, window_days)
            samples: dict[str, list[str]] = defaultdict(list)
            for study, sample in tables.rows(SAMPLES, chosen):
                samples[study].append(sample)
            texts: dict[str, dict[str, str]] = defaultdict(dict)
            for study, anatomy, text in tables.rows(TEXTS, chosen):
                texts[study][anatomy] = text
            for scan in scans(tables, some):
                study = scan.listed.study_id
                why_not = _why_not(scan)
                if why_not is not None:
                    counted[why_not] += 1
                    continue
                record = _record(scan, samples[study], texts[study])
                record["context"] |= {"clinical": values[study], "prior": before.get(study)}
                counted["records"] += 1
                counted["with_prior"] += record["context"]["prior"] is not None
                handle.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            progress(min(start + STUDIES_AT_ONCE, len(listed)), len(listed))
    draft.write(SUMMARY, json.dumps(dict(sorted(counted.items())), indent=1).encode())


def _why_not(scan: Scan) -> str | None:
    if scan.report is None:
        return "without_report"
    if scan.listed.split is None:
        return "without_split"
    return None if any(scan.report.get(name) for name in TARGETS) else "without_findings"


def _values(
    tables: Relations, studies: Sequence[Listed], window_days: int
) -> dict[str, list[dict[str, Any]]]:
    """By study what was measured of its patient before its day, in the order of kind and name."""
    of_patient: dict[str, list[Value]] = defaultdict(list)
    unit_of: dict[tuple[str, str], str] = {}
    patients = sorted({one.patient_id for one in studies})
    for patient, kind, name, value, observed, unit in tables.rows(VALUES, {"patients": patients}):
        of_patient[patient].append(Value(kind, name, value, observed))
        unit_of[kind, name] = unit
    found = {}
    for one in studies:
        day = dt.date.fromisoformat(one.acquired_on) if one.acquired_on else None
        features = windowed(of_patient[one.patient_id], day, window_days).features
        found[one.study_id] = [
            {"kind": kind, "name": name, "value": value, "unit": unit_of[kind, name]}
            for (kind, name), value in sorted(features.items())
        ]
    return found


def _record(scan: Scan, samples: Sequence[str], texts: Mapping[str, str]) -> dict[str, Any]:
    report = scan.report or {}
    first = scan.volumes[0]
    return {
        "study_id": scan.listed.study_id,
        "patient_id": scan.listed.patient_id,
        "split": scan.listed.split,
        "volumes": [{"volume_id": one.volume_id, "path": one.path} for one in scan.volumes],
        "samples": list(samples),
        "context": {
            "age_years": first.age_years,
            "sex": first.sex,
            **{name: report.get(name, "") for name in CONTEXT},
        },
        "targets": {
            **{name: report.get(name, "") for name in TARGETS},
            "anatomies": dict(texts),
        },
    }
