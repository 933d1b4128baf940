"""Discovery: every file of the sources becomes an input of a series, or is set aside."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from fvlm_data.identity import file_token, keyed_id
from fvlm_data.ingest import commit
from fvlm_data.ingest.config import by_label
from fvlm_data.ingest.probing import probe_all
from fvlm_data.ingest.sources import KINDS
from schemas import Input, Quarantined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fvlm_data.ingest.config import SourceConfig
    from fvlm_data.ingest.probe import Probed
    from fvlm_data.ingest.probing import Chunk
    from fvlm_data.ingest.walk import FoundFile
    from fvlm_data.stage import Context

CHUNK_FILES = 2000


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
        chunks = _chunks(context, source, naming)
        for chunk, probed in probe_all(source.kind, chunks, workers):
            counts += _commit(context, source, chunk, probed)
            if progress is not None:
                progress(counts["files"])
    return counts


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
    context: Context, source: SourceConfig, chunk: Chunk, probed: Sequence[Probed]
) -> Counter[str]:
    counts = Counter(files=len(chunk))
    inputs: list[Input] = []
    asides: list[Quarantined] = []
    paths: dict[str, str] = {}
    opened = ((token, found) for token, found, changed in chunk if changed)
    for (token, found), one in zip(opened, probed, strict=True):
        item = None if one.aside else _item(context.vault.key, source, found, one)
        inputs.append(
            Input(
                kind="file",
                token=token,
                source=source.label,
                item=item,
                fingerprint=one.fingerprint,
                size_bytes=found.size_bytes,
                modified_ns=found.modified_ns,
            )
        )
        paths[token] = found.relative
        if one.aside:
            asides.append(_quarantined(token, one))
            counts[f"{one.aside.kind}:{one.aside.reason}"] += 1
    commit.commit_discovered(context, inputs, asides, paths)
    counts["unchanged"] = len(chunk) - len(inputs)
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
