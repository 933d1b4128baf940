"""One volume on its way through TotalSegmentator: what it may take, and what was done with it."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICE = threading.RLock()
"""Held while a network runs. Volumes side by side in a worker take turns at its device."""


class TimeLimitError(Exception):
    """A volume took longer than it may; no RuntimeError, which nnU-Net takes for want of memory."""


@dataclass(slots=True)
class Call:
    """One attempt at a volume.

    `split`: cut the image into three parts along z; `was_split` says that it was, be it by the
    library's own rule. `ends` is the time (`time.monotonic`) when the limit is reached; what is
    spent waiting for the device does not count.
    """

    split: bool = False
    was_split: bool = False
    ends: float | None = None

    def check_time(self) -> None:
        """Raise TimeLimitError once the limit is reached."""
        if self.ends is not None and time.monotonic() > self.ends:
            raise TimeLimitError


_CURRENT: ContextVar[Call | None] = ContextVar("totalsegmentator_call", default=None)


def current_call() -> Call:
    """The attempt of this thread; one without limits, where there is none."""
    return _CURRENT.get() or Call()


@contextmanager
def calling(call: Call) -> Iterator[Call]:
    """Within the block, this thread works at `call`."""
    token = _CURRENT.set(call)
    try:
        yield call
    finally:
        _CURRENT.reset(token)


@contextmanager
def device_turn() -> Iterator[None]:
    """Within the block, the device is this thread's; no wait for it counts against the call."""
    call, asked = current_call(), time.monotonic()
    with DEVICE:
        if call.ends is not None:
            call.ends += time.monotonic() - asked
        yield
