"""Values about synthetic patients that are no images: what a laboratory and a ward would export.

A hidden illness of each patient raises CRP and lowers oxygen saturation before each scan; it and
findings of the lungs raise the risk to die after the last one. So image and clinic each tell
something of the outcome, and a part of it is chance. Days after the scan have values too, which
know of the outcome: whoever uses them sees the future.
"""

from __future__ import annotations

import csv
import datetime as dt
import math
from typing import TYPE_CHECKING

from fvlm_data.phantom.draws import chance, gauss, stream, uniform
from fvlm_data.phantom.patient import draw_patient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

    from fvlm_data.phantom.patient import Patient, Study

FILE = "clinical.csv"
COLUMNS = ("patient_id", "time", "name", "value", "unit")
PURPOSE = 40
FOLLOWED_DAYS = 200
FROM_ILLNESS, FROM_LUNGS, BASE = 1.5, 2.0, -1.2
"""Logistic risk of death: what a unit of illness, a lung finding, and nothing at all add."""

Row = tuple[str, str, str, str, str]


def write_clinical(out: Path, patients: int, seed: int) -> int:
    """Write clinical.csv of the patients of a phantom; returns the number of its rows."""
    rows = [row for index in range(patients) for row in patient_rows(draw_patient(seed, index))]
    with (out / FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return len(rows)


def patient_rows(patient: Patient) -> list[Row]:
    """All rows of one patient, in the order of their times."""
    rng = stream(patient.seed, patient.index, PURPOSE)
    illness = gauss(rng, 0.0, 1.0)
    last = patient.studies[-1]
    lungs = sum(one.kind.anatomy == "lung" for one in last.findings.values())
    risk = 1 / (1 + math.exp(-(BASE + FROM_ILLNESS * illness + FROM_LUNGS * lungs)))
    died = chance(rng, risk)
    rows = [row for study in patient.studies for row in _around(patient, study, illness, died, rng)]
    days = 1 + int(uniform(rng, 2, 60)) if died else FOLLOWED_DAYS
    end = (last.date + dt.timedelta(days=days)).isoformat()
    rows.append((patient.patient_id, end, "DEATH", str(int(died)), ""))
    return sorted(rows, key=lambda row: row[1])


def _around(
    patient: Patient, study: Study, illness: float, died: bool, rng: np.random.Generator
) -> Iterator[Row]:
    """Values of the day before a scan, of its day, and of the day after, when the future shows."""
    for away in (-1, 0, 1):
        day = study.date + dt.timedelta(days=away)
        ill = illness + (6.0 * died if away > 0 else 0.0)
        crp = math.exp(gauss(rng, 2.0 + 0.8 * ill, 0.7))
        told = (
            ("CRP", f"{min(crp, 900):.1f}", "mg/L"),
            ("SPO2", f"{min(max(gauss(rng, 95 - 1.5 * ill, 1.5), 40), 100):.0f}", "%"),
            ("CREA", f"{max(gauss(rng, 1.0, 0.2), 0.3):.2f}", "mg/dL"),
            ("MOOD", f"{uniform(rng, 0, 10):.0f}", ""),  # nobody's analyte
        )
        for name, value, unit in told:
            hour = 6 + int(uniform(rng, 0, 12))
            yield patient.patient_id, f"{day}T{hour:02}:00", name, value, unit
