"""Batches by time: whatever their size, each item is settled once, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvlm_data.run.batch_sizes import LARGEST, by_time, settled_by_time, size_for
from fvlm_data.run.config import load_config
from fvlm_data.run.curate import curate, settle_batch
from fvlm_data.run.stages import build_stages
from fvlm_data.store.declared import Context


class Clock:
    """Time goes on by what the items of a batch take, shared by workers."""

    def __init__(self, item_s: float, at_once: int) -> None:
        self.now, self.item_s, self.at_once = 0.0, item_s, at_once
        self.rounds: list[list[int]] = []

    def settle(self, batches: Sequence[list[int]]) -> Iterator[int]:
        self.rounds.append([len(batch) for batch in batches])
        for batch in batches:
            self.now += len(batch) * self.item_s / self.at_once
            yield from batch

    def run(self, batches: Sequence[list[int]], target_s: float) -> list[int]:
        told = settled_by_time(batches, self.settle, target_s, self.at_once, lambda: self.now)
        return list(told)


def cut(items: int, size: int) -> list[list[int]]:
    return [list(range(start, min(start + size, items))) for start in range(0, items, size)]


def test_what_is_left_is_cut_to_the_time_that_the_first_batches_took() -> None:
    clock = Clock(item_s=2.0, at_once=3)
    assert clock.run(cut(100, 4), target_s=60.0) == list(range(100))
    assert clock.rounds == [[4] * 6, [30, 30, 16]]


@pytest.mark.parametrize(
    ("item_s", "expected"), [(600.0, 1), (60.0, 1), (29.0, 2), (0.001, 4 * LARGEST), (0.0, 64)]
)
def test_a_batch_has_an_item_at_least_and_not_more_than_memory_holds(
    item_s: float, expected: int
) -> None:
    assert size_for(60.0, item_s, 4 * LARGEST) == expected


def test_few_batches_are_settled_as_they_are() -> None:
    clock = Clock(item_s=2.0, at_once=2)
    clock.run(cut(15, 4), target_s=1.0)
    assert clock.rounds == [[4, 4, 4, 3]]


@given(
    items=st.integers(1, 200),
    size=st.integers(1, 9),
    item_s=st.floats(0, 1e4),
    target_s=st.floats(0.1, 1e5),
    at_once=st.integers(1, 5),
)
def test_each_item_is_settled_once_and_in_order(
    items: int, size: int, item_s: float, target_s: float, at_once: int
) -> None:
    clock = Clock(item_s, at_once)
    assert clock.run(cut(items, size), target_s) == list(range(items))


def test_a_run_takes_its_batches_by_time(
    hand: ModuleType, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes = [hand.volume(n, f"st_{n}", f"p_{n}") for n in range(12)]
    context.store.replace_all("volumes", volumes)
    monkeypatch.setattr("fvlm_data.pairing.split_stage.BATCH_SIZE", 1)
    sizes: list[int] = []

    def mapper(store: str, run_id: str, stage: str, batches: Any, limits: Any) -> Iterator[Any]:
        for batch in batches:
            sizes.append(len(batch))
            yield batch, settle_batch(store, run_id, stage, batch)

    values = {"store": context.store.url, "execution": {"batch_minutes": 1e6}}
    summary = curate(load_config(None, values=values), ["split"], mapper=mapper)
    assert summary.stages["split"]["accepted"] == 12
    assert sizes == [1, 1, 10]


def test_shards_are_never_cut_by_time(tmp_path: Path) -> None:
    config = load_config(None, values={"store": str(tmp_path), "execution": {"batch_minutes": 5}})
    whole = {one.name for one in build_stages(config) if not by_time(config, one)}
    assert "shard" in whole
    assert {"ingest", "select", "reports"}.isdisjoint(whole)
