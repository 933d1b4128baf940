"""An archive in three languages, from phantoms to a table of zero-shot findings."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary
from fvlm_train.cli import eval_app, train_app

if TYPE_CHECKING:
    from pathlib import Path

LANGUAGES = ["en", "de", "tr"]
ANATOMIES = ["lung", "heart", "esophagus", "aorta", "liver", "kidney"]
SMALL = {
    "preset": "small",
    "model": {"image": {"window_zyx": [24, 24, 24], "width": 16, "heads": 2}},
    "anatomies": ANATOMIES,
    "batch_size": 2,
    "steps": 2,
    "threads": 1,
    "cache_bytes": 0,
}


@pytest.mark.full
def test_from_reports_of_three_languages_to_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = [one for language in LANGUAGES for one in ("--language", language)]
    _run(app, "phantom", "ph", "--patients", "9", "--workers", "2", *asked)
    truth = pq.read_table("ph/truth.parquet").to_pylist()
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(_settings()), encoding="utf-8")
    _run(app, "curate", "config.yaml")
    store = Store.open("store")
    spoken = Counter(store.read("reports")["language"].to_pylist())
    assert sorted(spoken) == sorted(LANGUAGES)
    assert min(spoken.values()) > 1
    # a prompt is read as what it was written for, in whatever language
    told = Counter(row["finding"] for row in truth if row["sentence"] and row["has_report"])
    read = {(row["finding"], row["status"]) for row in store.read("findings").to_pylist()}
    present = {row["finding"] for row in truth if row["sentence"] and not row["negated_in_report"]}
    assert {(finding, "present") for finding in present} <= read
    assert told

    _run(train_app, "config.yaml", "--store", "store", "--out", "run")
    for language in ("en", "tr"):
        out = f"{language}.parquet"
        shown = _run(
            eval_app, "zero-shot", "run", "--store", "store", "--config", "config.yaml",
            "--set", f"evaluate.language={language}", "--split", "train", "--out", out,
        )  # fmt: skip
        assert "score" in shown
    scores = [pq.read_table(f"{language}.parquet").to_pylist() for language in ("en", "tr")]
    keys = [[(one["sample_id"], one["finding"], one["label"]) for one in rows] for rows in scores]
    assert keys[0] == keys[1], "prompts of another language change no label"
    assert [one["score"] for one in scores[0]] != [one["score"] for one in scores[1]]
    labelled = {one["finding"] for one in scores[0] if one["label"]}
    ids = {term.id for term in Vocabulary.load("tr").findings}
    assert labelled <= ids
    assert len(labelled) > 3


def _settings() -> dict[str, Any]:
    return {
        "store": "store",
        "identity": {"vault": "vault"},
        "vocabulary": {"language": "en", "languages": LANGUAGES},
        "sources": [{"kind": "dicom", "path": "ph/dicom", "name": "ph"}],
        "reports": [{"path": "ph/reports_abdomen.csv"}],
        "segment": {
            "backend": "precomputed",
            "masks": "ph/masks/manifest.csv",
            "classes": "ph/masks/classes.yaml",
        },
        "qc": {"enabled": False},
        "execution": {"workers": 1},
        "pair": {"split": {"train": 1.0, "validation": 0.0, "test": 0.0}},
        "shard": {"spacing_mm": [6.0, 6.0, 6.0], "anatomies": ANATOMIES},
        "train": SMALL,
        "evaluate": {"preset": "small", "min_positive_patients": 1, "threshold_split": None},
    }


def _run(command: Any, *arguments: str) -> str:
    ended = CliRunner().invoke(command, list(arguments))
    assert ended.exit_code == 0, (ended.output, json.dumps(arguments))
    return str(ended.output)
