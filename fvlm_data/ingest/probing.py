"""Probing many files at once: in this process, or in a pool of processes."""

from __future__ import annotations

import multiprocessing
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import FvlmError
from fvlm_data.ingest.sources import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from fvlm_data.ingest.config import SourceKind
    from fvlm_data.ingest.probe import Probed
    from fvlm_data.ingest.walk import FoundFile

AHEAD = 2
"""Chunks a process is given beyond the one at work: enough to keep it busy, and a flat bound."""

Chunk = list[tuple[str, "FoundFile", bool]]
"""Token, file, and whether it is to be opened (it is new or changed)."""


def probe_all(
    kind: SourceKind, chunks: Iterable[Chunk], workers: int
) -> Iterator[tuple[Chunk, list[Probed]]]:
    """Each chunk with what was probed of it, in order; at most a few chunks are held.

    Processes, not threads: reading a header is Python code, and two threads read 0.6 times as
    many a second as one. A source of a single chunk is probed in this process.

    Raises:
        FvlmError: a worker process died.
    """
    ahead = iter(chunks)
    first = list(islice(ahead, 2))
    if workers == 1 or len(first) < 2:
        for chunk in chain(first, ahead):
            yield chunk, probe_chunk(kind, _to_open(chunk))
        return
    spawn: Any = multiprocessing.get_context("spawn")  # the tables' runtime dies of a fork
    waiting: deque[tuple[Chunk, Future[list[Probed]]]] = deque()
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        try:
            for chunk in chain(first, ahead):
                waiting.append((chunk, pool.submit(probe_chunk, kind, _to_open(chunk))))
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


def probe_chunk(kind: SourceKind, files: Sequence[FoundFile]) -> list[Probed]:
    """Probe files of one kind of source, in order."""
    look = KINDS[kind].probe
    return [look(found) for found in files]


def _to_open(chunk: Chunk) -> list[FoundFile]:
    return [found for _, found, changed in chunk if changed]
