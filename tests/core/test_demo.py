"""`fvlm-data demo`: its commands are ones that a person may type."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from fvlm_data.cli import demo
from fvlm_data.cli.demo import demo_commands, write_demo_configuration
from fvlm_data.cli.main import app
from fvlm_data.run.config import load_config
from fvlm_train.cli import eval_app, train_app
from tests.core.test_examples import parsed

PROGRAMS = {"fvlm-data": app, "fvlm-train": train_app, "fvlm-eval": eval_app}


def test_its_commands_are_commands():
    for program, *words in demo_commands(Path("demo"), 3, ["train.steps=2"]):
        command = typer.main.get_command(PROGRAMS[program])
        if hasattr(command, "commands"):
            command, words = command.commands[words[0]], words[1:]
        given = parsed(command, words)
        assert [one.name for one in command.params if one.required and one.name not in given] == []


def test_of_few_patients_any_finding_counts_unless_told_otherwise():
    def settings(patients: int, *given: str) -> list[str]:
        *_, words = demo_commands(Path("demo"), patients, given)
        return [word for before, word in pairwise(words) if before == "--set"]

    assert settings(300) == []
    assert settings(40, "train.steps=2") == ["evaluate.min_positive_patients=1", "train.steps=2"]
    assert settings(40, "evaluate.min_positive_patients=3") == ["evaluate.min_positive_patients=3"]


def test_its_places_are_where_its_commands_look(tmp_path: Path):
    folder = tmp_path / "shown"
    config = load_config(write_demo_configuration(folder))
    commands = list(demo_commands(folder, 3, []))
    assert str(folder / "store") == config.store
    assert commands[0][2] == str(folder / "phantom") == str(config.sources[0].path.parent)  # type: ignore[union-attr]
    assert config.identity.vault == folder / "vault"
    assert (folder / "vault" / "key").stat().st_mode & 0o777 == 0o600


def test_what_it_would_do(tmp_path: Path):
    folder = tmp_path / "shown"
    result = CliRunner().invoke(app, ["demo", str(folder), "--patients", "3", "--dry-run"])
    assert result.exit_code == 0
    assert f"fvlm-data curate {folder / 'demo.yaml'}" in result.stdout
    assert not folder.exists()
    folder.mkdir()
    (folder / "mine").touch()
    result = CliRunner().invoke(app, ["demo", str(folder)])
    assert result.exit_code == 2
    assert "is not empty; name a new folder" in result.stderr


def test_the_step_that_failed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(demo.PROGRAMS, "fvlm-data", "raise SystemExit(3)")
    result = CliRunner().invoke(app, ["demo", str(tmp_path / "shown"), "--quiet"])
    assert result.exit_code == 2
    assert "stopped at `fvlm-data phantom" in result.stderr
    assert "exit status 3" in result.stderr


@pytest.mark.full
def test_all_of_it(tmp_path: Path):
    # as docs/ten-minutes.md has it, but for the number of steps
    words = ["--patients", "40", "--set", "train.steps=2"]
    result = CliRunner().invoke(app, ["demo", str(tmp_path / "shown"), *words, "--json"])
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["trained"]
    assert Path(told["page"]).is_file()
    assert (tmp_path / "shown" / "run" / "zero_shot_test.parquet").is_file()
