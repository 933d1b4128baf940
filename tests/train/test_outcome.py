"""Outcome by image, clinic and findings: a planted signal is found, and where none is, none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control
from typer.testing import CliRunner

from fvlm_train.cli import eval_app
from fvlm_train.evaluate.outcome import benjamini_hochberg, enrichment, filled, read_studies

FINDINGS = 60
FEW = ("--set", "evaluate.bootstrap_samples=100")


@pytest.fixture(autouse=True)
def one_strength(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fvlm_train.evaluate.probe.STRENGTHS", (0.1,))


def written(folder: Path, image: float, clinic: float, finding: float, patients: int = 300) -> Path:
    """Studies whose outcome moves one feature of each part by so much."""
    rng = np.random.default_rng(5)
    rows: list[dict[str, Any]] = []
    for number in range(patients):
        came = int(rng.random() < 0.4)
        shift = came - 0.5
        row: dict[str, Any] = {
            "study_id": f"st_{number}", "patient_id": f"p_{number}",
            "split": "train" if number % 3 else "test", "acquired_on": "2020-06-10",
            "outcome": came, "outcome_days": 3 if came else None, "outcome_reason": "",
            "image:anatomy:lung:bands:ground_glass": rng.normal() + image * shift,
            "image:anatomy:lung:bands:aerated": rng.normal(),
            "image:anatomy:lung:shape:constant": 1.0,
            "clinical:laboratory:crp": rng.normal() + clinic * shift,
            "clinical:laboratory:urea": rng.normal() if rng.random() < 0.7 else None,
            "clinical:laboratory:never": None,
        }  # fmt: skip
        for place in range(FINDINGS):
            moved = finding * shift if place == 0 else 0.0
            row[f"finding:f{place:02}"] = float(rng.random() < 0.3 + moved)
        rows.append(row)
    rows.append({**rows[0], "outcome": None, "outcome_reason": "outcome_not_known"})
    file = folder / "studies.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file


def told(file: Path, *more: str) -> Any:
    return CliRunner().invoke(eval_app, ["outcome", str(file), *FEW, *more])


def test_planted_signals_are_found_each_in_its_part(tmp_path: Path):
    result = told(written(tmp_path, 2.0, 2.0, 0.5), "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    auc = {row["part"]: row for row in found["table"]}
    assert list(auc) == ["image", "clinical", "image + clinical", "findings"]
    assert auc["image"]["low"] > 0.7
    assert auc["clinical"]["low"] > 0.7
    assert auc["image + clinical"]["auc"] > max(auc["image"]["auc"], auc["clinical"]["auc"])
    assert all(row["low"] <= row["auc"] <= row["high"] for row in auc.values())
    # a constant column is none, one with gaps has a flag
    assert (auc["image"]["features"], auc["clinical"]["features"]) == (2, 3)
    assert [one["finding"] for one in found["enriched"] if one["q"] <= 0.05] == ["f00"]
    assert found["enriched"][0]["odds_ratio"] > 2
    gain = {row["part"]: row for row in found["differences"]}["image + clinical - clinical"]
    assert gain["low"] > 0
    assert (found["fitted_on"], found["judged"], found["unknown"]) == (200, 100, 1)


def test_where_there_is_none_none_is_found(tmp_path: Path):
    found = json.loads(told(written(tmp_path, 0.0, 0.0, 0.0), "--json").stdout)
    # 100 studies, 40 of them with the outcome: a standard error of 0.06
    assert all(abs(row["auc"] - 0.5) < 0.15 for row in found["table"])
    assert [one["finding"] for one in found["enriched"] if one["q"] <= 0.05] == []
    # without the control there would have been some
    assert min(one["p"] for one in found["enriched"]) < 0.05


def test_a_part_without_features_is_told(tmp_path: Path):
    file = written(tmp_path, 1.0, 1.0, 0.0)
    table = pq.read_table(file)
    plain = [name for name in table.column_names if not name.startswith("image:")]
    pq.write_table(table.select(plain), file)
    lines = told(file).stdout.splitlines()
    assert "image not judged: no feature that differs between studies it is fitted on" in lines
    assert any(line.startswith("fitted on 200 studies, judged on 100 of 100 pat") for line in lines)
    assert lines[-1] == "1 studies without a known outcome left out"


def test_what_is_fitted_may_be_chosen(tmp_path: Path):
    file = written(tmp_path, 1.0, 1.0, 0.5)
    chosen = ("--only", "image:*:ground_glass", "--only", "clinical:*:crp", "--json")
    found = json.loads(told(file, *chosen).stdout)
    assert {row["part"]: row["features"] for row in found["table"]} == {
        "image": 1, "clinical": 1, "image + clinical": 2,
    }  # fmt: skip
    assert list(found["left_out"]) == ["findings"]
    assert len(found["enriched"]) == FINDINGS
    assert "--only image:lung*: of no column" in told(file, "--only", "image:lung*").output


def test_what_cannot_be_judged_is_told(tmp_path: Path):
    file = written(tmp_path, 1.0, 1.0, 0.0)
    assert "split validation: 0 of 0 studies" in told(file, "--split", "validation").output
    assert "is judged on another split" in told(file, "--fit-on", "test").output
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"study_id": ["a"]}), other)
    assert "lacks column patient_id" in " ".join(told(other).output.split())


def test_one_study_a_patient_counts_in_enrichment(tmp_path: Path):
    file = written(tmp_path, 0.0, 0.0, 0.5, patients=60)
    table = pq.read_table(file)
    rows = table.to_pylist()
    later = [{**row, "study_id": f"{row['study_id']}_b", "acquired_on": "2021-01-01",
              "finding:f00": 1.0} for row in rows]  # fmt: skip
    twice = tmp_path / "twice.parquet"
    pq.write_table(pa.Table.from_pylist([*later, *rows], schema=table.schema), twice)
    assert enrichment(read_studies(twice)[0]) == enrichment(read_studies(file)[0])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_q_is_that_of_benjamini_and_hochberg(p: list[float]):
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))


def test_unknown_features_are_filled_by_what_is_fitted_on_alone():
    train = np.array([[1.0, np.nan, 5.0], [3.0, np.nan, 5.0], [np.nan, np.nan, 5.0]])
    test = np.array([[100.0, 7.0, np.nan], [np.nan, 8.0, 6.0]])
    fitting, asked = filled(train, test)
    assert fitting.tolist() == [[1.0, 0.0], [3.0, 0.0], [2.0, 1.0]]
    assert asked.tolist() == [[100.0, 0.0], [2.0, 1.0]]
