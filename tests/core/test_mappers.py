"""Passing faults of the machine: a pause, another try, and one sentence in the end."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import pytest

from fvlm_data.errors import ConfigError, FvlmError, MachineError
from fvlm_data.isolation.limits import Limits
from fvlm_data.run.config import load_config
from fvlm_data.run.curate import curate
from fvlm_data.run.mappers import here, patient
from fvlm_data.store.declared import Context
from fvlm_data.store.tables import Store
from fvlm_data.store.writing import write_error

BATCHES: list[Any] = [[("a", "k", ())], [("b", "k", ())], [("c", "k", ())]]


class Settling:
    """Raises what it is told to for a batch, then settles it."""

    def __init__(self, **faults: list[BaseException]) -> None:
        self.faults = faults
        self.settled: list[str] = []

    def __call__(self, store: str, run_id: str, stage: str, batch: Any) -> dict[str, int]:
        name = batch[0][0]
        if self.faults.get(name):
            raise self.faults[name].pop(0)
        self.settled.append(name)
        return {"accepted": 1}


def settled(settling: Settling, pauses: Sequence[float]) -> list[float]:
    """The pauses that were made until all was settled."""
    made: list[float] = []
    mapped = patient(here(settling), pauses, made.append)
    results: Iterator[Any] = mapped("store", "run", "stage", BATCHES, Limits(1.0))
    assert [batch[0][0] for batch, _ in results] == ["a", "b", "c"]
    return made


@pytest.mark.parametrize(
    "error", [MachineError("disk"), MemoryError(), ConnectionResetError(), TimeoutError()]
)
def test_a_passing_fault_costs_a_pause_and_no_batch(error: BaseException):
    settling = Settling(b=[error])
    assert settled(settling, [10, 60]) == [10]
    assert settling.settled == ["a", "b", "c"]


def test_pauses_grow_and_begin_anew_with_each_batch():
    first, last = ([MachineError("x"), MachineError("x")] for _ in range(2))
    assert settled(Settling(b=first, c=last), [10, 60]) == [10, 60, 10, 60]


def test_a_fault_that_stays_is_told_in_one_sentence():
    settling = Settling(b=[MemoryError() for _ in range(9)])
    with pytest.raises(FvlmError, match=r"stage stage: memory failed .* settled stays settled"):
        settled(settling, [10, 60])
    assert settling.settled == ["a"]


def test_a_network_that_stays_away_is_told_without_what_the_library_said():
    settling = Settling(a=[ConnectionResetError("DOE^JOHN") for _ in range(9)])
    with pytest.raises(FvlmError, match="the network failed") as caught:
        settled(settling, [])
    assert "DOE" not in str(caught.value)


def test_another_fault_is_raised_at_once():
    with pytest.raises(ConfigError):
        settled(Settling(b=[ConfigError("no licence")]), [10])


@pytest.fixture
def patients(hand: ModuleType, context: Context) -> Context:
    context.store.replace_all("volumes", [hand.volume(n, f"st_{n}", f"p_{n}") for n in range(4)])
    return context


def full_disk(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The table of splits finds no room, `times` times."""
    replace, left = Store.replace, iter(range(times))

    def short(self: Store, table: str, *arguments: Any) -> None:
        if table == "splits" and next(left, None) is not None:
            error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise write_error(self.url, f"table {table}", error)
        replace(self, table, *arguments)

    monkeypatch.setattr(Store, "replace", short)


@pytest.mark.parametrize(("times", "stops"), [(2, False), (9, True)])
def test_a_full_disk_settles_nothing_and_stops_the_run_only_if_it_stays(
    patients: Context, monkeypatch: pytest.MonkeyPatch, times: int, stops: bool
):
    full_disk(monkeypatch, times)
    config = load_config(None, ["execution.pauses_s=[0, 0]"], {"store": patients.store.url})
    if stops:
        with pytest.raises(MachineError, match=r"No space left on device; free space"):
            curate(config, ["split"])
    else:
        assert curate(config, ["split"]).stages["split"]["accepted"] == 4
    assert patients.store.read("ledger").num_rows == (0 if stops else 4)
