"""A process that dies, hangs or eats the memory ends alone, and what it did is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from fvlm_data.errors import FvlmError, MachineError
from fvlm_data.isolation.limits import Ended, Limits
from fvlm_data.isolation.splitting import until_alone
from fvlm_data.isolation.workers import Workers
from tests.isolation.deeds import double, fail, work

LIMITS = Limits(seconds=4.0, memory_mb=400)
DEADLY = {
    "hang": ("timed_out", "gave no result within 4 s"),
    "crash": ("crashed", "ended by SIGSEGV"),
    "leave": ("crashed", "ended itself with exit status 3"),
    "killed": ("out_of_memory", "was killed from outside, most often for memory"),
    "eat": ("out_of_memory", "took more than 400 MB of memory"),
}


@pytest.fixture
def workers() -> Iterator[Workers]:
    with Workers(2) as opened:
        yield opened


def worked(
    workers: Workers, batches: Sequence[list[str]], limits: Limits = LIMITS
) -> Iterator[tuple[list[str], Any]]:
    def run(parts: Sequence[list[str]], limits: Limits) -> Iterator[tuple[list[str], Any]]:
        return workers.run(work, parts, lambda batch: (batch,), limits)

    return until_alone(batches, run, limits)


def test_what_is_deadly_is_found_among_its_neighbours(workers: Workers):
    batches = [["well 1", "hang", "well 2"], ["crash", "well 3", "eat"], ["leave"], ["killed"]]
    results = list(worked(workers, batches))
    told = {batch[0]: result for batch, result in results if isinstance(result, Ended)}
    assert {deed: (one.reason, one.found) for deed, one in told.items()} == DEADLY
    done = sorted(one for _, result in results if isinstance(result, list) for one in result)
    assert done == ["well 1", "well 2", "well 3"]


def test_memory_below_the_process_counts(workers: Workers):
    ((_, ended),) = worked(workers, [["eat_below"]], Limits(60.0, 400))
    assert ended.reason == "out_of_memory"


def test_the_limit_of_time_is_for_an_item_not_for_its_batch(workers: Workers):
    batch = ["slow"] * 10
    assert list(worked(workers, [batch])) == [(batch, batch)]


def test_who_dies_once_is_taken_the_next_time(workers: Workers, tmp_path: Path):
    deed = f"once {tmp_path / 'mark'}"
    assert list(worked(workers, [[deed]])) == [([deed], [deed])]


def test_a_process_is_kept_from_task_to_task_and_ended_at_the_end():
    with Workers(1) as workers:
        told = [result[0] for _, result in worked(workers, [["where"], ["where"]])]
        assert len(set(told)) == 1
        assert psutil.pid_exists(int(told[0]))
    assert not psutil.pid_exists(int(told[0]))


def test_no_process_is_started_where_there_is_nothing_to_do(workers: Workers):
    before = psutil.Process().children()
    assert list(worked(workers, [])) == []
    assert psutil.Process().children() == before


def test_temporary_files_go_with_the_process_that_died(workers: Workers, tmp_path: Path):
    told = tmp_path / "told"
    list(worked(workers, [[f"leftover {told}"]]))
    assert told.read_text()
    assert not Path(told.read_text()).exists()


def test_what_a_function_raises_is_raised_with_its_place(workers: Workers):
    with pytest.raises(ValueError, match="seven") as caught:
        list(workers.run(fail, [False], lambda odd: (odd,), LIMITS))
    (note,) = caught.value.__notes__
    assert "ValueError at deeds.py:" in note


def test_an_exception_that_does_not_travel_is_told_without_its_text(workers: Workers):
    with pytest.raises(FvlmError, match=r"OddError at deeds\.py:\d+; expected none") as caught:
        list(workers.run(fail, [True], lambda odd: (odd,), LIMITS))
    assert "DOE" not in str(caught.value)


def test_who_asks_for_no_more_leaves_nothing_running(workers: Workers):
    running = workers.run(work, [["well"], ["hang"]], lambda batch: (batch,), Limits(60.0, 400))
    assert next(running)[1] == ["well"]
    running.close()
    workers.close()
    # other tests of this process may have left servers of theirs
    left = [one for one in psutil.Process().children() if "isolation.child" in str(one.cmdline())]
    assert left == []


def test_an_interpreter_that_does_not_start_is_told_in_one_sentence(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(MachineError, match="ended itself with exit status 1 before it could begin"):
        list(worked(workers, [["well"]]))


WITH_A_WORKER = """
from fvlm_data.isolation.limits import Limits
from fvlm_data.isolation.workers import Workers
from tests.isolation.deeds import work

with Workers(1) as workers:
    tasks = iter([["where"], ["slow"] * 1000])
    for batch, result in workers.run(work, tasks, lambda batch: (batch,), Limits(60.0, 400)):
        print(result[0], flush=True)
"""


def test_a_killed_parent_leaves_no_worker():
    parent = subprocess.Popen(
        [sys.executable, "-c", WITH_A_WORKER],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert parent.stdout is not None
    # the pipe has an end in each process that was given it: it closes when the last has ended
    os.kill(int(parent.stdout.readline()), 0)
    parent.send_signal(signal.SIGKILL)
    assert parent.stdout.read() == ""
    parent.wait()
    parent.stdout.close()


def test_numbers_beside_the_deeds(workers: Workers):
    found = dict.fromkeys(range(6))
    tasks = [[number] for number in found]
    for task, result in workers.run(double, tasks, lambda task: (task,), LIMITS):
        found[task[0]] = result
    assert found == {number: [2 * number] for number in range(6)}
