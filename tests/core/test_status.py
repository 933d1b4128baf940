"""`status`: who waits for what, how fast stages are, what runs did, and how much room there is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import Result
from typer.testing import CliRunner

from fvlm_data.cli import status as command
from fvlm_data.cli.main import app
from fvlm_data.errors import FvlmError
from fvlm_data.inspect import status as looked_at
from fvlm_data.inspect.status import Pace, status
from fvlm_data.run.config import Config, load_config
from fvlm_data.run.curate import curate
from fvlm_data.run.records import Summary, begin, keep_progress
from fvlm_data.store.declared import Context
from fvlm_data.store.leases import at_work
from schemas import Waiting

PATIENTS = 12


def fvlm_data(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def config(context: Context, hand: ModuleType) -> Config:
    volumes = [hand.volume(n, f"st_{n}", f"p_{n}") for n in range(PATIENTS)]
    context.store.replace_all("volumes", volumes)
    return load_config(None, (), {"store": context.store.url})


@pytest.fixture
def two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stage takes two seconds by the clock that runs measure with."""

    def clock() -> Iterator[float]:
        now = 0.0
        while True:
            yield now
            now += 2.0

    ticks = clock()
    monkeypatch.setattr("fvlm_data.run.watched.time.monotonic", lambda: next(ticks))


@pytest.mark.usefixtures("two_seconds")
def test_time_left_is_what_is_to_do_at_the_pace_of_the_last_run(
    context: Context, config: Config, hand: ModuleType
):
    assert curate(config, ["split"]).stage_seconds["split"] == 2.0
    seen = status(context, config)
    assert seen.pace["split"] == Pace(PATIENTS / 2.0, None)
    assert seen.pace["shard"] == Pace(None, None)
    volumes = [hand.volume(n, f"st_{n}", f"p_{n}") for n in range(PATIENTS + 3)]
    context.store.replace_all("volumes", volumes)
    seen = status(context, config)
    assert seen.summary.stages["split"] == {"settled": PATIENTS, "to do": 3}
    assert seen.pace["split"] == Pace(PATIENTS / 2.0, 3 / (PATIENTS / 2.0))
    printed = fvlm_data("status", "--store", context.store.url).stdout
    assert "12 settled, 3 to do, 6 a second, 0 s left" in printed
    assert "Time left, as stages last went: 0 s" in printed


def test_runs_are_told_as_they_ended(context: Context, config: Config):
    curate(config, ["split"])
    (run,) = status(context, config).runs
    assert (run.state, run.settled, run.set_aside) == ("completed", PATIENTS, 0)

    def stop(stage: str, done: int, total: int) -> None:
        raise FvlmError("the disk of Doe_John is full")

    with pytest.raises(FvlmError):
        curate(config, ["split"], progress=stop)
    states = {run.state for run in status(context, config).runs}
    assert states == {"completed", "failed (FvlmError)"}
    kept = b"".join(Path(context.store.url, p).read_bytes() for p in context.store.files("runs"))
    assert b"Doe_John" not in kept


def test_a_run_at_work_tells_its_stage_and_one_that_was_killed_is_known(
    context: Context, config: Config
):
    begin(context, config)
    summary = Summary(context.run_id, context.store.url)
    keep_progress(context, config, summary, {"ingest": (7, 7, 9.0), "segment": (10, 40, 60.0)})
    with at_work(context.store, context.run_id):
        (run,) = status(context, config).runs
        printed = fvlm_data("status", "--store", context.store.url).stdout
    assert (run.state, run.stage, run.done, run.total) == ("at work", "segment", 10, 40)
    assert f"run {context.run_id}: at work, segment 10 of 40, 10 a minute, 3 min left" in printed
    assert [run.state for run in status(context, config).runs] == ["interrupted"]
    assert status(context, config).pace["segment"].per_s == 10 / 60


def test_what_waits_is_told_with_ids_and_what_to_do(context: Context, config: Config):
    begin(context, config)
    owners = [("study", f"st_{n}", "report") for n in range(5)] + [("study", "st_9", "mask")]
    rows = [
        Waiting(owner_kind=kind, owner_id=one, waits_for=what, since_run="run")
        for kind, one, what in [*owners, ("report", "r_1", "study")]
    ]
    context.store.replace_all("waiting", rows)
    store = context.store.url
    printed = fvlm_data("status", "--store", store).stdout
    assert "  study waits for report: st_0, st_1, st_2 and 2 more (--waiting)\n" in printed
    told = json.loads(fvlm_data("status", "--store", store, "--json").stdout)
    assert told["waiting_ids"]["study waits for mask"] == ["st_9"]
    assert told["waiting"]["study waits for report"] == 5
    listed = json.loads(fvlm_data("status", "--waiting", "--store", store, "--json").stdout)
    assert len(listed) == 7
    details = {row["item"]: row["detail"] for row in listed}
    assert "bring masks" in details["st_9"]
    assert "bring the report" in details["st_0"]
    assert "bring the images" in details["r_1"]


def test_the_disk_is_told_and_folders_on_request(context: Context, config: Config):
    begin(context, config)
    seen = status(context, config)
    assert seen.total_bytes is not None
    assert 0 <= (seen.free_bytes or 0) <= seen.total_bytes
    assert seen.bytes_by_folder == {}
    asked = status(context, config, sizes=True).bytes_by_folder
    files = [one for one in Path(context.store.url, "tables").rglob("*") if one.is_file()]
    assert asked["tables"] == sum(one.stat().st_size for one in files)


def test_watch_looks_again_until_it_is_stopped(
    context: Context, config: Config, monkeypatch: pytest.MonkeyPatch
):
    begin(context, config)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(command.time, "sleep", sleep)
    monkeypatch.setattr(looked_at, "build_stages", lambda _: [])
    result = fvlm_data("status", "--watch", "--every", "7", "--json", "--store", context.store.url)
    assert result.exit_code == 0, result.output
    assert waits == [7.0, 7.0, 7.0]
    assert [json.loads(line)["run_id"] for line in result.stdout.splitlines()] == ["status"] * 3
    assert "stopped looking" in result.stderr


@pytest.mark.parametrize("also", ["--watch", "--sizes"])
def test_lists_are_printed_once(context: Context, config: Config, also: str):
    begin(context, config)
    result = fvlm_data("status", "--waiting", also, "--store", context.store.url)
    assert result.exit_code == 2
    assert "are not for --set-aside and --waiting" in result.stderr
