"""Discovery: every file of the sources becomes an input of a series, or is set aside."""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Literal

from fvlm_data.errors import InputError
from fvlm_data.identity.ids import file_token, keyed_id, source_token
from fvlm_data.ingest.config import by_label
from fvlm_data.ingest.discovery import arriving
from fvlm_data.ingest.discovery.commit import Seen, SourceWriter, close
from fvlm_data.ingest.discovery.file_kinds import Readers, probe_all
from fvlm_data.ingest.discovery.forgotten import as_forgotten, forgotten
from fvlm_data.ingest.discovery.known import known_files, settled_fingerprint, stamped
from fvlm_data.ingest.discovery.listed import keep_listing, last_listing
from fvlm_data.ingest.discovery.mapping import KIND as MAPPING_KIND
from fvlm_data.ingest.discovery.mapping import STAGE as MAPPING_STAGE
from fvlm_data.ingest.discovery.mapping import discover_mapping
from fvlm_data.ingest.discovery.mending import remove_strangers, to_mend
from fvlm_data.ingest.discovery.named_files import names_below
from fvlm_data.ingest.discovery.series_item import series_item
from fvlm_data.ingest.lost_files import MAY_BE_A_SLICE, name_form
from fvlm_data.ingest.source_files import remember_sources
from fvlm_data.ingest.sources import SOURCES
from fvlm_data.isolation.limits import Limits, circumstances
from fvlm_data.store.declared import Foreseen
from fvlm_data.store.discovered import changed_sources, rename_sources
from schemas import Input, Quarantined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fvlm_data.ingest.config import SourceConfig
    from fvlm_data.ingest.discovery.file_kind import Aside, Probed
    from fvlm_data.ingest.discovery.file_kinds import Chunk
    from fvlm_data.ingest.discovery.found_file import FoundFile
    from fvlm_data.ingest.discovery.known import KnownFiles
    from fvlm_data.ingest.discovery.listed import Listed
    from fvlm_data.ingest.sources.kind import Kind
    from fvlm_data.store.declared import Context

STAGE, KIND = "discover", "file"
LIMITS = Limits(seconds=600.0)
"""The bytes of a large file may be read as a whole, over a network."""

CHUNK_FILES = 2000
COMMIT_FILES = 10_000
"""A commit looks through the whole table, so fewer and larger ones are faster; a killed run opens
at most this many files again."""


def discover(
    context: Context,
    sources: Sequence[SourceConfig],
    naming: Literal["token", "plain"],
    progress: Callable[[int], None] | None = None,
    limits: Limits = LIMITS,
    *,
    rehash: bool = False,
    settle_minutes: float = 0.0,
    full_listing_days: float = 0.0,
) -> Counter[str]:
    """Bring tables `inputs` and `quarantine` (stage `discover`) up to date with the sources.

    Every file gets one row of `inputs`; a file that is part of no series gets one of `quarantine`
    too. Files with unchanged size, modification time and inode are not opened; of a known one in
    which any of them differs all bytes are read, with `rehash` those of every known file. Unchanged
    rows are not written. Files that vanished keep their rows. A source whose rows were damaged is
    read again in full, whether this run names it or not. Rows of mapping files follow
    (`discover_mapping`). Headers are read in the context's workers, if it has any, each within
    `limits`; a file that ended its worker is read again only under other versions or limits, or
    with the context's `retry`. `progress` is called with the number of files seen. Series of which
    a file came within the last `settle_minutes` are noted (`arriving`). Until the last listing of
    everything is `full_listing_days` old, folders and studies that are as they were are passed over
    (`listed`); not with `rehash`, nor with the context's `retry`. Where the context names files, no
    others are looked at, but those of a damaged source. Returns counts: files, unchanged,
    accepted, set_aside, set aside by `kind:reason`, folders passed over, and named files that lie
    in no source.

    Raises:
        InputError: a source is missing, cannot be read, or is empty; a mapping file is at fault.
        ConfigError: two sources have one name.
        StoreError: the store or vault cannot be written.
        FvlmError: worker processes cannot work.
    """
    key = context.vault.key
    labels = by_label(tuple(sources))
    named = {source_token(key, naming, label): source for label, source in labels.items()}
    if context.named is None:
        for source in sources:  # a missing source stops the run before anything is written
            next(SOURCES.load(source.kind).find(source))
    # before the first row: a later run finds the files of these rows by it
    remember_sources(context.vault, named)
    renamed = {label: token for token, label in zip(named, labels, strict=True) if token != label}
    for stage, kind in ((STAGE, KIND), (MAPPING_STAGE, MAPPING_KIND)):
        rename_sources(context, stage, kind, renamed)
    damaged = changed_sources(context, STAGE, KIND)
    mappings_damaged = changed_sources(context, MAPPING_STAGE, MAPPING_KIND)
    looked_at = {**named, **to_mend(context, named, damaged | mappings_damaged)}
    told = {token: _told(context, source) for token, source in looked_at.items()}
    tried = circumstances(context.versions, limits)
    readers = Readers(context.workers, limits, tried) if context.workers else None
    counts: Counter[str] = Counter()
    writers = []
    quiet_before_s = arriving.quiet_before_s(settle_minutes)
    arriving.forget_quiet(context, quiet_before_s)
    for token, source in looked_at.items():
        names = None if token in damaged else told[token]
        if names is not None and not names:
            continue
        writer = SourceWriter(context, STAGE, KIND, token, source.label, token in damaged)
        writers.append(writer)
        known = _known(writer, source, "" if context.retry else tried)
        listed = None
        if full_listing_days and names is None and SOURCES.load(source.kind).changed is not None:
            anew = rehash or context.retry or writer.damaged
            listed = last_listing(
                context, token, known, arriving.clock_s(), full_listing_days, full=anew
            )
        files = _files(source, listed, names)
        chunks = _chunks(context, source, naming, known, files, rehash=rehash)
        probed = probe_all(source.kind, chunks, readers)
        for group in _groups(probed, counts["files"], progress):
            counts += _commit(writer, source, group, known, quiet_before_s)
        if writer.damaged:
            remove_strangers(writer)
        if listed is not None:
            token_of = partial(file_token, key, naming, source.label)
            number = len(_known(writer, source, tried))
            keep_listing(context, token, listed, number, token_of)
            if listed.skipped:
                counts["passed over"] += listed.skipped
    if elsewhere := _elsewhere(context, looked_at.values()):
        counts["named elsewhere"] = elsewhere
    close(context, writers)
    arriving.join_short_studies(context)
    discover_mapping(context, looked_at, mappings_damaged)
    return counts


