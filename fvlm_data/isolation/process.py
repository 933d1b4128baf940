"""One process that works for this one, and may be killed or die at any moment."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from fvlm_data.errors import MachineError
from fvlm_data.isolation.child import COUNTER_BYTES, counter
from fvlm_data.isolation.limits import Ended, died
from fvlm_data.monitoring.logs import form_of_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from fvlm_data.isolation.limits import Limits

CHILD = (
    "import json, sys; handle, count, level, form, path = sys.argv[1:]; "
    "sys.path[:] = json.loads(path); "
    "from fvlm_data.isolation.child import main; main(int(handle), count, int(level), form)"
)
"""Not multiprocessing, whose processes run the caller's script anew and may not have children of
their own, as a Dask worker (itself such a process) must."""

DESCENDANTS_EVERY_S = 2.0
"""How often memory of processes below the worker is looked up: it means to go through all."""

STARTS_WITHIN_S = 120.0


class Failed:
    """An exception that the function raised."""

    def __init__(self, error: BaseException) -> None:
        """`error` is what was raised."""
        self.error = error


class Process:
    """A fresh interpreter in a session and with a folder for temporary files of its own."""

    def __init__(self) -> None:
        """Start it; it may be given work at once and begins when it is ready."""
        self.connection, theirs = Pipe()
        self._folder = tempfile.mkdtemp(prefix="fvlm-worker-")
        count = Path(self._folder, "done")
        count.write_bytes(bytes(COUNTER_BYTES))
        self._held = ExitStack()
        self._done = self._held.enter_context(counter(str(count)))
        level = str(logging.getLogger().getEffectiveLevel())
        given = [str(theirs.fileno()), str(count), level, form_of_log(), json.dumps(sys.path)]
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-c", CHILD, *given],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={**os.environ, "TMPDIR": self._folder},
            start_new_session=True,  # what it starts is ended with it
        )
        theirs.close()
        self._watched = psutil.Process(self._popen.pid)
        self._ready = False
        self._descendants: list[psutil.Process] = []
        self._counted_at = 0.0
        self._begin(None)

    def send(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], limits: Limits
    ) -> None:
        """Have it call `function(*arguments, beat=...)`; `beat()` says that an item is done."""
        self._begin(limits)
        self._work = (function, arguments, limits.seconds)
        if self._ready:
            self._deliver()

    def look(self) -> Any:
        """What came of the work: its result, Failed or Ended; None while it goes on.

        Raises:
            MachineError: it ended before it could begin to work.
        """
        while True:
            try:
                if not self.connection.poll():
                    return self._above_limits()
                kind, value = self.connection.recv()
            except (EOFError, OSError):
                return self._gone()
            if kind == "result":
                return value
            if kind == "error":
                return Failed(value)
            self._ready = True
            self._since = time.monotonic()
            self._deliver()

    def close(self) -> None:
        """End it, and all that it has started, and remove its temporary files."""
        with suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        self.connection.close()
        self._held.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _deliver(self) -> None:
        """Give it its work, for which it waits by now: else much of it would block this process."""
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died: `look` tells
            self.connection.send(self._work)

    def _begin(self, limits: Limits | None) -> None:
        self._limits = limits
        self._most_bytes = limits.most_mb() << 20 if limits else 0
        self._since = time.monotonic()
        self._done[0] = self._seen = 0

    def _above_limits(self) -> Ended | None:
        if self._limits is None:
            return None
        if self._done[0] != self._seen:
            self._seen, self._since = self._done[0], time.monotonic()
        waited = time.monotonic() - self._since
        if not self._ready:
            if waited > STARTS_WITHIN_S:
                raise _not_started(f"was not ready within {STARTS_WITHIN_S:g} s")
            return None
        if waited > self._limits.seconds:
            found = f"gave no result within {self._limits.seconds:g} s"
            return Ended("timed_out", found, self._done[0])
        if self._memory_bytes() > self._most_bytes:
            found = f"took more than {self._most_bytes >> 20} MB of memory"
            return Ended("out_of_memory", found, self._done[0])
        return None

    def _gone(self) -> Ended:
        ended = died(self._popen.wait(), self._done[0])
        if not self._ready:
            raise _not_started(ended.found)
        return ended

    def _memory_bytes(self) -> int:
        """Memory of its own and of what it has started; pages of files do not count."""
        now = time.monotonic()
        if now - self._counted_at > DESCENDANTS_EVERY_S:
            self._counted_at = now
            with suppress(psutil.Error):
                self._descendants = self._watched.children(recursive=True)
        return sum(_own_bytes(one) for one in (self._watched, *self._descendants))


def _own_bytes(process: psutil.Process) -> int:
    try:
        told = process.memory_info()
    except psutil.Error:  # it has just ended
        return 0
    return int(told.rss - getattr(told, "shared", 0))


def _not_started(found: str) -> MachineError:
    return MachineError(
        f"a worker process {found} before it could begin, expected Python and fvlm to start: give "
        "the machine more memory or mend the installation, and run again: what is settled "
        "stays settled"
    )
