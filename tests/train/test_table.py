"""RUN/log.csv while a training runs, and after it was killed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fvlm_train.config import TrainConfig
from fvlm_train.report.table import TABLE, TableLog
from fvlm_train.runs import LOG, StepLog
from fvlm_train.testing import toy_source
from fvlm_train.training.steps import Step
from fvlm_train.training.train import train

ANATOMIES = ("liver", "lung")
COLUMNS = ("step", "loss", "losses", "damaged")
TIMES = ("time_s", "wait_s")


def table(run: Path) -> list[dict[str, str]]:
    with (run / TABLE).open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def without_times(run: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k not in TIMES} for row in table(run)]


def line(step: int) -> dict[str, Any]:
    return {"step": step, "loss": 0.5, "losses": {"liver": 0.5}, "damaged": ("s1",)}


def test_every_step_can_be_read_as_soon_as_it_is_made(tiny: Any, tmp_path: Path) -> None:
    seen = []

    def look(step: Step, _: int) -> None:
        rows = table(tmp_path / "run")
        assert rows[-1]["learning_rate"] == str(step.learning_rate)
        seen.append([int(row["step"]) for row in rows])

    train(tiny(steps=3), toy_source(20, 0), tmp_path / "run", look)
    assert seen == [[1], [1, 2], [1, 2, 3]]


@pytest.mark.parametrize("name", [TABLE, LOG])
def test_a_last_line_cut_at_any_byte_is_made_whole_again(tmp_path: Path, name: str) -> None:
    def go_on(done: int, until: int) -> None:
        with (
            StepLog(tmp_path, done) as log,
            TableLog(tmp_path, COLUMNS, ANATOMIES, log.earlier) as rows,
        ):
            for step in range(len(log.earlier) + 1, until + 1):
                log.write(line(step))
                rows.write(line(step))

    go_on(0, 3)
    whole = {one: (tmp_path / one).read_bytes() for one in (TABLE, LOG)}
    start = whole[name].rstrip().rindex(b"\n") + 1
    for cut in range(start, len(whole[name]) + 1):
        (tmp_path / name).write_bytes(whole[name][:cut])
        # the checkpoint is of step 2: step 3 is made again
        go_on(2, 3)
        assert {one: (tmp_path / one).read_bytes() for one in whole} == whole
    assert [row["loss_lung"] for row in table(tmp_path)] == [""] * 3
    assert [row["damaged"] for row in table(tmp_path)] == ["1"] * 3


def test_steps_that_an_older_version_logged_lack_what_it_did_not_know(tmp_path: Path) -> None:
    old = {"step": 1, "loss": 0.25, "losses": {}}
    with TableLog(tmp_path, (*COLUMNS, "wait_s"), ANATOMIES, [old]) as rows:
        rows.write(line(2) | {"wait_s": 0.125})
    assert [row["wait_s"] for row in table(tmp_path)] == ["", "0.125"]
    assert [row["damaged"] for row in table(tmp_path)] == ["0", "1"]


KILLED = """
import json, os, signal, sys
from pathlib import Path
from fvlm_train.config import parse_train_config
from fvlm_train.testing import toy_source
from fvlm_train.training.train import train

def report(step, steps):
    if step.step == 3:
        os.kill(os.getpid(), signal.SIGKILL)

train(parse_train_config(json.loads(sys.argv[1])), toy_source(20, 0), Path(sys.argv[2]), report)
"""


@pytest.mark.full
def test_a_killed_training_keeps_its_steps_and_goes_on_without_a_double(
    tiny: Any, tmp_path: Path
) -> None:
    config: TrainConfig = tiny(steps=5)
    run = tmp_path / "run"
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, config.model_dump_json(), str(run)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
        timeout=300,
    )
    assert ended.returncode == -signal.SIGKILL
    assert [row["step"] for row in table(run)] == ["1", "2", "3"]
    train(config, toy_source(20, 0), run)
    train(config, toy_source(20, 0), tmp_path / "whole")
    assert without_times(run) == without_times(tmp_path / "whole")
    lines = [json.loads(one) for one in (run / LOG).read_text().splitlines()]
    assert [one["step"] for one in lines] == [1, 2, 3, 4, 5]
