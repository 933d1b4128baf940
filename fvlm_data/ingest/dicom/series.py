"""Reading a DICOM series: each file once, its pixels to HU, its slices to volumes."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from fvlm_data.ingest.dicom.copies import without_copies
from fvlm_data.ingest.dicom.people import identities_of, named_alike
from fvlm_data.ingest.dicom.slice_file import (
    DAMAGED,
    GONE,
    TOO_LARGE,
    Limit,
    Parsed,
    Slice,
    decode_file,
    parse_file,
)
from fvlm_data.ingest.dicom.stack_volume import judged_stacks, volumes_of
from fvlm_data.ingest.dicom.tags import quiet_pydicom
from fvlm_data.ingest.volume.names import patient_id
from fvlm_data.ingest.volume.result import Decoded, SeriesResult
from fvlm_data.store.declared import Reject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.source_files import SourceFile


WHY = {
    GONE: "cannot be read any more, expected those that discovery found; bring them back and "
    "run again",
    DAMAGED: "have a damaged header element, expected none; send them again",
    TOO_LARGE: "claim, hold or unpack to more than a series may take in memory "
    "(ingest.max_series_mb); look at them, or raise it",
}


def read_series(
    files: Sequence[SourceFile], series_id: str, key: bytes, config: IngestConfig, threads: int = 1
) -> SeriesResult:
    """Read all files of one series; every file ends in a volume or in a reject.

    `key` is the vault's. A stack with a slice that cannot be read is refused as a whole: the rest
    would be an anatomy with a hole or a missing end (`ingest.incomplete` may let the rest pass
    where it is a proved volume). Up to `threads` threads decode where that is
    faster; the result does not depend on their number.
    """
    slices: list[Slice] = []
    unreadable: dict[str, list[str]] = {}
    with quiet_pydicom(), ThreadPoolExecutor(threads) as pool:
        aside = pool if threads > 1 else None
        limit = Limit(config.max_series_mb << 20, max(len(files), config.min_slices))
        reading = [(one.token, _reading(aside, one, series_id, key, limit)) for one in files]
    for token, found in ((token, future.result()) for token, future in reading):
        if isinstance(found, str):
            unreadable.setdefault(found, []).append(token)
        else:
            slices.extend(found)
    slices = named_alike(slices)
    readable = slices
    slices, duplicates = without_copies(slices)
    rejects = _file_rejects(unreadable, duplicates)
    volumes: list[Decoded] = []
    for stack in judged_stacks(slices, config):
        made, refused = volumes_of(
            stack, unreadable, partial(patient_id, key, fallback=series_id), config
        )
        volumes.extend(made)
        rejects.extend(refused)
    volumes, rejects = _one_place_a_file(volumes, rejects)
    identities = identities_of(readable, series_id, key, linked=not volumes)
    checksums = {one.token: one.checksum for one in readable}
    retry = GONE in unreadable
    return SeriesResult(tuple(volumes), tuple(rejects), identities, retry, checksums)


def _reading(
    pool: ThreadPoolExecutor | None, file: SourceFile, series_id: str, key: bytes, limit: Limit
) -> Future[list[Slice] | str]:
    """The slices of one file, or the reason code why it has none.

    Headers are read in this thread, since that is Python code; so are pixels whose decoder holds
    the GIL.
    """
    parsed = parse_file(file, series_id, key, limit)
    if pool is not None and isinstance(parsed, Parsed) and parsed.without_gil:
        # a thread starts with an empty context; in a copy of ours pydicom is quiet there too
        return pool.submit(copy_context().run, decode_file, parsed)
    done: Future[list[Slice] | str] = Future()
    done.set_result(decode_file(parsed) if isinstance(parsed, Parsed) else parsed)
    return done


def _one_place_a_file(
    volumes: list[Decoded], rejects: list[Reject]
) -> tuple[list[Decoded], list[Reject]]:
    """Each file in one place: multi-frame files may hold several stacks.

    If one stack of a file is refused, so is the whole file, with the volumes that it is part of;
    of several reasons the first counts.
    """
    settled: set[str] = set()
    single: list[Reject] = []
    for reject in rejects:
        left = tuple(token for token in reject.source_files if token not in settled)
        settled.update(left)
        if left:
            single.append(replace(reject, source_files=left))
    kept = []
    for volume in sorted(volumes, key=lambda one: one.source_files):
        if settled.isdisjoint(volume.source_files):
            kept.append(volume)
            continue
        left = tuple(sorted(set(volume.source_files) - settled))
        settled.update(left)
        detail = (
            f"{len(volume.source_files)} file(s) of a volume share a file with a stack that was "
            "refused, expected every stack of a file to be sound; mend or resend that file"
        )
        if left:
            single.append(Reject("fault", "incomplete_series", detail, left))
    return kept, single


def _file_rejects(unreadable: Mapping[str, list[str]], duplicates: list[str]) -> list[Reject]:
    rejects = [
        Reject("fault", reason, f"{len(tokens)} file(s) of the series {WHY[reason]}", tuple(tokens))
        for reason, tokens in sorted(unreadable.items())
    ]
    if duplicates:
        detail = f"{len(duplicates)} file(s) hold the same slice as another file of the series"
        rejects.append(Reject("duplicate", "same_slice", detail, tuple(duplicates)))
    return rejects
