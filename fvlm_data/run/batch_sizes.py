"""Batches of a length in time: the first ones are measured, the rest are cut to that measure."""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Stage

Item = TypeVar("Item")
Result = TypeVar("Result")

MEASURED = 2
"""Batches a worker that are measured: the first one also pays for the start of its process."""

LARGEST = 16
"""How many times the stage's own size a batch may have: its rows lie in memory until it ends."""


def settled_by_time(
    batches: Sequence[list[Item]],
    settle: Callable[[Sequence[list[Item]]], Iterator[Result]],
    target_s: float,
    at_once: int,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Result]:
    """All results of `settle`, called with the first batches and then with the rest, cut anew.

    Batches are in the order of their items and stay so. `target_s` is the time that one is to take
    in a worker, s; `at_once` how many are worked on at a time.
    """
    count = MEASURED * at_once
    first, rest = batches[:count], batches[count:]
    started = clock()
    yield from settle(first)
    if rest:
        item_s = (clock() - started) * at_once / sum(map(len, first))
        largest = LARGEST * max(map(len, batches))
        yield from settle(resized(rest, size_for(target_s, item_s, largest)))


def by_time(config: Config, stage: Stage) -> float | None:
    """Minutes that a batch of a stage is to take; None: it keeps the stage's own size.

    So does one whose batches lie together in the store: a batch of `shard` is a shard.
    """
    return None if stage.group or stage.holders else config.execution.batch_minutes


def size_for(target_s: float, item_s: float, largest: int) -> int:
    """Items of a batch that takes `target_s` where one takes `item_s`, from 1 to `largest`."""
    if item_s * largest <= target_s:
        return largest
    return max(1, int(target_s / item_s))


def resized(batches: Sequence[list[Item]], size: int) -> list[list[Item]]:
    """The items of the batches, in their order, in batches of `size`."""
    items = list(chain.from_iterable(batches))
    return [items[start : start + size] for start in range(0, len(items), size)]
