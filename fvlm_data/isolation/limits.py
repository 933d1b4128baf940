"""What a process may take for its work, and how one that took more, or died, ended."""

from __future__ import annotations

import signal
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import psutil

from fvlm_data.hashing import content_key

OF_THE_MACHINE = 0.9
"""Share of the machine's memory that all processes of a stage may take together by default."""

CGROUP_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
"""Where Linux tells a container's memory (versions 2 and 1 of its control groups)."""

MARK_DIGITS = 8

Reason = Literal["crashed", "timed_out", "out_of_memory"]
REASONS: tuple[Reason, ...] = ("crashed", "timed_out", "out_of_memory")


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` between two items that are done, and memory in MB (2**20 bytes).

    Without a memory of its own a process has its share of this machine's, one of `shares`.
    """

    seconds: float
    memory_mb: int | None = None
    shares: int = 1

    def alone(self) -> Limits:
        """The limits of a process beside which no other works."""
        return replace(self, shares=1)

    def most_mb(self) -> int:
        """Memory that a process may take on this machine, MB."""
        if self.memory_mb is not None:
            return self.memory_mb
        return int(OF_THE_MACHINE * machine_mb() / self.shares)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended that gave no result; `done` of its items were done by then.

    `found` says it behind the words "the process".
    """

    reason: Reason
    found: str
    done: int = 0


def circumstances(versions: str, limits: Limits) -> str:
    """A mark of what an item was tried under: `versions` of the program, and the limits.

    Memory in whole GB, that of the machine where no limit is set: a new kernel keeps some of it.
    """
    memory_mb = machine_mb() if limits.memory_mb is None else limits.memory_mb
    return content_key(versions, limits.seconds, memory_mb >> 10 or memory_mb)[:MARK_DIGITS]


def detail(ended: Ended, section: str, limits: Limits) -> str:
    """Why an item is set aside that ended its process twice, alone; `section` of the limits."""
    remedy = {
        "crashed": "the file or its decoder is at fault: send it again, or report it",
        "timed_out": f"look at it, or raise execution.limits.{section}.seconds",
        "out_of_memory": "look at it, give the machine more memory, or raise "
        f"execution.limits.{section}.memory_mb (now {limits.alone().most_mb()})",
    }[ended.reason]
    return (
        f"the process that worked on it {ended.found}, twice and alone; this may not be the data's "
        f"fault; {remedy}; it is tried again with --retry, and by itself under another version or "
        "limit"
    )


def died(status: int, done: int) -> Ended:
    """How a process ended of itself; `status` as subprocess gives it: negative for a signal."""
    if status == -signal.SIGKILL:
        # the system's last resort when no memory is left, of which the process learns nothing
        return Ended("out_of_memory", "was killed from outside, most often for memory", done)
    if status < 0:
        return Ended("crashed", f"ended by {signal.Signals(-status).name}", done)
    return Ended("crashed", f"ended itself with exit status {status}", done)


def machine_mb() -> int:
    """Memory of this machine, or of the container that this process is in, MB."""
    least = int(psutil.virtual_memory().total)
    for place in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # no such file, or "max"
            least = min(least, int(Path(place).read_text(encoding="ascii")))
    return least >> 20
