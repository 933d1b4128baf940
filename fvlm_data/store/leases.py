"""Who works on a store: many runs at once, or one command that must be alone.

Each says so by a file before it looks for others, so that of a run and a command that begin at
the same moment at least one sees the other. A file is refreshed as long as its process lives; one
that was not for `STALE_S` is of a process that was killed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
import platform
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fvlm_data.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fvlm_data.store.tables import Store

FOLDER = "leases"
ALONE = f"{FOLDER}/alone.json"
BEAT_S = 20.0
STALE_S = 600.0
"""Without a sign of life for so long a process counts as killed; on its own machine it is asked."""


@contextmanager
def at_work(store: Store, name: str) -> Iterator[None]:
    """Work on the store beside others, under the name of the run.

    Raises:
        StoreError: a command that must be alone is at work, or was interrupted.
    """
    path = f"{FOLDER}/run-{name}.json"
    with _held(store, path):
        check_not_alone(store)
        yield


def runs_at_work(store: Store) -> set[str]:
    """Names of runs that are at work, as far as can be told from here."""
    prefix = f"{FOLDER}/run-"
    paths = [path for path in store.files(FOLDER) if path.startswith(prefix)]
    alive = set()
    for path in paths:
        # of a store that may not be written, a run elsewhere cannot be told from a dead one
        with contextlib.suppress(StoreError):
            if not _is_dead(store, path):
                alive.add(path.removeprefix(prefix).removesuffix(".json"))
    return alive


def check_not_alone(store: Store) -> None:
    """Refuse to write while a command that must be alone is at work, or was interrupted.

    Raises:
        StoreError: it is.
    """
    if store.exists(ALONE):
        raise StoreError(
            f"store {store.url}: a patient or study is being forgotten, or that was interrupted; "
            "wait for its end, or finish it by `fvlm-data forget --resume`, then run again"
        )


@contextmanager
def alone(store: Store, unfinished: Callable[[], bool]) -> Iterator[None]:
    """Work on the store with nobody beside.

    The mark stays, and nothing else may begin, where the work ends early and `unfinished` says that
    it has begun to change things. A mark that a killed command has left is taken over.

    Raises:
        StoreError: a run or another such command is at work.
    """
    if store.exists(ALONE) and _is_dead(store, ALONE):
        store.remove(ALONE)
    if not store.create_file(ALONE, _content(store)):
        raise StoreError(
            f"store {store.url}: another command that must be alone is at work; wait for its end"
        )
    try:
        with _beating(store, ALONE):
            _refuse_others(store)
            yield
    finally:
        if not unfinished():
            store.remove(ALONE)


def _refuse_others(store: Store) -> None:
    others = [p for p in store.files(FOLDER) if p.startswith(f"{FOLDER}/run-")]
    busy = [path for path in others if not _is_dead(store, path)]
    if busy:
        raise StoreError(
            f"store {store.url}: {len(busy)} run(s) are at work on it ({_names(busy)}); wait "
            "for their end and run again; one that was killed on another machine counts as "
            f"ended after {STALE_S / 60:.0f} minutes"
        )
    for path in others:
        store.remove(path)


def _names(paths: list[str]) -> str:
    return ", ".join(path.removeprefix(f"{FOLDER}/run-").removesuffix(".json") for path in paths)


def _is_dead(store: Store, path: str) -> bool:
    """Whether the process that wrote a mark is known to have ended, or was silent for too long."""
    try:
        told = json.loads(store.read_bytes(path))
    except (StoreError, ValueError):
        return not store.exists(path)  # it ended just now, or is being written
    if told.get("machine") == _machine(store) and os.name == "posix":
        return not _runs_here(int(told["process"]))
    return _silent_s(store, path) > STALE_S


def _runs_here(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _silent_s(store: Store, path: str) -> float:
    """Seconds since a mark was written, by the clock of the store's place."""
    probe = f"{FOLDER}/clock-{os.getpid()}-{threading.get_ident()}"
    store.write_bytes(probe, b"now")
    try:
        now, then = store.modified(probe), store.modified(path)
    except FileNotFoundError:
        return 0.0  # it ended meanwhile
    finally:
        store.remove(probe)
    return (now - then) / dt.timedelta(seconds=1)


def _content(store: Store) -> bytes:
    return json.dumps({"machine": _machine(store), "process": os.getpid()}).encode()


def _machine(store: Store) -> str:
    """This machine as a hash: its name is nobody's business who reads the store."""
    return hashlib.sha256(f"{store.store_id} {platform.node()}".encode()).hexdigest()[:16]


@contextmanager
def _held(store: Store, path: str) -> Iterator[None]:
    try:
        with _beating(store, path):
            yield
    finally:
        store.remove(path)


@contextmanager
def _beating(store: Store, path: str) -> Iterator[None]:
    """Write a mark and refresh it until the end."""
    content = _content(store)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_S):
            # a beat that fails is followed by others; the mark is old long before it is stale
            with contextlib.suppress(StoreError):
                store.write_bytes(path, content)

    store.write_bytes(path, content)
    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
