"""Laws of the search for what ends a process, whatever ends it and whatever is told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvlm_data.errors import FvlmError
from fvlm_data.isolation.limits import Ended, Limits
from fvlm_data.isolation.splitting import MANY, split, until_alone

LIMITS = Limits(seconds=1.0, shares=4)


class Worked:
    """Batches of numbers in which some are deadly, always or the first time."""

    def __init__(self, deadly: set[int], once: set[int], done: int | None) -> None:
        """`done` is what a dying process tells; None: the truth of one that goes in order."""
        self.deadly, self.once, self.done = deadly, set(once), done
        self.tries: Counter[tuple[int, ...]] = Counter()
        self.shares: dict[tuple[int, ...], list[int]] = {}

    def __call__(
        self, batches: Sequence[list[int]], limits: Limits
    ) -> Iterator[tuple[list[int], Any]]:
        for batch in batches:
            self.tries[tuple(batch)] += 1
            self.shares.setdefault(tuple(batch), []).append(limits.shares)
            yield batch, self._result(batch)

    def _result(self, batch: list[int]) -> list[int] | Ended:
        for place, number in enumerate(batch):
            if number in self.deadly or number in self.once:
                self.once.discard(number)
                return Ended("crashed", "ended", place if self.done is None else self.done)
        return [2 * number for number in batch]


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[list[int]], Worked]:
    sizes = draw(st.lists(st.integers(1, 9), max_size=5))
    numbers = iter(range(100))
    batches = [[next(numbers) for _ in range(size)] for size in sizes]
    among = [number for batch in batches for number in batch]
    of = st.sets(st.sampled_from(among), max_size=MANY - 1) if among else st.just(set[int]())
    done = draw(st.none() | st.integers(0, 12))
    return batches, Worked(draw(of), draw(of), done)


@given(scenes())
def test_every_item_has_one_result_and_the_deadly_stand_alone(
    scene: tuple[list[list[int]], Worked],
):
    batches, worked = scene
    # enough that is well: else the machine is at fault
    results = list(until_alone([[200], *batches], worked, LIMITS))
    told = [number for batch, _ in results for number in batch]
    assert sorted(told) == sorted([200, *(number for batch in batches for number in batch)])
    ended = [batch for batch, result in results if isinstance(result, Ended)]
    assert sorted(ended) == [[number] for number in sorted(worked.deadly)]
    assert all(worked.tries[number,] >= 2 for number in worked.deadly)
    assert all(worked.shares[number,][-1] == 1 for number in worked.deadly)


@given(st.lists(st.integers(), min_size=2, max_size=20, unique=True), st.integers(-3, 30))
def test_parts_are_smaller_and_lose_nothing(batch: list[int], done: int):
    parts = split(batch, done)
    assert [one for part in parts for one in part] == batch
    assert all(0 < len(part) < len(batch) for part in parts)


def test_one_of_many_in_order_costs_three_tries():
    worked = Worked({50}, set(), None)
    list(until_alone([list(range(100))], worked, LIMITS))
    assert sum(tries for batch, tries in worked.tries.items() if 50 in batch) == 3


def test_where_all_end_the_items_are_not_at_fault():
    worked = Worked(set(range(100)), set(), None)
    with pytest.raises(FvlmError, match=r"none gave a result .* none of which is set aside"):
        list(until_alone([list(range(100))], worked, LIMITS))


def test_where_all_did_so_before_they_are_told_again():
    worked = Worked(set(range(20)), set(), None)
    results = list(until_alone([list(range(20))], worked, LIMITS, known=range(20)))
    assert sorted(batch for batch, _ in results) == [[number] for number in range(20)]
