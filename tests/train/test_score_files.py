"""`fvlm-eval score` and files of labels as users have them."""

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
from sklearn import metrics
from typer.testing import CliRunner

from fvlm_data.errors import InputError
from fvlm_data.vocabulary import Vocabulary
from fvlm_train.cli import eval_app
from fvlm_train.config import EvaluateConfig
from fvlm_train.evaluate.cells import read_cells
from fvlm_train.evaluate.decisions import (
    GRID,
    average_precision,
    calibration_error,
    closest_corner,
    decided,
    youden,
)
from fvlm_train.evaluate.names import FindingNames
from fvlm_train.evaluate.score_files import Pair, printed, score_files

CONFIG = EvaluateConfig(min_positive_patients=1, bootstrap_samples=50)


@pytest.fixture(scope="module")
def names() -> FindingNames:
    return FindingNames(Vocabulary.load("en").findings)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def drawn(seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    positive = rng.random(60) < 0.3
    positive[:2] = True, False
    return np.round(rng.random(60) * 0.5 + 0.3 * positive, 2), positive


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_rates_are_those_of_scikit_learn(seed: int) -> None:
    score, positive = drawn(seed)
    for threshold in (closest_corner(score, positive), youden(score, positive), 0.99):
        got, said = decided(score, positive, threshold), score > threshold
        assert got.sensitivity == pytest.approx(metrics.recall_score(positive, said))
        assert got.specificity == pytest.approx(metrics.recall_score(~positive, ~said))
        assert got.accuracy == pytest.approx(metrics.accuracy_score(positive, said))
        for average, value in (("weighted", got.f1_weighted), ("macro", got.f1_macro)):
            assert value == pytest.approx(metrics.f1_score(positive, said, average=average))
        if said.any():
            assert got.precision == pytest.approx(metrics.precision_score(positive, said))
        else:
            assert got.precision is None
    assert average_precision(score, positive) == pytest.approx(
        metrics.average_precision_score(positive, score)
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_thresholds_are_those_of_a_plain_loop(seed: int) -> None:
    """The public code's: of equal distances the last; Youden's: no other does better."""
    score, positive = drawn(seed)

    def distance(threshold: float) -> float:
        at = decided(score, positive, threshold)
        return (1 - at.sensitivity) ** 2 + (1 - at.specificity) ** 2

    best, place = np.inf, 0.0
    for threshold in GRID:
        if distance(threshold) <= best:
            best, place = distance(threshold), threshold
    assert distance(closest_corner(score, positive)) == pytest.approx(best)
    assert closest_corner(score, positive) >= place - 1e-9
    found = decided(score, positive, youden(score, positive))
    for threshold in np.linspace(-0.01, 1, 203):
        at = decided(score, positive, threshold)
        assert at.sensitivity + at.specificity <= found.sensitivity + found.specificity + 1e-9


def test_calibration_by_hand() -> None:
    score = np.array([0.1, 0.1, 0.9, 0.9])
    assert calibration_error(score, np.array([False, False, True, False])) == pytest.approx(0.25)
    assert calibration_error(score * 3, np.array([True] * 4)) is None


WIDE_LABELS = (
    "VolumeName,Medical material,Lung nodule,Cardiomegaly\n"
    "valid_1_a_1.nii.gz,0,1,0\nvalid_1_a_2.nii.gz,0,1,0\nvalid_2_a_1.nii.gz,1,0,1\n"
    "valid_3_a_1.nii.gz,0,0,-1\nvalid_4_a_1.nii.gz,0,,1\n"
)
WIDE_SCORES = (
    "VolumeName,lung_nodule,Cardiomegaly,remark\n"
    "/data/valid_1_a_1.nii.gz,.9,.1,x\nvalid_1_a_2,.8,.2,x\nvalid_2_a_1,.1,.6,x\n"
    "valid_3_a_1,.2,.9,x\nvalid_4_a_1,.3,,x\nvalid_9_a_1,.3,.4,x\n"
)


def test_wide_files_of_ct_rate_are_scored(tmp_path: Path, names: FindingNames) -> None:
    pair = Pair(written(tmp_path / "p.csv", WIDE_SCORES), written(tmp_path / "l.csv", WIDE_LABELS))
    result = score_files(pair, CONFIG, names)
    counts = {row.finding: (row.auc, row.positives, row.negatives) for row in result.table}
    # -1 and empty are not mentioned; an empty prediction is left out
    assert counts == {"lung_nodule": (1.0, 2, 2), "cardiomegaly": (1.0, 1, 2)}
    assert result.macro.patients == 4
    assert result.patients_known
    assert (result.predictions_without_labels, result.labels_without_predictions) == (1, 0)
    assert result.columns_without_partner == ("medical_material", "remark")
    as_public = CONFIG.model_copy(update={"absent_anatomy": "zero"})
    counts = {row.finding: row.positives for row in score_files(pair, as_public, names).table}
    assert counts == {"lung_nodule": 2, "cardiomegaly": 2}
    assert "NaN" not in json.dumps(result.as_json())
    assert "the public code's way" in " ".join(printed(result, 0.95))


def test_long_and_wide_files_agree(tmp_path: Path, names: FindingNames) -> None:
    rows = [line.split(",") for line in WIDE_SCORES.splitlines()[1:]]
    long = {
        "volume_name": [row[0] for row in rows] * 2,
        "finding": ["lung_nodule"] * len(rows) + ["cardiomegaly"] * len(rows),
        "score": [float(row[1] or "nan") for row in rows] + [float(r[2] or "nan") for r in rows],
    }
    pq.write_table(pa.table(long), tmp_path / "p.parquet")
    labels = written(tmp_path / "l.csv", WIDE_LABELS)
    wide = Pair(written(tmp_path / "p.csv", WIDE_SCORES), labels)
    one, other = (
        score_files(pair, CONFIG, names) for pair in (wide, Pair(tmp_path / "p.parquet", labels))
    )
    assert one.table == other.table


def test_thresholds_from_validation_stand_beside_the_public_ones(
    tmp_path: Path, names: FindingNames
) -> None:
    pair = Pair(written(tmp_path / "p.csv", WIDE_SCORES), written(tmp_path / "l.csv", WIDE_LABELS))
    other = Pair(
        written(tmp_path / "pv.csv", "VolumeName,Lung nodule\na,.1\nb,.15\nc,.85\n"),
        written(tmp_path / "lv.csv", "VolumeName,Lung nodule\na,0\nb,0\nc,1\n"),
    )
    result = score_files(pair, CONFIG, names, other)
    nodule = next(row for row in result.table if row.finding == "lung_nodule")
    assert nodule.by_validation is not None
    assert nodule.by_validation.threshold == pytest.approx(0.5)
    assert nodule.by_validation.sensitivity == nodule.by_validation.specificity == 1
    assert [row.by_validation for row in result.table if row.finding == "cardiomegaly"] == [None]


def test_crg_is_that_of_the_answers_at_the_threshold(tmp_path: Path, names: FindingNames) -> None:
    # of 6 labels 2 positive: w = 1; found one, missed one, invented one: s = -1, m = 2
    predictions = written(
        tmp_path / "p.csv", "id,Atelectasis,Lung nodule\na,.9,.1\nb,.1,.4\nc,.2,.6\n"
    )
    labels = written(tmp_path / "l.csv", "id,Atelectasis,Lung nodule\na,1,0\nb,0,1\nc,0,0\n")
    result = score_files(Pair(predictions, labels), CONFIG, names)
    told = {row.finding: row.by_test for row in result.table}
    assert told["atelectasis"].sensitivity == told["atelectasis"].specificity == 1
    nodule = told["lung_nodule"]
    found = 1 + nodule.sensitivity
    invented = 2 * (1 - nodule.specificity)
    assert result.crg["test"] == pytest.approx(2 / (4 - (2 * found - 2 - invented)))
    assert result.crg["validation"] is None
    assert any(line.startswith("CRG, thresholds by test: ") for line in printed(result, 0.95))


def test_one_kind_of_label_only_is_told_and_never_a_number(
    tmp_path: Path, names: FindingNames
) -> None:
    predictions = written(tmp_path / "p.csv", "id,Lung nodule,Emphysema,Atelectasis\na,.1,.2,.3\n")
    labels = written(tmp_path / "l.csv", "id,Lung nodule,Emphysema,Atelectasis\na,0,1,-1\n")
    result = score_files(Pair(predictions, labels), CONFIG, names)
    assert result.table == []
    assert result.macro.auc is None
    assert {one.finding: one.why for one in result.unscored} == {
        "lung_nodule": "no sample is positive",
        "emphysema": "no sample is negative",
        "atelectasis": "no sample has a label",
    }
    text = "\n".join(printed(result, 0.95))
    assert "nan" not in text.lower().replace("finding", "")
    assert "each counts as a patient of its own" in text


@pytest.mark.parametrize(
    ("predictions", "labels", "told"),
    [
        ("id,a\nx,.1\nx,.2\n", "id,a\nx,1\n", r"predictions p\.csv: rows 1 and 2 are of the same"),
        ("id,a\nx,.1\n", "id,a\nx,1\nX.nii.gz,1\n", r"labels l\.csv: rows 1 and 2 are of the same"),
        ("id,a\nx,.1\n", "id,b\nx,1\n", "no finding is in both; the predictions have a, the lab"),
        ("id,a\nx,.1\n", "id,a\ny,1\n", "no scan is in both"),
        ("id,a\nx,high\n", "id,a\nx,1\n", "row 1, a: expected a number or nothing, found another"),
        ("id,a\nx,inf\n", "id,a\nx,1\n", "row 1, a: expected a number or nothing, found another"),
        ("id,a\nx,.1\n", "id,a\nx,2\n", "row 1, a: expected 1, 0, -1 or empty, found another"),
        ("id,a,A\nx,.1,.2\n", "id,a\nx,1\n", "two columns have the same name"),
        ("id\nx\n", "id,a\nx,1\n", "no column finding, and no column of a finding's name"),
        ("", "id,a\nx,1\n", "cannot be read"),
    ],
)
def test_files_that_cannot_be_scored(
    tmp_path: Path, names: FindingNames, predictions: str, labels: str, told: str
) -> None:
    pair = Pair(written(tmp_path / "p.csv", predictions), written(tmp_path / "l.csv", labels))
    with pytest.raises(InputError, match=told):
        score_files(pair, CONFIG, names)


def test_locations_of_rad_chestct_are_one_finding(tmp_path: Path, names: FindingNames) -> None:
    path = written(
        tmp_path / "imgvalid_Abnormality_and_Location_Labels.csv",
        "NoteAcc_DEID,nodule*right_lung,nodule*left_lung,pleural_effusion*lung,suture*heart\n"
        "tst1,0,1,0,1\ntst2,0,0,1,0\n",
    )
    table = read_cells(path, "labels", ("present",), names)
    assert table.key_kind == "accession"
    assert table.ignored == ("suture*heart",)
    assert {(cell.key, cell.finding): int(cell.value) for cell in table.cells} == {
        ("tst1", "lung_nodule"): 1,
        ("tst2", "lung_nodule"): 0,
        ("tst1", "pleural_effusion"): 0,
        ("tst2", "pleural_effusion"): 1,
    }


def test_ids_with_leading_zeros_stay_as_they_are(tmp_path: Path, names: FindingNames) -> None:
    """Also behind a byte-order mark and between semicolons, as spreadsheets write them."""
    path = written(tmp_path / "l.csv", "\ufeffAccessionNumber;Emphysema\n00123;1\n123;0\n")
    cells = read_cells(path, "labels", ("present",), names).cells
    assert [(cell.key, cell.value) for cell in cells] == [("00123", "1"), ("123", "0")]


def test_a_finding_that_is_not_known_is_refused_with_the_nearest(
    tmp_path: Path, names: FindingNames
) -> None:
    path = written(
        tmp_path / "l.csv", "study_uid,finding,present\n1.2,emphysem,1\n1.3,emphysema,0\n"
    )
    with pytest.raises(InputError, match=r"finding emphysem is not .*did you mean emphysema\?"):
        read_cells(path, "labels", ("present",), names)


def test_the_command_prints_the_tables(tmp_path: Path) -> None:
    predictions = written(tmp_path / "p.csv", WIDE_SCORES)
    labels = written(tmp_path / "l.csv", WIDE_LABELS)
    command = ["score", str(predictions), str(labels), "--set", "evaluate.bootstrap_samples=20"]
    result = CliRunner().invoke(eval_app, command)
    assert result.exit_code == 0, result.output
    assert "lung_nodule" in result.stdout
    assert "closest corner on these labels" in result.stdout
    as_json = CliRunner().invoke(eval_app, [*command, "--json"])
    assert json.loads(as_json.stdout)["scans"] == 5
    alone = CliRunner().invoke(eval_app, [*command, "--validation-labels", str(labels)])
    assert alone.exit_code == 2
    assert "belong together" in alone.stderr
