from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import fvlm_data.shards
import fvlm_train.evaluate.findings
from fvlm_data.errors import ConfigError
from fvlm_train.cli import eval_app, train_app
from fvlm_train.config.sections import read_sections
from fvlm_train.testing import TOY_FINDINGS, toy_source


@pytest.fixture
def shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        fvlm_data.shards, "ShardDataset", lambda store, split, cache=None: toy_source(12, 0)
    )
    monkeypatch.setattr(fvlm_train.evaluate.findings, "store_findings", lambda store: TOY_FINDINGS)


@pytest.mark.usefixtures("shards")
@pytest.mark.parametrize("correction", ["none", "momentum", "co_teaching"])
def test_train_then_evaluate(tiny: Any, tmp_path: Path, correction: str) -> None:
    config = tmp_path / "config.yaml"
    section = tiny(loss={"correction": {"kind": correction, "warmup_epochs": 0}}).model_dump(
        mode="json"
    )
    config.write_text(yaml.safe_dump({"store": "other", "ingest": {}, "train": section}))
    run = tmp_path / "run"
    command = [str(config), "--store", "s", "--out", str(run), "--set", "train.steps=3"]
    trained = CliRunner().invoke(train_app, [*command, "--json"])
    assert trained.exit_code == 0, trained.output
    assert json.loads(trained.stdout)["steps"] == 3
    assert "train: 3 of 3" in trained.stderr or "train, loss" in trained.stderr
    evaluated = CliRunner().invoke(
        eval_app,
        ["zero-shot", str(run), "--store", "s", "--set", "evaluate.min_positive_patients=1"],
    )
    assert evaluated.exit_code == 0, evaluated.output
    assert "macro AUC" in evaluated.stdout
    assert (run / "zero_shot_test.parquet").is_file()


@pytest.mark.usefixtures("shards")
def test_a_wrong_key_is_one_sentence(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("train: {preset: small}\n")
    command = [str(config), "--store", "s", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(train_app, [*command, "--set", "train.stepps=3"])
    assert result.exit_code == 2
    assert "Configuration train.stepps: no such key." in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("shards")
def test_a_folder_without_a_run_is_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(eval_app, ["zero-shot", str(tmp_path), "--store", "s"])
    assert result.exit_code == 2
    assert "no checkpoint.pt there" in " ".join(result.stderr.split())


def test_overrides_are_laid_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("train: {model: {image: {width: 8, depth: 2}}}\nsources: []\n")
    overrides = ["train.model.image.width=16", "train.anatomies=[lung]", "evaluate.seed=3"]
    assert read_sections(config, overrides) == {
        "train": {"model": {"image": {"width": 16, "depth": 2}}, "anatomies": ["lung"]},
        "evaluate": {"seed": 3},
    }


@pytest.mark.parametrize("override", ["train", "train=3", "shard.dtype=uint8", "train.a.=1"])
def test_overrides_without_a_place(override: str) -> None:
    with pytest.raises(ConfigError, match=r"expected train\.key=value"):
        read_sections(None, [override])


@pytest.mark.parametrize("text", ["[1, 2]", "train: {"])
def test_files_that_are_no_configuration(tmp_path: Path, text: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    with pytest.raises(ConfigError, match="configuration"):
        read_sections(config)
