"""What the phantom's clinical file holds: enough to tell an outcome, and the future to fall for."""

from __future__ import annotations

from pathlib import Path

from fvlm_data.phantom.clinical import COLUMNS, patient_rows, write_clinical
from fvlm_data.phantom.patient import draw_patient


def test_a_patient_is_the_same_whoever_else_is_there(tmp_path: Path):
    for name, patients in (("a", 3), ("b", 2)):
        (tmp_path / name).mkdir()
        write_clinical(tmp_path / name, patients, 7)
    few = (tmp_path / "b" / "clinical.csv").read_text().splitlines()
    assert few[0] == ",".join(COLUMNS)
    assert (tmp_path / "a" / "clinical.csv").read_text().splitlines()[: len(few)] == few


def test_those_who_die_were_ill_before_and_look_it_after():
    crp: dict[tuple[str, int], list[float]] = {}
    for index in range(150):
        patient = draw_patient(7, index)
        rows = patient_rows(patient)
        (outcome,) = [row for row in rows if row[2] == "DEATH"]
        last = patient.studies[-1].date.isoformat()
        assert outcome[1] > last
        for _, time, name, value, _ in rows:
            if name == "CRP":
                away = (time[:10] > last) - (time[:10] < last)
                crp.setdefault((outcome[3], away), []).append(float(value))
    mean = {key: sum(values) / len(values) for key, values in crp.items()}
    assert mean["1", -1] > 1.5 * mean["0", -1]
    assert mean["1", 1] > 10 * mean["0", 1]  # the future
    assert 0.2 < len(crp["1", 1]) / (len(crp["1", 1]) + len(crp["0", 1])) < 0.6
