"""The search for the item that ends the process which works on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from fvlm_data.errors import FvlmError
from fvlm_data.isolation.limits import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from fvlm_data.isolation.limits import Limits

Item = TypeVar("Item")

MANY = 8
"""Processes that end over one item each, before any gave a result: not the items are at fault."""


def until_alone(
    batches: Sequence[list[Item]],
    run: Callable[[Sequence[list[Item]], Limits], Iterator[tuple[list[Item], Any]]],
    limits: Limits,
    known: Collection[Item] = (),
) -> Iterator[tuple[list[Item], Any]]:
    """Every batch, or each part of one that had to be split, with its result.

    `run` gives each batch that it is given with its result, or how its process Ended. Such a batch
    is split until an item stands alone; an item that ended a process alone is tried once more
    when all else is done, alone in all. What it gives then, be it Ended again, is told. `known` are
    items that did so before, in an earlier run.

    Raises:
        FvlmError: whatever the processes work on, they end.
    """
    suspects: list[list[Item]] = []
    results = unforeseen = 0
    while batches:
        parts: list[list[Item]] = []
        for batch, result in run(batches, limits):
            if not isinstance(result, Ended):
                results += 1
                yield batch, result
            elif len(batch) > 1:
                parts += split(batch, result.done)
            else:
                suspects.append(batch)
                unforeseen += batch[0] not in known
                if not results and unforeseen >= MANY:
                    raise _always_ends(result)
        batches = parts
    for alone in suspects:
        yield from run([alone], limits.alone())


def split(batch: list[Item], done: int) -> list[list[Item]]:
    """Smaller parts of a batch whose process ended when `done` items were.

    Most stages take items in order: the next one is the likely culprit and stands alone at once.
    Where none was done, the first one is, or the stage gives all results at its end: halves of the
    others find that one fastest.
    """
    if 0 < done < len(batch):
        parts = [batch[:done], batch[done : done + 1], batch[done + 1 :]]
    else:
        middle = (len(batch) + 1) // 2
        parts = [batch[:1], batch[1:middle], batch[middle:]]
    return [part for part in parts if part]


def _always_ends(last: Ended) -> FvlmError:
    return FvlmError(
        f"the processes that work end over each of the first {MANY} items, and none gave a result "
        f"(the last {last.found}); the machine or the installation is at fault rather than the "
        "items, none of which is set aside: look at memory, at execution.limits and at what was "
        "installed last, and run again"
    )
