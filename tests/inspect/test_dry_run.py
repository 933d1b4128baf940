"""--dry-run: what it says is what the run then does, and not one byte of a store changes."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.inspect.forecast import forecast
from fvlm_data.run.config import Config, load_config
from fvlm_data.run.curate import curate
from fvlm_data.store.tables import Store
from tests.inspect import damage


def listing(folder: Path) -> dict[str, tuple[str, int]]:
    """Hash and modification time of every file below a folder, and its folders."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        told = hashlib.sha256(content).hexdigest(), path.stat().st_mtime_ns
        found[str(path.relative_to(folder))] = told if path.is_file() else (told[0], 0)
    return found


def told(*words: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*words, "--dry-run", "--json"])
    assert result.exit_code == 0, result.stderr
    seen: dict[str, Any] = json.loads(result.stdout)
    assert seen["dry_run"] is True
    return seen


@pytest.fixture
def file(config: Config, tmp_path: Path) -> Path:
    """The configuration of the settled copy as a file."""
    written = tmp_path / "config.yaml"
    written.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_none=True)))
    return written


def test_of_a_store_that_is_not_made(cases: Path, tmp_path: Path):
    fresh = damage.settings(cases, tmp_path / "store", tmp_path / "vault")
    seen = forecast(fresh)
    assert not seen.made
    assert {one.what: (one.found, one.new) for one in seen.inputs} == {
        "image files of sources[0]": (5, 5),
        "masks": (3, 3),
        "rows of reports[0]": (4, 4),
    }
    assert seen.inputs[0].new_bytes == sum(
        path.stat().st_size for path in (cases / "nifti").iterdir()
    )
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_do_is_said(config: Config):
    seen = forecast(config)
    assert {name: counts["due"] for name, counts in seen.stages.items()} == dict.fromkeys(
        seen.stages, 0
    )
    # a file that cannot be read is looked at again by each run
    assert {one.what: one.new for one in seen.inputs} == {
        "image files of sources[0]": 0,
        "masks": 0,
        "rows of reports[0]": 0,
    }


def test_a_changed_setting_remakes_what_the_run_then_remakes(config: Config):
    changed = load_config(
        None, ["shard.dtype=int16"], config.model_dump(mode="json", exclude_none=True)
    )
    seen = forecast(changed)
    due = {name: counts["due"] for name, counts in seen.stages.items()}
    summary = curate(changed)
    made = {name: counts.get("accepted", 0) for name, counts in summary.stages.items()}
    assert due["shard"] > 0
    assert due == {name: made[name] for name in due}
    assert seen.stages["shard"]["replaced"] == due["shard"]
    assert seen.size_bytes["shard"] > 0


def test_new_inputs_are_counted(config: Config, cases: Path, tmp_path: Path):
    grown = tmp_path / "grown"
    shutil.copytree(cases, grown)
    shutil.copy(grown / "nifti" / "case_1.nii.gz", grown / "nifti" / "case_7.nii.gz")
    with (grown / "reports.csv").open("a") as reports:
        reports.write("case_7.nii.gz,FINDINGS: There is a cyst in the liver.\n")
    more = damage.settings(grown, Path(config.store), config.identity.vault)
    seen = {one.what: (one.found, one.new) for one in forecast(more).inputs}
    assert seen["rows of reports[0]"] == (5, 1)
    assert seen["image files of sources[0]"][0] == 6
    shutil.copy(grown / "masks" / "case_1.nii.gz", grown / "masks" / "case_7.nii.gz")
    seen = {one.what: (one.found, one.new) for one in forecast(more).inputs}
    assert seen["masks"][0] == 4
    assert seen["masks"][1] >= 1


OFTEN = ("curate", "compact", "init", "schema", "qc")
"""What `make test` tries of the commands; the rest runs with the longer tests."""


@pytest.mark.parametrize("often", [True, pytest.param(False, marks=pytest.mark.full)])
def test_not_a_byte_of_the_store_changes(
    config: Config, file: Path, cases: Path, tmp_path: Path, often: bool
):
    store, out = config.store, tmp_path / "out"
    (subject,) = Store.open(store).read("volumes", ["study_id"]).to_pylist()[:1]
    decision = [subject["study_id"], "wrong", "--reviewer", "radiologist_1", "--store", store]
    before = listing(tmp_path)
    commands = [
        ["curate", str(file), "--set", "shard.dtype=int16", "--retry", "--rehash"],
        ["ingest", str(cases / "nifti"), "--store", store],
        ["segment", "--store", store],
        ["reports", str(cases / "reports.csv"), "--store", store],
        ["pair", "--store", store],
        ["shard", "--store", store],
        ["qc", "--store", store],
        ["compact", "--store", store, "--keep-hours", "0"],
        ["upgrade", "--store", store],
        ["verify", "--store", store, "--give-up"],
        ["forget", subject["study_id"], "--store", store],
        ["review", "mark", "study", *decision],
        ["review", "apply", "--store", store],
        ["review", "export", str(out), "--store", store],
        ["vault", "backup", str(out), "--store", store],
        ["export", "tables", str(out), "--store", store],
        ["export", "monai", str(out), "--store", store],
        ["export", "nnunet", str(tmp_path / "Dataset501_Organs"), "--store", store],
        ["report-problem", str(out), "--store", store],
        ["init", str(cases), "--out", str(out)],
        ["schema", "--out", str(out)],
        ["phantom", str(out), "--patients", "3"],
    ]
    chosen = [words for words in commands if (words[0] in OFTEN) == often]
    assert chosen
    for words in chosen:
        told(*words)
        assert listing(tmp_path) == before, words


def test_it_ends_by_saying_that_nothing_was_written(config: Config):
    result = CliRunner().invoke(app, ["shard", "--store", config.store, "--dry-run"])
    assert result.stdout.splitlines()[-1] == "dry run: nothing was written"
    assert "  shard " in result.stdout


def test_a_run_that_could_not_start_is_refused(config: Config, file: Path, tmp_path: Path):
    moved = tmp_path / "elsewhere"
    shutil.move(str(config.identity.vault), moved)
    result = CliRunner().invoke(app, ["curate", str(file), "--dry-run"])
    assert result.exit_code == 2
    assert "no key found" in result.stderr
    assert not Path(str(config.identity.vault)).exists()
