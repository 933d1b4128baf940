"""studies.parquet from the tables of a store: a row a study."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fvlm_data.errors import InputError
from fvlm_data.export.change.said import POSITIVE
from fvlm_data.export.outcome.label import label
from fvlm_data.export.outcome.windowed import FEATURES, Value, date_of, windowed
from fvlm_data.reports.language.records import ASSERTING_SECTIONS
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fvlm_data.export.target import Draft
    from fvlm_data.store.tables import Store

STUDIES_FILE = "studies.parquet"
COLUMNS_FILE = "columns.json"
LEFT_OUT_FILE = "left_out.csv"
SUMMARY_FILE = "summary.json"
PATIENTS_AT_ONCE = 500

OUTCOMES = "SELECT DISTINCT name FROM clinical WHERE kind = 'outcome' ORDER BY name"
CLINICAL_NAMES = """
SELECT DISTINCT kind, name, unit FROM clinical WHERE kind IN (SELECT unnest($kinds))
ORDER BY kind, name
"""
IMAGE_NAMES = """
SELECT DISTINCT region_kind, region, family, feature, unit FROM radiomics ORDER BY ALL
"""
FINDING_NAMES = "SELECT DISTINCT finding FROM findings ORDER BY finding"

PATIENTS = "SELECT DISTINCT patient_id FROM volumes ORDER BY patient_id"
STUDIES = """
SELECT patient_id, study_id, min(acquired_on),
    arg_max(volume_id, (shape[3], volume_id)) FROM volumes
WHERE patient_id IN (SELECT unnest($patients)) GROUP BY patient_id, study_id
ORDER BY patient_id, study_id
"""
"""Of several volumes of a study that of the most slices is measured; the day is the first's."""

SPLIT_OF = "SELECT patient_id, split FROM splits WHERE patient_id IN (SELECT unnest($patients))"
VALUES = """
SELECT patient_id, kind, name, value, observed_on FROM clinical
WHERE patient_id IN (SELECT unnest($patients)) ORDER BY patient_id, number
"""
MEASURED = """
SELECT volume_id, region_kind, region, family, feature, value FROM radiomics
WHERE volume_id IN (SELECT unnest($volumes))
"""
REPORTED = "SELECT DISTINCT study_id FROM study_reports WHERE study_id IN (SELECT unnest($studies))"
FOUND = """
SELECT DISTINCT j.study_id, f.finding FROM study_reports j
JOIN findings f ON f.report_id = j.report_id
JOIN sentences s ON s.report_id = f.report_id AND s.sentence = f.sentence
WHERE j.study_id IN (SELECT unnest($studies)) AND s.section IN (SELECT unnest($sections))
    AND f.status IN (SELECT unnest($statuses))
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the table is to hold: the outcome, within how many days, of values of how many."""

    outcome: str
    window_days: int
    horizon_days: int


class _Study(NamedTuple):
    patient: str
    study: str
    day: str | None
    volume: str


@dataclass(slots=True)
class _Made:
    """Counts of the whole table; `left_out` by study, name and reason."""

    studies: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    left_out: list[tuple[str, str, str, int]] = field(default_factory=list)


def write(
    store: Store, draft: Draft, progress: Callable[[int, int], None], *, asked: Asked
) -> None:
    """Write the studies with their columns, what was left out of them, and a summary.

    Raises:
        InputError: the store has no such outcome.
        StoreError: a table cannot be read.
    """
    tables = Relations(store)
    outcomes = [name for (name,) in tables.rows(OUTCOMES)]
    if asked.outcome not in outcomes:
        raise InputError(
            f"outcome {asked.outcome!r}: not in table clinical; expected one of "
            f"{', '.join(outcomes) or 'none: run `curate` with section clinical'}"
        )
    columns = _columns(tables)
    schema = _schema(columns)
    patients = [patient for (patient,) in tables.rows(PATIENTS)]
    made = _Made()
    with draft.open(STUDIES_FILE) as handle, pq.ParquetWriter(handle, schema) as written:
        for start in range(0, len(patients), PATIENTS_AT_ONCE):
            part = patients[start : start + PATIENTS_AT_ONCE]
            rows = list(_rows(tables, part, columns, asked, made))
            written.write_table(pa.Table.from_pylist(rows, schema=schema))
            progress(min(start + PATIENTS_AT_ONCE, len(patients)), len(patients))
    told = {name: {**one, "studies": made.known[name]} for name, one in columns.items()}
    draft.write(COLUMNS_FILE, json.dumps(told, indent=1).encode())
    draft.write(LEFT_OUT_FILE, _csv(made.left_out))
    summary = {**asdict(asked), **dict(sorted(made.studies.items()))}
    draft.write(SUMMARY_FILE, json.dumps(summary, indent=1).encode())