def foresee(
    context: Context | None,
    sources: Sequence[SourceConfig],
    naming: Literal["token", "plain"],
    limits: Limits = LIMITS,
) -> list[Foreseen]:
    """The files of each source, and those that `discover` would open; none is opened here.

    Raises:
        InputError: a source is missing or cannot be read.
        StoreError: a table is missing or damaged.
    """
    made = []
    damaged = changed_sources(context, STAGE, KIND) if context else frozenset()
    # by their place: a label may be a folder's name that names a patient
    for number, (label, source) in enumerate(by_label(tuple(sources)).items()):
        if context is None:
            looks = ((file, True) for file in SOURCES.load(source.kind).find(source))
        else:
            token = source_token(context.vault.key, naming, label)
            known = known_files(
                context.store,
                token,
                trusted=token not in damaged,
                made_by=SOURCES.made_by(source.kind),
                tried="" if context.retry else circumstances(context.versions, limits),
            )
            files = _files(source, None, None)
            chunks = _chunks(context, source, naming, known, files, rehash=context.rehash)
            looks = ((file, bool(look)) for chunk in chunks for _, file, look in chunk)
        found = new = new_bytes = 0
        for file, look in looks:
            found += 1
            new += look
            new_bytes += file.size_bytes if look else 0
        made.append(Foreseen(f"image files of sources[{number}]", found, new, new_bytes))
    return made


def _known(writer: SourceWriter, source: SourceConfig, tried: str) -> KnownFiles:
    return known_files(
        writer.context.store,
        writer.source,
        trusted=not writer.damaged,
        made_by=SOURCES.made_by(source.kind),
        tried=tried,
    )


def _groups(
    probed: Iterator[tuple[Chunk, list[Probed]]],
    seen: int,
    progress: Callable[[int], None] | None,
) -> Iterator[list[tuple[str, FoundFile, Probed | None]]]:
    """Files grouped by commit, with the probe results of those that were opened."""
    group: list[tuple[str, FoundFile, Probed | None]] = []
    for chunk, found in probed:
        opened = iter(found)
        group.extend((token, file, next(opened) if look else None) for token, file, look in chunk)
        seen += len(chunk)
        if progress is not None:
            progress(seen)
        if len(group) >= COMMIT_FILES:
            yield group
            group = []
    if group:
        yield group


