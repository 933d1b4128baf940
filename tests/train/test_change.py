"""Change read off differences of embeddings: where they tell it, and where they do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fvlm_train.cli import eval_app

WIDTH = 6
LABELS = {"new": 1.0, "resolved": -1.0}
SHARES = {"effusion": (0.7, 0.3), "cyst": (0.3, 0.7)}


@pytest.fixture(autouse=True)
def one_strength(monkeypatch: pytest.MonkeyPatch):
    """Fewer fits: that the best of several is taken is tested where probes are."""
    monkeypatch.setattr("fvlm_train.evaluate.probe.STRENGTHS", (0.1,))


def written(folder: Path, signal: float, patients: int = 90) -> tuple[Path, Path]:
    """Pairs and embeddings; the label moves the first number by `signal`, shares are by finding."""
    rng = np.random.default_rng(3)
    pairs: list[dict[str, Any]] = []
    embeddings: list[dict[str, Any]] = []
    for number in range(patients):
        split = "train" if number % 3 else "test"
        before, now = f"st_{number}_a", f"st_{number}_b"
        for anatomy, finding in (("lung", "effusion"), ("liver", "cyst")):
            label = str(rng.choice(list(LABELS), p=SHARES[finding]))
            moved = np.eye(WIDTH)[0] * LABELS[label] * signal
            first = rng.normal(size=WIDTH)
            second = first + moved + 0.1 * rng.normal(size=WIDTH)
            # two samples of the current study, whose mean counts
            for study, one in ((before, first), (now, second - 5), (now, second + 5)):
                embeddings.append({"study_id": study, "anatomy": anatomy, "embedding": list(one)})
            pairs.append(
                {"patient_id": f"p_{number}", "split": split, "prior_study_id": before,
                 "study_id": now, "anatomy": anatomy, "finding": finding, "change": label}
            )  # fmt: skip
        # what counts nowhere: no label, and no embedding
        pairs.append({**pairs[-1], "change": None})
        pairs.append({**pairs[-2], "anatomy": "spleen"})
    files = folder / "pairs.parquet", folder / "embeddings.parquet"
    pq.write_table(pa.Table.from_pylist(pairs), files[0])
    pq.write_table(pa.Table.from_pylist(embeddings), files[1])
    return files


def told(pairs: Path, embeddings: Path, *more: str) -> Any:
    arguments = ["change", str(pairs), "--embeddings", str(embeddings), *more]
    return CliRunner().invoke(eval_app, arguments)


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return written(tmp_path_factory.mktemp("moved"), 1.0)


FEW = ("--set", "evaluate.bootstrap_samples=50")


def test_a_difference_that_tells_the_change_is_read(moved: tuple[Path, Path]):
    result = told(*moved, *FEW, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["fitted_on"], found["judged"]) == (120, 60)
    by_change = {row["change"]: row for row in found["table"]}
    assert set(by_change) == set(LABELS)
    for label in LABELS:
        row = by_change[label]
        assert row["model"]["auc"] > 0.95 > row["baseline"]["auc"]
        assert row["model"]["low"] <= row["model"]["auc"] <= row["model"]["high"]
    # which finding it is tells something of its own
    assert by_change["new"]["baseline"]["auc"] > 0.6


def test_a_difference_that_tells_nothing_adds_nothing(tmp_path: Path):
    found = json.loads(told(*written(tmp_path, 0.0), *FEW, "--json").stdout)
    for row in found["table"]:
        assert row["model"]["auc"] < row["baseline"]["auc"] + 0.1


def test_the_table_is_printed(moved: tuple[Path, Path]):
    lines = told(*moved, *FEW).stdout.splitlines()
    assert lines[0].split()[:2] == ["change", "AUC"]
    assert [line.split()[0] for line in lines[1:3]] == sorted(LABELS)
    assert lines[-1] == "fitted on 120 pairs, judged on 60"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--fit-on", "test"], "is judged on another split"),
        (["--split", "validation"], "no pair of studies with a label"),
    ],
)
def test_what_cannot_be_judged_is_told(moved: tuple[Path, Path], more: list[str], sentence: str):
    result = told(*moved, *more)
    assert result.exit_code == 2
    assert sentence in " ".join(result.output.split())


def test_files_of_another_kind_are_told(moved: tuple[Path, Path]):
    pairs, embeddings = moved
    assert "lacks column study_id" not in told(pairs, pairs).output
    assert "lacks column embedding" in " ".join(told(pairs, pairs).output.split())
    assert "lacks column change" in " ".join(told(embeddings, embeddings).output.split())
