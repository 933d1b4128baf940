"""SIGTERM and Ctrl-C end a training after the step in progress, so that it is saved."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

STOPPING = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Stop:
    """The signal that asked to stop, if one did."""

    signal: int | None = None


@contextmanager
def stop_asked() -> Iterator[Stop]:
    """Collect the first SIGINT or SIGTERM; a second one ends the process as it does elsewhere.

    Python lets only the main thread receive signals: in another one nothing is collected.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before: dict[int, Any] = {}

    def noticed(number: int, _frame: object) -> None:
        stop.signal = number
        _restore(before)

    for number in STOPPING:
        # a signal that the parent has told us to ignore (nohup, a background job) stays ignored
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            before[number] = signal.signal(number, noticed)
    try:
        yield stop
    finally:
        _restore(before)


def _restore(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
