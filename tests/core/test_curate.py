from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from fvlm_data.errors import ConfigError, MachineError, StoreError
from fvlm_data.run.config import Config, load_config
from fvlm_data.run.curate import curate
from fvlm_data.run.records import read_run_config
from fvlm_data.run.registry import STAGES
from fvlm_data.run.stages import build_stage
from fvlm_data.store.declared import Context
from fvlm_data.store.tables import Store


def config(store: str | Path, *overrides: str) -> Config:
    return load_config(None, overrides, {"store": str(store)})


@pytest.fixture
def patients(hand: ModuleType, context: Context) -> Context:
    volumes = [hand.volume(n, f"st_{n}", f"p_{n}") for n in range(12)]
    context.store.replace_all("volumes", volumes)
    return context


def splits(context: Context) -> list[str]:
    return sorted(json.dumps(row) for row in context.store.read("splits").to_pylist())


def test_workers_give_the_same_rows_as_one_process(
    patients: Context, tmp_path: Path, hand: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fvlm_data.pairing.split_stage.BATCH_SIZE", 5)
    seen: list[tuple[str, int, int]] = []
    summary = curate(
        config(patients.store.url, "execution.workers=2"),
        ["split"],
        progress=lambda *told: seen.append(told),
    )
    assert summary.stages["split"]["accepted"] == 12
    assert seen[-1] == ("split", 12, 12)
    other = Context(Store.create(tmp_path / "other"), patients.vault, "run")
    other.store.replace_all("volumes", [hand.volume(n, f"st_{n}", f"p_{n}") for n in range(12)])
    curate(config(other.store.url), ["split"])
    assert splits(other) == splits(patients)


def test_many_commits_leave_few_files(patients: Context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fvlm_data.pairing.split_stage.BATCH_SIZE", 1)
    monkeypatch.setattr("fvlm_data.store.upkeep.SMALL_FILES", 3)
    curate(config(patients.store.url), ["split"])
    assert len(splits(patients)) == 12
    for table in ("splits", "ledger"):
        files = patients.store.files(f"tables/{table}")
        assert sum(file.endswith(".parquet") and "_delta_log" not in file for file in files) <= 4


def test_second_run_counts_what_is_settled(patients: Context):
    curate(config(patients.store.url), ["split"])
    summary = curate(config(patients.store.url), ["split"])
    assert summary.stages["split"] == {"already settled": 12, "retired": 0}


def test_what_waits_is_known_after_every_command(patients: Context):
    summary = curate(config(patients.store.url), ["split"])
    assert summary.waiting == {"study waits for report": 12}


def test_run_is_written_down_and_names_what_changed(patients: Context):
    url = patients.store.url
    first = curate(config(url), ["split"])
    assert first.changed_settings == []
    second = curate(config(url, "pair.split={train: 1, validation: 0, test: 0}"), ["split"])
    assert second.changed_settings == [
        "pair.split.test",
        "pair.split.train",
        "pair.split.validation",
    ]
    record = json.loads(patients.store.read_bytes(f"runs/{second.run_id}.json"))
    assert record["finished"]
    assert record["versions"]["deltalake"]
    assert read_run_config(url, second.run_id).pair.split.train == 1


def test_stage_that_needs_a_store_makes_none(tmp_path: Path):
    with pytest.raises(StoreError, match="no store found there"):
        curate(config(tmp_path / "typo"), ["pair"])
    assert not (tmp_path / "typo").exists()


def test_workers_that_cannot_start_are_told_in_one_sentence(
    patients: Context, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(MachineError, match=r"before it could begin.*run again"):
        curate(
            config(patients.store.url, "execution.workers=2", "execution.pauses_s=[]"), ["split"]
        )
    assert patients.store.count("ledger") == 0


def test_limits_of_a_stage_that_is_not_known(patients: Context):
    wrong = config(patients.store.url, "execution.limits={segmet: {seconds: 5}}")
    with pytest.raises(ConfigError, match=r"execution\.limits.*'segmet'.*did you mean segment"):
        curate(wrong, ["split"])


@pytest.mark.parametrize("name", STAGES.own)
def test_every_stage_can_be_built(name: str, tmp_path: Path):
    stage = build_stage(name, config(tmp_path / "s"))
    assert stage.name.split(":")[0] == name
    assert stage.batch_size >= 1


def test_stages_run_in_the_order_of_the_data_however_they_are_asked_for(patients: Context):
    seen: list[str] = []
    curate(
        config(patients.store.url),
        ["pair", "split"],
        progress=lambda stage, done, total: seen.append(stage),
    )
    assert list(dict.fromkeys(seen)) == ["split", "pair"]


def test_unknown_stage(tmp_path: Path):
    with pytest.raises(
        ConfigError, match=r"stage 'pairing' is not known .*; expected one of ingest"
    ):
        build_stage("pairing", config(tmp_path / "s"))
