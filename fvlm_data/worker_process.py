"""Worker processes that end with the process that started them, however that ends."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import Any


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """A pool of spawned processes: deltalake's runtime does not survive a fork (decision 0001)."""
    spawn: Any = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=spawn, initializer=end_with_parent)


def end_with_parent() -> None:
    """Have this process end as soon as its parent has.

    A pool tells its workers to stop, but a parent that was killed tells them nothing: they would
    wait for work for ever, each with the memory of a parser.
    """
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
