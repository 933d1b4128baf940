"""Several volumes of a batch in hand at once, by threads."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fvlm_data.store.declared import Batch

Made = TypeVar("Made")


def side_by_side(work: Iterable[Callable[[], Made]], threads: int) -> Iterator[Made]:
    """What each piece of work gives, in their order, `threads` of them at once.

    Work is drawn one ahead of those under way, no further. What one of them raises ends all: those
    begun are waited for, the others are never begun.
    """
    if threads == 1:
        for one in work:
            yield one()
        return
    begun: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="segment") as pool:
        try:
            for one in work:
                begun.append(pool.submit(one))
                if len(begun) > threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def in_turn(batch: Batch) -> Batch:
    """The batch with an access to the store that threads may share: one at a time."""
    lock = threading.Lock()

    def locked(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            with lock:
                return function(*given)

        return call

    return replace(batch, file=locked(batch.file), standing=locked(batch.standing))
