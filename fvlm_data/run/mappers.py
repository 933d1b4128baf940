"""How the batches of a stage are worked through: here or in processes, and past passing faults."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from fvlm_data.errors import FvlmError, MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fvlm_data.isolation.limits import Ended, Limits
    from fvlm_data.isolation.workers import Workers

log = logging.getLogger(__name__)

Done = TypeVar("Done")

Batch = list[tuple[str, str, tuple[str, ...]]]
"""(item id, key, refs) of each item: all that travels to a worker."""

PASSING = (MachineError, MemoryError, ConnectionError, TimeoutError)
"""What says nothing of a batch, and may be gone in a while."""


class Mapper(Protocol):
    """Runs `settle_batch(store, run_id, stage, batch)` for every batch, in any order."""

    def __call__(
        self, store: str, run_id: str, stage: str, batches: Sequence[Batch], limits: Limits
    ) -> Iterator[tuple[Batch, dict[str, int] | Ended]]:
        """Yield each batch with its counts as it is done, or with how its process ended."""


Settle = Any
"""`settle_batch`, called as (store, run_id, stage, batch, beat=...)."""


def here(settle: Settle) -> Mapper:
    """A mapper that works in this process, without limits."""

    def mapped(
        store: str, run_id: str, stage: str, batches: Sequence[Batch], limits: Limits
    ) -> Iterator[tuple[Batch, dict[str, int] | Ended]]:
        for batch in batches:
            yield batch, settle(store, run_id, stage, batch)

    return mapped


def isolated(workers: Workers, settle: Settle) -> Mapper:
    """A mapper that works in processes which are ended where they pass their limits."""

    def mapped(
        store: str, run_id: str, stage: str, batches: Sequence[Batch], limits: Limits
    ) -> Iterator[tuple[Batch, dict[str, int] | Ended]]:
        def arguments(batch: Batch) -> tuple[Any, ...]:
            return store, run_id, stage, batch

        yield from workers.run(settle, batches, arguments, limits)

    return mapped


def patient(
    mapper: Mapper, pauses_s: Sequence[float], sleep: Callable[[float], None] = time.sleep
) -> Mapper:
    """A mapper that pauses where the machine is at fault, and goes on with what is left.

    A batch that is done begins the pauses anew; after the last of them the fault is raised.
    """

    def mapped(
        store: str, run_id: str, stage: str, batches: Sequence[Batch], limits: Limits
    ) -> Iterator[tuple[Batch, dict[str, int] | Ended]]:
        left = {id(batch): batch for batch in batches}
        pauses = iter(pauses_s)
        while left:
            try:
                for batch, result in mapper(store, run_id, stage, [*left.values()], limits):
                    del left[id(batch)]
                    pauses = iter(pauses_s)
                    yield batch, result
            except PASSING as error:
                _pause(stage, error, pauses, sleep)

    return mapped


def in_the_end(
    stage: str,
    work: Callable[[], Done],
    pauses_s: Sequence[float],
    sleep: Callable[[float], None] = time.sleep,
) -> Done:
    """What `work` gives, tried again after pauses like those of `patient`."""
    pauses = iter(pauses_s)
    while True:
        try:
            return work()
        except PASSING as error:
            _pause(stage, error, pauses, sleep)


def _pause(
    stage: str, error: BaseException, pauses: Iterator[float], sleep: Callable[[float], None]
) -> None:
    pause = next(pauses, None)
    if pause is None:
        raise _stopped(stage, error) from error
    log.warning("stage %s: %s; trying again in %g s", stage, _told(error), pause)
    sleep(pause)


def _told(error: BaseException) -> str:
    """What happened, without the text of a library's exception, which may quote data."""
    return str(error) if isinstance(error, FvlmError) else type(error).__name__


def _stopped(stage: str, error: BaseException) -> FvlmError:
    if isinstance(error, MachineError):
        return error
    what = "memory" if isinstance(error, MemoryError) else "the network"
    return MachineError(
        f"stage {stage}: {what} failed ({type(error).__name__}) and did not come back in "
        "execution.pauses_s; nothing is said of the data, and what is settled stays settled: mend "
        "the machine (or give it fewer execution.workers) and run again"
    )
