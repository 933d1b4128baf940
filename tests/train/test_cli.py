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
from fvlm_data.store.tables import Store
from fvlm_train.cli import eval_app, train_app
from fvlm_train.runs import Checkpoint, check_resumable
from fvlm_train.testing import TOY_FINDINGS, toy_source


@pytest.fixture
def shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        fvlm_data.shards, "ShardDataset", lambda store, split, *_: toy_source(12, 0)
    )
    monkeypatch.setattr(fvlm_train.evaluate.findings, "store_findings", lambda *_: TOY_FINDINGS)


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
    assert "train: 3 of 3, " in trained.stderr
    assert "samples/s" in trained.stderr
    assert (run / "curves.html").is_file()
    evaluated = CliRunner().invoke(
        eval_app,
        ["zero-shot", str(run), "--store", "s", "--set", "evaluate.min_positive_patients=1"],
    )
    assert evaluated.exit_code == 0, evaluated.output
    assert "macro AUC" in evaluated.stdout
    assert (run / "zero_shot_test.parquet").is_file()
    assert "macro AUC" in (run / "MODEL_CARD.md").read_text()


@pytest.mark.usefixtures("shards")
def test_a_training_that_is_validated_says_which_step_was_best(tiny: Any, tmp_path: Path) -> None:
    config, run = tmp_path / "config.yaml", tmp_path / "run"
    section = tiny(steps=2, validation={"every_steps": 1}).model_dump(mode="json")
    config.write_text(yaml.safe_dump({"train": section}))
    command = [str(config), "--store", "s", "--out", str(run)]
    trained = CliRunner().invoke(train_app, command)
    assert trained.exit_code == 0, trained.output
    assert "best mean AUC of validation 0." in trained.stdout
    assert ", AUC 0." in trained.stderr
    assert "Best mean AUC on split `validation`" in (run / "MODEL_CARD.md").read_text()
    assert "validation_auc" in (run / "log.csv").read_text().splitlines()[0]


@pytest.mark.usefixtures("shards")
def test_a_dry_run_tells_steps_and_writes_nothing(tiny: Any, tmp_path: Path) -> None:
    store, run, config = tmp_path / "store", tmp_path / "run", tmp_path / "config.yaml"
    Store.create(store)
    config.write_text(yaml.safe_dump({"train": tiny().model_dump(mode="json")}))
    command = [str(config), "--store", str(store), "--out", str(run), "--set", "train.steps=5"]
    result = CliRunner().invoke(train_app, [*command, "--dry-run", "--json"])
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["makes"] == {"steps": 5}
    assert told["reads"] == {"samples of train": 12}
    assert not run.exists()
    result = CliRunner().invoke(train_app, [*command, "--dry-run", "--set", "train.batch_size=99"])
    assert result.exit_code == 2
    assert "train.batch_size is 99" in result.stderr


@pytest.mark.usefixtures("shards")
def test_a_wrong_key_is_one_sentence(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("train: {preset: small}\n")
    command = [str(config), "--store", "s", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(train_app, [*command, "--set", "train.stepps=3"])
    assert result.exit_code == 2
    told = f"configuration {config}: train.stepps is not a known key (did you mean steps?)"
    assert told in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("shards")
def test_a_folder_without_a_run_is_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(eval_app, ["zero-shot", str(tmp_path), "--store", "s"])
    assert result.exit_code == 2
    assert "no checkpoint.pt there" in " ".join(result.stderr.split())


@pytest.mark.usefixtures("shards")
@pytest.mark.parametrize(
    ("text", "override", "told"),
    [
        ("[1, 2]", "train.steps=1", "expected a mapping of sections"),
        ("train: {", "train.steps=1", "no valid YAML in line 1"),
        ("train: {preset: small}", "train", "--set train: expected section.key=value"),
        ("train: {preset: small}", "train=3", "train: Input should be a valid dictionary"),
        ("train: {preset: small}", "shard.slabz=3", "shard.slabz is not a known key (did you"),
        ("train: {preset: small}\nshrad: {}", "train.steps=1", "shrad is not a known key (did"),
        ("", "evaluate.seed=3", "train.model.text: kind is folder: set model.text.folder"),
    ],
)
def test_a_configuration_that_cannot_be_used(
    tmp_path: Path, text: str, override: str, told: str
) -> None:
    """The whole file is read as fvlm-data reads it: a fault in any section is named."""
    config = tmp_path / "config.yaml"
    config.write_text(text)
    command = [str(config), "--store", "s", "--out", str(tmp_path / "run"), "--set", override]
    result = CliRunner().invoke(train_app, command)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())


def test_a_moved_folder_of_weights_is_told_when_a_run_is_resumed(tiny: Any, tmp_path: Path) -> None:
    """Paths of old runs are as they were given; now they begin at the file's folder."""

    def told(before: str, now: str) -> str:
        old, new = ({"text": {"folder": folder}} for folder in (before, now))
        checkpoint = Checkpoint(0, tiny(model=old), "", {}, {})
        try:
            check_resumable(tmp_path, checkpoint, tiny(model=new))
        except ConfigError as error:
            return str(error)
        return ""

    assert told("models/bert", "/data/models/bert") == ""
    assert told("/data/models/bert", "/data/models/bert") == ""
    assert "train.model.text.folder was models/bert" in told("models/bert", "/data/models/radbert")
    assert "train.model.text.folder was /a/bert" in told("/a/bert", "/b/bert")


def test_a_run_goes_on_with_other_settings_of_speed(tiny: Any, tmp_path: Path) -> None:
    checkpoint = Checkpoint(0, tiny(), "", {}, {})
    reading = {"prefetch": 3, "disk_cache": "c", "damaged": "skip"}
    faster = {"reading": reading, "loader_workers": 1, "cache_bytes": 9, "time_limit_s": 5.0}
    check_resumable(tmp_path, checkpoint, tiny(**faster, checkpoint_every_steps=7))
    with pytest.raises(ConfigError, match=r"train\.threads was 1 and is now 2"):
        check_resumable(tmp_path, checkpoint, tiny(threads=2))
