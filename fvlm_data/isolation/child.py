"""The process that works: takes a function and its arguments, gives what it returns.

Started by `process`, which tells it the path of modules first: both import the same ones.
"""

from __future__ import annotations

import mmap
import os
import pickle
import resource
import select
import signal
import threading
import traceback
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import FvlmError
from fvlm_data.monitoring.logs import start_log

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTER_BYTES = 8
GRACE_S = 60
"""How much longer than its limit a process may live whose parent no longer watches it."""


def main(handle: int, count: str, level: int, form: str) -> None:
    """Work until the parent closes its end of the connection with descriptor `handle`.

    `count` is the file of the number of items that are done, `level` and `form`
    are those of the log.
    """
    start_log(level, form)
    connection = Connection(handle)
    threading.Thread(target=_end_with_parent, args=(handle,), daemon=True).start()
    # a crash leaves no file of what was in memory: it may be a patient's
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # the parent stops this process; it may not be stopped half-way by a key of the terminal
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # where a hang holds Python's lock and the parent was killed, only the system can end it
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    connection.send(("ready", None))
    with counter(count) as done:
        while True:
            try:
                function, arguments, seconds = connection.recv()
            except EOFError:
                return
            patience = int(seconds) + GRACE_S
            signal.alarm(patience)
            told = _told(function, arguments, partial(_beat, done, patience))
            signal.alarm(0)
            connection.send(told)


@contextmanager
def counter(path: str) -> Iterator[memoryview]:
    """One number, kept in a file, that two processes see at once: no message for every item."""
    with (
        Path(path).open("r+b") as file,
        mmap.mmap(file.fileno(), COUNTER_BYTES) as memory,
        memoryview(memory) as whole,
        whole.cast("Q") as numbers,
    ):
        yield numbers


def _beat(done: memoryview, patience: int) -> None:
    signal.alarm(patience)
    done[0] += 1


def _told(function: Any, arguments: tuple[Any, ...], beat: Any) -> tuple[str, Any]:
    try:
        return "result", function(*arguments, beat=beat)
    except Exception as error:  # raised again by the parent
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
        error.add_note(f"in a worker process: {place}")
        return "error", error if _travels(error) else FvlmError(f"{place}; expected none")


def _travels(error: Exception) -> bool:
    """Whether an exception can be told to another process: some take other arguments than theirs.

    Its text is left behind otherwise, as it may quote a header.
    """
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # a class of others may raise anything
        return False
    return True


def _end_with_parent(handle: int) -> None:
    """End as soon as the other end of the connection is closed, whatever is being worked on."""
    closed = select.poll()
    closed.register(handle, 0)  # a hang-up is told always, data are not asked for
    closed.poll()
    os._exit(1)
