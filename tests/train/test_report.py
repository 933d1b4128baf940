from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from fvlm_train.config import EvaluateConfig
from fvlm_train.evaluate.zero_shot import zero_shot
from fvlm_train.report.card import write_card
from fvlm_train.report.curves import write_curves
from fvlm_train.runs import write_json
from fvlm_train.testing import TOY_FINDINGS, toy_source
from fvlm_train.training.train import train

ANATOMIES = ("liver", "kidney", "lung")


@pytest.fixture
def run(tiny: Any, tmp_path: Path) -> Path:
    train(tiny(steps=4), toy_source(20, 0), tmp_path / "run", findings=TOY_FINDINGS)
    write_curves(tmp_path / "run", ANATOMIES)
    return tmp_path / "run"


def test_the_table_holds_every_step_of_the_log(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    with (run / "log.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4]
    for row, line in zip(rows, lines, strict=True):
        losses = {anatomy: row[f"loss_{anatomy}"] for anatomy in ANATOMIES}
        told = {anatomy: float(loss) for anatomy, loss in losses.items() if loss}
        assert told == line["losses"]
        assert float(row["wait_s"]) == line["wait_s"]


def test_the_page_asks_nothing_of_the_network_and_is_the_same_again(run: Path) -> None:
    page = (run / "curves.html").read_text()
    assert "<svg" in page
    assert "4 steps in" in page
    # names of XML vocabularies are no addresses that a browser fetches
    fetched = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?\s*(https?:[^\"')]*)", page)
    assert not fetched
    assert "<script" not in page
    write_curves(run, ANATOMIES)
    assert (run / "curves.html").read_text() == page
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_card_tells_data_recipe_and_figures_and_no_patient(run: Path) -> None:
    card = (run / "MODEL_CARD.md").read_text()
    assert "20 samples of 20 patients, split `train`" in card
    assert "4 of 4 steps: all steps were made" in card
    assert "Not evaluated yet" in card
    source = toy_source(20, 0)
    livers = [dict(zip(one.anatomies, one.states, strict=True))["liver"] for one in source.samples]
    abnormal = livers.count("abnormal")
    (line,) = [line for line in card.splitlines() if line.startswith("| liver |")]
    assert line.split("|")[2].strip() == str(abnormal)
    config = EvaluateConfig(min_positive_patients=1, bootstrap_samples=10)
    result, _ = zero_shot(run, source, TOY_FINDINGS, config)
    write_json(run / "zero_shot_test.json", result.as_json())
    write_card(run)
    card = (run / "MODEL_CARD.md").read_text()
    assert f"macro AUC {result.macro.auc:.3f}" in card
    assert all(f"| {row.finding} |" in card for row in result.table)
    assert "patient_0" not in card
    assert "study_" not in card


def test_a_run_without_its_configuration_gets_no_card(run: Path) -> None:
    (run / "MODEL_CARD.md").unlink()
    (run / "config.json").unlink()
    write_card(run)
    assert not (run / "MODEL_CARD.md").exists()
