"""`plan`: a larger archive from the rates of a sample."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.errors import InputError
from fvlm_data.inspect.capacity.measured import Sample, StageRate, measured
from fvlm_data.inspect.capacity.projected import Prices, project
from fvlm_data.run.config import load_config
from fvlm_data.store.tables import Store

if TYPE_CHECKING:
    from types import ModuleType

    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Context

STUDIES = 10
INGEST = StageRate("ingest", 4.0, 3.0, 2, 1.5, 8)
SEGMENT = StageRate("segment", 0.0, 60.0, 2, 1.0, 8, on_gpu=True)
LISTS = StageRate("discover reports", 0.0, 0.01, 0, 0.0, 1)
SAMPLE = Sample(STUDIES, (INGEST, SEGMENT, LISTS), 5e8, {"volumes": 1e8, "shards": 4e7})


def record(store: Store, name: str, ingest_s: float, accepted: int, workers: int = 2) -> None:
    kept: dict[str, Any] = {
        "run_id": name,
        "finished": True,
        "configuration": {"execution": {"workers": workers}},
        "stages": {
            "discover ingest": {"files": 40, "accepted": 40},
            "ingest": {"accepted": accepted, "set_aside": 0, "already settled": 5},
        },
        "stage_seconds": {"discover ingest": 2.0, "ingest": ingest_s, "select": 0.5},
    }
    store.write_bytes(f"runs/{name}.json", json.dumps(kept).encode())


@pytest.fixture
def config(context: Context, hand: ModuleType) -> Config:
    volumes = [hand.volume(n, f"st_{n}", f"p_{n}") for n in range(STUDIES)]
    context.store.replace_all("volumes", volumes)
    return load_config(None, (), {"store": context.store.url})


def test_rates_are_what_runs_took_beyond_those_with_nothing_to_do(context: Context, config: Config):
    record(context.store, "1", 32.0, 6)
    record(context.store, "2", 2.0, 0)
    record(context.store, "3", 22.0, 4)
    context.store.write_bytes("volumes/a.nii.gz", bytes(30_000))
    sample = measured(context, config)
    stages = {one.name: one for one in sample.stages}
    ingest = stages["ingest"]
    assert (ingest.fixed_s, ingest.study_s, ingest.workers, ingest.items) == (2.0, 5.0, 2, 1.0)
    # each look sees all files: one of them counts
    assert (stages["discover ingest"].fixed_s, stages["discover ingest"].study_s) == (0.0, 0.2)
    assert stages["select"].fixed_s == 0.5
    assert sample.store_bytes["volumes"] == 3000.0
    assert sample.store_bytes["tables"] > 0


def test_a_store_without_a_run_has_no_rates(context: Context, config: Config):
    with pytest.raises(InputError, match="run `fvlm-data curate` on it first"):
        measured(context, config)


def test_work_is_shared_among_workers_and_gpus_and_lists_are_not():
    plan = project(SAMPLE, 7200, 4, 3, Prices(core_hour=0.5, gpu_hour=2.0, tb_month=10.0))
    ingest, segment, lists = plan.stages
    assert (ingest.hours, ingest.core_hours) == pytest.approx((3.0 + 4 / 3600, 12.0 + 4 / 3600))
    assert (segment.hours, segment.gpu_hours) == pytest.approx((80.0, 240.0))
    assert lists.hours == lists.core_hours == pytest.approx(0.02)
    assert ingest.tasks == 1350
    assert plan.bottleneck == "segment"
    assert plan.hours_doubled == pytest.approx(1.5 + 4 / 3600 + 40.0 + 0.02)
    assert plan.source_bytes == pytest.approx(3.6e12)
    assert plan.cost_once == pytest.approx((12 + 4 / 3600 + 0.02) * 0.5 + 240 * 2)
    assert plan.cost_month == pytest.approx(7200 * 1.4e8 / 1e12 * 10)


@given(st.integers(1, 10**8), st.integers(1, 512), st.integers(1, 64))
def test_more_workers_are_never_slower_and_twice_the_studies_take_twice_as_long_at_most(
    studies: int, workers: int, gpus: int
):
    plan = project(SAMPLE, studies, workers, gpus, Prices())
    twice = project(SAMPLE, 2 * studies, workers, gpus, Prices())
    more = project(SAMPLE, studies, workers + 1, gpus + 1, Prices())
    assert more.hours <= plan.hours <= twice.hours <= 2 * plan.hours * (1 + 1e-9)
    assert plan.hours_doubled <= plan.hours


def test_the_command_tells_hours_bytes_and_cost(context: Context, config: Config):
    record(context.store, "1", 36.0, 10)
    arguments = ["plan", "--store", config.store, "--studies", "100000", "--workers", "20"]
    told = CliRunner().invoke(app, [*arguments, "--core-hour", "0.1"])
    assert told.exit_code == 0
    # 36 s of 2 workers for 10 studies: 72,000 s of 20 workers... for 100,000 studies 10 h
    assert "ingest                 10 h  200 core hours, 12500 tasks" in told.output
    assert "100000 studies with 20 workers" in told.output
    assert "once" in told.output
    as_json = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)
    assert as_json["sample"] == STUDIES
    assert {one["name"] for one in as_json["stages"]} >= {"ingest", "discover ingest"}
    assert dataclasses.asdict(project(SAMPLE, 1, 1, 1, Prices())).keys() <= as_json.keys()
