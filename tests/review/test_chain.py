"""Decisions through all stages, by the commands, and back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.inspect.verify import verify
from fvlm_data.run.config import Config
from fvlm_data.run.curate import curate
from fvlm_data.run.stages import build_stages
from fvlm_data.store.tables import Store
from tests.e2e.chain import snapshot


def invoked(config: Config, *arguments: str) -> str:
    told = CliRunner().invoke(app, ["review", *arguments, "--store", config.store])
    assert told.exit_code == 0, told.output
    return told.stdout


def remade(config: Config) -> dict[str, int]:
    """Items that a run made anew, by stage."""
    summary = curate(config)
    return {
        stage: made
        for stage, counts in summary.stages.items()
        if (made := counts.get("accepted", 0) + counts.get("set_aside", 0))
    }


def derived(config: Config) -> dict[str, list[str]]:
    told = snapshot(Path(config.store), placement=False)
    del told["decisions"]
    return told


@pytest.mark.slow
@pytest.mark.full
def test_decisions_change_what_rests_on_them_and_are_taken_back(config: Config, tmp_path: Path):
    before = derived(config)
    assert remade(config) == {}
    store = Store.open(config.store)
    samples = sorted(store.read("samples").to_pylist(), key=lambda row: len(row["anatomies"]))
    first, second, third = samples
    mentions = store.read("findings").to_pylist()
    joined = store.read("study_reports").to_pylist()
    (report,) = (row["report_id"] for row in joined if row["study_id"] == third["study_id"])
    mine = [row for row in mentions if row["report_id"] == report]
    times = Counter(row["finding"] for row in mine)
    # told once: else what is left of it leaves the sample as it is
    wrong = [
        row
        for row in mine
        if row["status"] == "present"
        and times[row["finding"]] == 1
        and row["anatomy"] in third["anatomies"]
    ]
    finding = ":".join(
        str(wrong[0][name])
        for name in ("report_id", "start", "end", "finding", "anatomy", "status")
    )
    by = ("--reviewer", "radiologist", "--reason", "seen")
    invoked(config, "mark", "study", first["study_id"], "wrong", *by)
    invoked(config, "mark", "mask", f"{second['volume_id']}:liver", "wrong", *by)
    invoked(config, "mark", "finding", finding, "wrong", *by)
    invoked(config, "mark", "study", second["study_id"], "right", *by)
    assert remade(config) == {}  # nothing is applied yet
    assert json.loads(invoked(config, "apply", "--json")) == {"changed": 4, "holds": 3, "right": 1}
    # the report and its study for the mention, the other study for its mask, and three samples
    assert remade(config) == {"reports": 1, "pair": 2, "shard": 3}
    assert [one.name for one in verify(store, build_stages(config)) if not one.passed] == []
    after = {row["sample_id"]: row for row in Store.open(config.store).read("samples").to_pylist()}
    assert after.keys() == {second["sample_id"], third["sample_id"]}
    assert "liver" not in after[second["sample_id"]]["anatomies"]
    told_now = {name for some in after[third["sample_id"]]["labels"] for name in some}
    assert wrong[0]["finding"] not in told_now
    assert wrong[0]["finding"] in {name for some in third["labels"] for name in some}
    told: Any = CliRunner().invoke(app, ["status", "--json", "--store", config.store])
    status = json.loads(told.stdout)
    assert status["review"] == {
        f"{kind} held to be wrong": 1 for kind in ("finding", "mask", "study")
    }
    assert status["set_aside"]["out_of_scope:excluded_by_review"] == 1
    path = tmp_path / "decisions.json"
    assert "4 decisions" in invoked(config, "export", str(path))
    assert json.loads(invoked(config, "import", str(path), "--json")) == {"known": 4}
    assert "no two reviewers" in invoked(config, "agreement")
    invoked(config, "undo")
    assert remade(config) == {"reports": 1, "pair": 2, "shard": 3}
    assert derived(config) == before


def subject_of_row(row: dict[str, Any]) -> str:
    names = ("report_id", "start", "end", "finding", "anatomy", "status")
    return ":".join(str(row[name]) for name in names)


def labels(config: Config) -> dict[str, set[str]]:
    """Findings told in each sample."""
    rows = Store.open(config.store).read("samples").to_pylist()
    return {row["sample_id"]: {name for some in row["labels"] for name in some} for row in rows}


@pytest.mark.slow
@pytest.mark.full
def test_another_name_and_another_section_reach_the_samples_and_are_taken_back(config: Config):
    before, samples = derived(config), labels(config)
    store = Store.open(config.store)
    studies = {row["study_id"]: row for row in store.read("samples").to_pylist()}
    reports = {row["report_id"]: row["study_id"] for row in store.read("study_reports").to_pylist()}
    sentences = {
        (row["report_id"], row["sentence"]): row for row in store.read("sentences").to_pylist()
    }
    mentions = store.read("findings").to_pylist()
    times = Counter((row["report_id"], row["finding"]) for row in mentions)
    mine = [
        row
        for row in mentions
        if row["status"] == "present"
        and times[row["report_id"], row["finding"]] == 1
        and row["finding"] in samples[studies[reports[row["report_id"]]]["sample_id"]]
    ]
    renamed = mine[0]
    moved = next(row for row in mine if row["report_id"] != renamed["report_id"])
    first, second = (studies[reports[row["report_id"]]]["sample_id"] for row in (renamed, moved))
    other = "liver_hemangioma" if renamed["finding"] != "liver_hemangioma" else "liver_cyst"
    by = ("--reviewer", "radiologist", "--reason", "misread")
    invoked(
        config, "mark", "finding", subject_of_row(renamed), "wrong", "--finding", other,
        "--anatomy", renamed["anatomy"], *by,
    )  # fmt: skip
    sentence = sentences[moved["report_id"], moved["sentence"]]
    place = f"{moved['report_id']}:{sentence['start']}:{sentence['end']}"
    invoked(config, "mark", "sentence", place, "wrong", "--section", "clinical_information", *by)
    invoked(config, "apply")
    assert remade(config)["shard"] == 2
    after = labels(config)
    assert other in after[first]
    assert renamed["finding"] not in after[first]
    assert moved["finding"] in samples[second] - after[second]
    # the mention is kept: it asks now, and asserts nothing
    rows = Store.open(config.store).read("findings").to_pylist()
    assert subject_of_row(moved) in {subject_of_row(row) for row in rows}
    assert [one.name for one in verify(store, build_stages(config)) if not one.passed] == []
    invoked(config, "undo")
    curate(config)
    assert derived(config) == before