def _columns(tables: Relations) -> dict[str, dict[str, str]]:
    """Part and unit of each column of features, by its name."""
    made = {}
    for kind, region, family, feature, unit in tables.rows(IMAGE_NAMES):
        made[f"image:{kind}:{region}:{family}:{feature}"] = {"part": "image", "unit": unit}
    for kind, name, unit in tables.rows(CLINICAL_NAMES, {"kinds": list(FEATURES)}):
        made[f"clinical:{kind}:{name}"] = {"part": "clinical", "unit": unit}
    for (finding,) in tables.rows(FINDING_NAMES):
        made[f"finding:{finding}"] = {"part": "finding", "unit": "1"}
    return made


def _schema(columns: Mapping[str, Mapping[str, str]]) -> pa.Schema:
    texts = ("study_id", "patient_id", "split", "acquired_on", "outcome_reason")
    fields = [pa.field(name, pa.string()) for name in texts]
    fields += [pa.field(name, pa.int64()) for name in ("outcome", "outcome_days")]
    fields += [
        pa.field(name, pa.float64(), metadata={"unit": one["unit"]})
        for name, one in columns.items()
    ]
    return pa.schema(fields)


def _rows(
    tables: Relations,
    patients: list[str],
    columns: Mapping[str, Any],
    asked: Asked,
    made: _Made,
) -> Iterator[dict[str, Any]]:
    studies = [_Study(*row) for row in tables.rows(STUDIES, {"patients": patients})]
    split = dict(tables.rows(SPLIT_OF, {"patients": patients}))
    values: dict[str, list[Value]] = defaultdict(list)
    for patient, *told in tables.rows(VALUES, {"patients": patients}):
        values[patient].append(Value(*told))
    measured = _measured(tables, [one.volume for one in studies])
    findings = _findings(tables, [one.study for one in studies], columns)
    for one in studies:
        day = date_of(one.day) if one.day else None
        clinical = windowed(values[one.patient], day, asked.window_days)
        mine = [v for v in values[one.patient] if (v.kind, v.name) == ("outcome", asked.outcome)]
        came = label(mine, day, asked.horizon_days)
        made.left_out += [(one.study, name, why, number)
                          for (name, why), number in sorted(clinical.left_out.items())]  # fmt: skip
        made.studies["studies"] += 1
        made.studies[came.why or f"outcome {came.outcome}"] += 1
        features: dict[str, float | None] = {
            f"clinical:{kind}:{name}": v for (kind, name), v in clinical.features.items()
        }
        features.update(measured[one.volume])
        features.update(findings[one.study])
        made.known.update(name for name, value in features.items() if value is not None)
        yield {
            "study_id": one.study,
            "patient_id": one.patient,
            "split": split.get(one.patient),
            "acquired_on": one.day,
            "outcome": came.outcome,
            "outcome_days": came.days,
            "outcome_reason": came.why,
            **features,
        }


def _measured(tables: Relations, volumes: Sequence[str]) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = defaultdict(dict)
    for volume, *name, value in tables.rows(MEASURED, {"volumes": list(volumes)}):
        found[volume][":".join(["image", *name])] = value
    return found


def _findings(
    tables: Relations, studies: Sequence[str], columns: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """1 where the reports of a study have a finding (or hold it possible), 0 where not."""
    chosen = {"studies": list(studies)}
    every = [name for name in columns if name.startswith("finding:")]
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for (study,) in tables.rows(REPORTED, chosen):
        found[study] = dict.fromkeys(every, 0.0)
    asked = {**chosen, "sections": sorted(ASSERTING_SECTIONS), "statuses": list(POSITIVE)}
    for study, finding in tables.rows(FOUND, asked):
        found[study][f"finding:{finding}"] = 1.0
    return found


def _csv(rows: Sequence[tuple[str, str, str, int]]) -> bytes:
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(("study_id", "name", "reason", "values"))
    writer.writerows(rows)
    return made.getvalue().encode()
