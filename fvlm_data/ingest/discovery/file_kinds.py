"""Probing many files at once: in this process, or in a pool of processes."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from typing import TYPE_CHECKING

from fvlm_data.errors import FvlmError
from fvlm_data.ingest.sources import SOURCES
from fvlm_data.worker_process import worker_pool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import ProcessPoolExecutor

    from fvlm_data.ingest.discovery.file_kind import Probed
    from fvlm_data.ingest.discovery.walk import FoundFile

AHEAD = 2
"""Chunks in hand for each process: enough to keep it busy, few enough to bound the memory."""

WORTH_A_PROCESS = 500
"""Files to open in a chunk from which on starting processes (a second) pays off."""

Chunk = list[tuple[str, "FoundFile", bool]]
"""Token, file, and whether it is to be opened (it is new or changed)."""


def probe_all(
    kind: str, chunks: Iterable[Chunk], workers: int
) -> Iterator[tuple[Chunk, list[Probed]]]:
    """Each chunk with what was probed of it, in order; at most a few chunks are held.

    Processes, not threads: reading a header is Python code, and two threads together read only
    0.6 times as many per second as one. Chunks with few files to open are probed in this process.

    Raises:
        FvlmError: a worker process died.
    """
    waiting: deque[tuple[Chunk, Future[list[Probed]]]] = deque()
    with ExitStack() as stack:
        pool: ProcessPoolExecutor | None = None
        try:
            for chunk in chunks:
                files = [found for _, found, changed in chunk if changed]
                if workers > 1 and len(files) >= WORTH_A_PROCESS and pool is None:
                    pool = stack.enter_context(worker_pool(workers))
                waiting.append((chunk, _submitted(pool, kind, files)))
                if len(waiting) > AHEAD * workers:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        except BrokenProcessPool as error:
            raise FvlmError(
                "discovery: a worker process died, most often for want of memory; run again "
                "(finished work is kept) with fewer execution.workers"
            ) from error
        finally:
            for _, future in waiting:
                future.cancel()


def _submitted(
    pool: ProcessPoolExecutor | None, kind: str, files: Sequence[FoundFile]
) -> Future[list[Probed]]:
    if pool is not None and len(files) >= WORTH_A_PROCESS:
        return pool.submit(probe_chunk, kind, files)
    done: Future[list[Probed]] = Future()
    done.set_result(probe_chunk(kind, files))
    return done


def probe_chunk(kind: str, files: Sequence[FoundFile]) -> list[Probed]:
    """Probe files of one kind of source, in order."""
    look = SOURCES.load(kind).probe
    return [look(found) for found in files]