def _chunks(
    context: Context,
    source: SourceConfig,
    naming: Literal["token", "plain"],
    known: KnownFiles,
    files: Iterator[FoundFile],
    *,
    rehash: bool,
) -> Iterator[Chunk]:
    """The files of a source with their tokens, and what of each is to be read."""
    while found := list(islice(files, CHUNK_FILES)):
        key, label = context.vault.key, source.label
        tokens = [file_token(key, naming, label, one.relative) for one in found]
        looks = known.looks(tokens, found, rehash=rehash)
        yield list(zip(tokens, found, looks, strict=True))


def _told(context: Context, source: SourceConfig) -> list[str] | None:
    """The names of a source's files that are to be looked at; None: all are."""
    return None if context.named is None else names_below(source, context.named)


def _elsewhere(context: Context, sources: Iterable[SourceConfig]) -> int:
    """How many of the named files lie in no source."""
    everywhere = list(sources)
    return sum(
        not any(names_below(source, [address]) for source in everywhere)
        for address in context.named or ()
    )


def _files(
    source: SourceConfig, listed: Listed | None, names: Sequence[str] | None
) -> Iterator[FoundFile]:
    kind: Kind = SOURCES.load(source.kind)
    if names is not None:
        if kind.named is None:
            raise InputError(
                f"source {source.label}: files are named of it, which kind {source.kind} cannot "
                "look at alone; leave it out of this run, or leave --keys away"
            )
        return kind.named(source, names)
    return kind.find(source) if listed is None or not kind.changed else kind.changed(source, listed)


def _commit(
    writer: SourceWriter,
    source: SourceConfig,
    group: Sequence[tuple[str, FoundFile, Probed | None]],
    known: KnownFiles,
    quiet_before_s: float,
) -> Counter[str]:
    made_by = SOURCES.made_by(source.kind)
    opened = [(token, found, probed) for token, found, probed in group if probed is not None]
    as_read = writer.as_read([token for token, _, probed in opened if probed.checksum])
    gone = forgotten(writer.context.vault, source, opened)
    seen, came, now_s = [], dict[str, float](), arriving.clock_s()
    for token, found, probed in opened:
        if token in gone:
            seen.append(as_forgotten(writer.context.vault.key, writer.source, token, gone[token]))
            continue
        told = settled_fingerprint(probed, *as_read.get(token, ("", "")))
        one = _seen(writer, source, token, found, stamped(told, made_by))
        seen.append(one)
        # a file that was only touched brings nothing
        if one.row.item and one.row.fingerprint != as_read.get(token, ("", ""))[0]:
            last_s = max(came.get(one.row.item, 0.0), arriving.arrived_s(found, now_s))
            came[one.row.item] = last_s
    # before the rows by which the files are known: a killed run sees them again
    arriving.remember_arrivals(writer.context, came, quiet_before_s)
    written = writer.write_files(seen, known.held([one.row.token for one in seen]))
    asides = [one.aside for one in written if one.aside]
    return Counter(
        {
            "files": len(group),
            "unchanged": len(group) - len(written),
            "accepted": len(written) - len(asides),
            "set_aside": len(asides),
        }
    ) + Counter(f"{aside.kind}:{aside.reason}" for aside in asides)


def _seen(
    writer: SourceWriter, source: SourceConfig, token: str, found: FoundFile, probed: Probed
) -> Seen:
    key = writer.context.vault.key
    whole = probed.whole
    row = Input(
        kind=KIND,
        token=token,
        source=writer.source,
        item=None if probed.aside else series_item(key, source, found, probed),
        fingerprint=probed.fingerprint,
        size_bytes=found.size_bytes,
        modified_ns=found.modified_ns,
        inode=found.inode,
        series=keyed_id(key, "f", "series", whole.series_uid) if whole.series_uid else None,
        study=keyed_id(key, "f", "study", whole.study_uid) if whole.study_uid else None,
        alike=_alike(key, source, found, probed),
        series_instances=found.series_instances or whole.series_instances or None,
        study_instances=found.study_instances or whole.study_instances or None,
    )
    aside = _quarantined(token, probed.aside) if probed.aside else None
    if aside is None:
        return Seen(row, None, found.relative)
    return Seen(row, aside, found.relative, probed.names, probed.identities)


def _alike(key: bytes, source: SourceConfig, found: FoundFile, probed: Probed) -> str | None:
    """What ties a file to others of its series by name: slices, and files that may be some."""
    slices = probed.aside.reason in MAY_BE_A_SLICE if probed.aside else probed.names is not None
    if not slices:
        return None
    return keyed_id(key, "f", "alike", source.label, name_form(found.relative))


def _quarantined(token: str, aside: Aside) -> Quarantined:
    return Quarantined(
        kind=aside.kind,
        stage=STAGE,
        item=token,
        reason=aside.reason,
        detail=aside.detail,
        source_files=(token,),
    )
