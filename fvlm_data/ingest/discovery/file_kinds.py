"""Probing many files at once: in this process, or in processes that may die of a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from fvlm_data.ingest.checksum import file_checksum
from fvlm_data.ingest.discovery.file_kind import Aside, Probed
from fvlm_data.ingest.discovery.known import WHOLE, Look, ended_fingerprint
from fvlm_data.ingest.discovery.opener import opened
from fvlm_data.ingest.sources import SOURCES
from fvlm_data.isolation.limits import Ended, detail
from fvlm_data.isolation.splitting import until_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fvlm_data.ingest.discovery.found_file import FoundFile
    from fvlm_data.isolation.limits import Limits
    from fvlm_data.isolation.workers import Workers

SECTION = "discover"
"""The limits of reading headers, in `execution.limits`."""

AHEAD = 8
"""Chunks that each process takes before the results of all are handed on, to bound the memory."""

Chunk = list[tuple[str, "FoundFile", Look]]
"""Token, file, and what of it is to be read."""

Looked = tuple["FoundFile", Look]
Numbered = tuple[int, Looked]


@dataclass(frozen=True, slots=True)
class Readers:
    """The processes that read headers, their limits, and the mark of what files are tried under.

    Processes, not threads: reading a header is Python code, and two threads together read only
    0.6 times as many per second as one.
    """

    workers: Workers
    limits: Limits
    tried: str


def probe_all(
    kind: str, chunks: Iterable[Chunk], readers: Readers | None
) -> Iterator[tuple[Chunk, list[Probed]]]:
    """Each chunk with what was probed of it, in order; at most a few chunks are held.

    Without `readers` in this process. A file that ends its process twice, alone, is set aside.

    Raises:
        FvlmError: processes end over every file, or cannot be started.
    """
    if readers is None:
        for chunk in chunks:
            yield chunk, probe_chunk(kind, _to_open(chunk))
        return
    waiting = iter(chunks)
    while window := list(islice(waiting, AHEAD * readers.workers.number)):
        yield from _probed(kind, window, readers)


def _probed(
    kind: str, window: Sequence[Chunk], readers: Readers
) -> Iterator[tuple[Chunk, list[Probed]]]:
    numbered = enumerate(one for chunk in window for one in _to_open(chunk))
    batches = [list(islice(numbered, len(_to_open(chunk)))) for chunk in window]
    found: dict[int, Probed] = {}

    def arguments(batch: list[Numbered]) -> tuple[str, list[Looked]]:
        return kind, [one for _, one in batch]

    def running(
        parts: Sequence[list[Numbered]], limits: Limits
    ) -> Iterator[tuple[list[Numbered], list[Probed] | Ended]]:
        yield from readers.workers.run(probe_chunk, parts, arguments, limits)

    for batch, result in until_alone([one for one in batches if one], running, readers.limits):
        told = [_ended(result, readers)] if isinstance(result, Ended) else result
        found.update(zip((number for number, _ in batch), told, strict=True))
    for chunk, batch in zip(window, batches, strict=True):
        yield chunk, [found.pop(number) for number, _ in batch]


def _to_open(chunk: Chunk) -> list[Looked]:
    return [(found, look) for _, found, look in chunk if look]


def _ended(ended: Ended, readers: Readers) -> Probed:
    """The fingerprint lets the file rest until it would be tried under something else."""
    aside = Aside("fault", ended.reason, detail(ended, SECTION, readers.limits))
    return Probed(ended_fingerprint(ended.reason, readers.tried), aside)


def probe_chunk(
    kind: str, files: Sequence[Looked], *, beat: Callable[[], None] | None = None
) -> list[Probed]:
    """Probe files of one kind of source, in order; `beat` is called after each."""
    probe = SOURCES.load(kind).probe
    probed = []
    for found, look in files:
        probed.append(_with_checksum(found, probe(found), look))
        if beat is not None:
            beat()
    return probed


def _with_checksum(found: FoundFile, probed: Probed, look: Look) -> Probed:
    if look != WHOLE or not probed.sampled or probed.aside is not None:
        return probed
    try:
        with opened(found.place) as handle:
            return replace(probed, checksum=file_checksum(handle))
    except OSError:  # gone since a moment ago: the next run looks again
        return replace(probed, fingerprint="")
