"""What processes of these tests are given to do."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

EATEN_AT_MOST_MB = 2000


def double(numbers: list[int], *, beat: Callable[[], None]) -> list[int]:
    return [2 * number for number in numbers if beat() is None]


def work(deeds: list[str], *, beat: Callable[[], None]) -> list[str]:
    """Do each deed in turn."""
    done = []
    for deed in deeds:
        done.append(DEEDS[deed.partition(" ")[0]](deed))
        beat()
    return done


def hang(deed: str) -> str:
    """In C, with Python's lock held, deaf to every signal that can be ignored."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.PyDLL(None).sleep(3600)
    return deed


def crash(deed: str) -> str:
    os.kill(os.getpid(), signal.SIGSEGV)
    return deed


def leave(deed: str) -> str:
    os._exit(3)


def killed(deed: str) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return deed


def eat(deed: str) -> str:
    return str(len([bytearray(b"\1" * (16 << 20)) for _ in range(EATEN_AT_MOST_MB // 16)]))


def eat_below(deed: str) -> str:
    """A process of its own takes the memory."""
    program = f"kept = b'1' * ({EATEN_AT_MOST_MB} << 20); import time; time.sleep(3600)"
    subprocess.run([sys.executable, "-c", program], check=True)
    return deed


def slow(deed: str) -> str:
    """Slower than the limit in all, not for one item."""
    time.sleep(0.5)
    return deed


def once(deed: str) -> str:
    """Crash the first time, `once FILE`."""
    mark = Path(deed.partition(" ")[2])
    if not mark.exists():
        mark.touch()
        crash(deed)
    return deed


def leftover(deed: str) -> str:
    """Leave a temporary file behind and crash; `leftover FILE` tells where it lies."""
    with tempfile.NamedTemporaryFile(delete=False) as file:
        Path(deed.partition(" ")[2]).write_text(file.name)
    return crash(deed)


def where(deed: str) -> str:
    return f"{os.getpid()}"


DEEDS: dict[str, Callable[[str], str]] = {
    "well": str,
    "where": where,
    "hang": hang,
    "crash": crash,
    "leave": leave,
    "killed": killed,
    "eat": eat,
    "eat_below": eat_below,
    "slow": slow,
    "once": once,
    "leftover": leftover,
}


class OddError(Exception):
    """Cannot be made again from its own arguments, so it does not travel."""

    def __init__(self, number: int, patient: str) -> None:
        super().__init__(f"{patient} {number}")


def fail(odd: bool, *, beat: Callable[[], None]) -> None:
    if odd:
        raise OddError(7, "DOE^JANE")
    raise ValueError("seven")
