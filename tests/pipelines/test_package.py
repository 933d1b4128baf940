from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pipelines

PYTHON = sys.executable


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


def test_importing_the_package_imports_no_prefect(tmp_path: Path) -> None:
    done = run("import pipelines.cli, sys; sys.exit('prefect' in sys.modules)", tmp_path)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_switches_telemetry_off() -> None:
    assert {name: os.environ.get(name) for name in pipelines.TELEMETRY_OFF} == (
        pipelines.TELEMETRY_OFF
    )


def test_prefect_knows_every_setting_that_is_switched_off(tmp_path: Path) -> None:
    code = (
        "import pipelines, prefect.settings as s\n"
        "from prefect.analytics import is_telemetry_enabled\n"
        "known = [n for n in pipelines.TELEMETRY_OFF if n.startswith('PREFECT_')]\n"
        "values = [getattr(s, name).value() for name in known]\n"
        "assert values == [False] * 4, values\n"
        "assert not is_telemetry_enabled()\n"
    )
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_users_schemas_in_the_way_stops_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "schemas.py").write_text("raise SystemExit('the wrong module ran')\n")
    done = run("import pipelines", tmp_path)
    assert done.returncode == 1
    assert "the package `schemas` beside it" in done.stderr
    assert "run from another folder" in done.stderr


def test_a_users_folder_named_pipelines_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "mine.py").touch()
    done = run("import pipelines.cli", tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["fvlm-flow", "fvlm-data"])
def test_commands_run_from_a_folder_with_our_names(tmp_path: Path, command: str) -> None:
    (tmp_path / "schemas.py").write_text("raise SystemExit('the wrong module ran')\n")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    done = subprocess.run(
        [Path(PYTHON).parent / command, "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_wrong_configuration_is_told_in_one_sentence_before_a_server_starts(
    tmp_path: Path,
) -> None:
    (tmp_path / "c.yaml").write_text("store: ./store\nshrad: {}\n")
    done = subprocess.run(
        [Path(PYTHON).parent / "fvlm-flow", "run", "c.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: configuration c.yaml: shrad is not a known key")
    assert len(done.stderr.splitlines()) == 1
