"""Discovery: every file of the sources becomes an input of a series, or is set aside."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from fvlm_data.identity.ids import file_token, keyed_id
from fvlm_data.ingest.config import by_label
from fvlm_data.ingest.discovery import inputs as commit
from fvlm_data.ingest.discovery.file_kinds import probe_all
from fvlm_data.ingest.sources import KINDS
from schemas import Input, Quarantined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fvlm_data.ingest.config import SourceConfig
    from fvlm_data.ingest.discovery.file_kind import Probed
    from fvlm_data.ingest.discovery.file_kinds import Chunk
    from fvlm_data.ingest.discovery.walk import FoundFile
    from fvlm_data.store.declared import Context

CHUNK_FILES = 2000
COMMIT_FILES = 10_000
"""A commit looks through the whole table, so that fewer and larger ones are faster; a killed run
opens at most so many files again."""


def discover(
    context: Context,
    sources: Sequence[SourceConfig],
    naming: Literal["token", "plain"],
    progress: Callable[[int], None] | None = None,
    workers: int = 1,
) -> Counter[str]:
    """Bring tables `inputs` and `quarantine` (stage `discover`) up to date with the sources.

    Every file gets one row of `inputs`; a file that is part of no series gets one of
    `quarantine` too. Files whose size and modification time are as before are not opened.
    Files that vanished keep their rows. `progress` is called with the number of files seen.
    Returns counts: files, unchanged, accepted, set_aside, and set aside by `kind:reason`.

    Raises:
        InputError: a source is missing, cannot be read, or is empty.
        ConfigError: two sources have one name.
        StoreError: the store or vault cannot be written.
        FvlmError: a worker process died.
    """
    named = by_label(tuple(sources))
    for source in sources:  # a missing source stops the run before anything is written
        next(KINDS[source.kind].find(source))
    commit.remember_sources(context.vault, named)
    counts: Counter[str] = Counter()
    for source in sources:
        probed = probe_all(source.kind, _chunks(context, source, naming), workers)
        for group in _groups(probed, counts["files"], progress):
            counts += _commit(context, source, group)
    return counts


def _groups(
    probed: Iterator[tuple[Chunk, list[Probed]]],
    seen: int,
    progress: Callable[[int], None] | None,
) -> Iterator[list[tuple[str, FoundFile, Probed | None]]]:
    """Files by the commit, with what was probed of those that were opened."""
    group: list[tuple[str, FoundFile, Probed | None]] = []
    for chunk, found in probed:
        opened = iter(found)
        group.extend((token, file, next(opened) if new else None) for token, file, new in chunk)
        seen += len(chunk)
        if progress is not None:
            progress(seen)
        if len(group) >= COMMIT_FILES:
            yield group
            group = []
    if group:
        yield group


def _chunks(
    context: Context, source: SourceConfig, naming: Literal["token", "plain"]
) -> Iterator[Chunk]:
    """The files of a source with their tokens, and whether each is new or changed."""
    known = commit.known_files(context.store, source.label)
    files = KINDS[source.kind].find(source)
    while found := list(islice(files, CHUNK_FILES)):
        key, label = context.vault.key, source.label
        tokens = [file_token(key, naming, label, one.relative) for one in found]
        changed = known.changed(tokens, found)
        yield list(zip(tokens, found, changed, strict=True))


def _commit(
    context: Context, source: SourceConfig, group: Sequence[tuple[str, FoundFile, Probed | None]]
) -> Counter[str]:
    counts = Counter(files=len(group))
    inputs: list[Input] = []
    asides: list[Quarantined] = []
    paths: dict[str, str] = {}
    for token, found, probed in group:
        if probed is None:
            continue
        item = None if probed.aside else _item(context.vault.key, source, found, probed)
        inputs.append(
            Input(
                kind="file",
                token=token,
                source=source.label,
                item=item,
                fingerprint=probed.fingerprint,
                size_bytes=found.size_bytes,
                modified_ns=found.modified_ns,
            )
        )
        paths[token] = found.relative
        if probed.aside:
            asides.append(_quarantined(token, probed))
            counts[f"{probed.aside.kind}:{probed.aside.reason}"] += 1
    commit.commit_discovered(context, inputs, asides, paths)
    counts["unchanged"] = len(group) - len(inputs)
    counts["accepted"] = len(inputs) - len(asides)
    counts["set_aside"] = len(asides)
    return counts


def _item(key: bytes, source: SourceConfig, found: FoundFile, probed: Probed) -> str:
    """The series that a file belongs to, as a keyed id.

    A DICOM slice goes by series UID and patient; without a series UID by its folder and what
    else all slices of a series share. A file that holds a volume is a series of its own, by its
    place.
    """
    names = probed.names
    if names is None:
        return keyed_id(key, "se", "nifti", source.label, found.relative)
    patient = (names.patient, names.patient_issuer)
    if names.series_uid:
        return keyed_id(key, "se", names.series_uid, *patient)
    folder = str(PurePosixPath(found.relative).parent)
    return keyed_id(key, "se", "folder", source.label, folder, *probed.series_hint, *patient)


def _quarantined(token: str, probed: Probed) -> Quarantined:
    if probed.aside is None:
        raise ValueError("only a file that is set aside has a quarantine row")
    return Quarantined(
        kind=probed.aside.kind,
        stage="discover",
        item=token,
        reason=probed.aside.reason,
        detail=probed.aside.detail,
        source_files=(token,),
    )
