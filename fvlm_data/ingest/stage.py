"""The stage `ingest`: from the inputs of discovery to volumes, links and NIfTI files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fvlm_data.errors import DamagedError
from fvlm_data.identity.forgotten import told
from fvlm_data.identity.ids import source_token
from fvlm_data.ingest.config import by_label
from fvlm_data.ingest.discovery.arriving import ARRIVING
from fvlm_data.ingest.lost_files import LOST, SHORT, lacking
from fvlm_data.ingest.source_files import known_sources, series_files
from fvlm_data.ingest.sources import SOURCES
from fvlm_data.ingest.volume.description import Description, described, load
from fvlm_data.ingest.volume.names import patient_id, study_id
from fvlm_data.ingest.volume.result import incomplete, outcome
from fvlm_data.settings import deciding
from fvlm_data.store.declared import Outcome, Read, Stage, guarded, reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from fvlm_data.ingest.config import IngestConfig, SourceConfig
    from fvlm_data.ingest.source_files import SourceFile
    from fvlm_data.ingest.sources.kind import Kind
    from fvlm_data.ingest.volume.result import SeriesResult
    from fvlm_data.store.declared import Batch, Inputs

STAGE_VERSION = 7
NAME = "ingest"
BATCH_SERIES = 8

READS = (
    Read(
        "files",
        "inputs",
        by="item",
        decides=("fingerprint",),
        carries=("token", "source"),
        where="t.kind = 'file'",
    ),
    Read("lost", "lost_files", by="item", decides=("named",), carries=("token",)),
    Read("short", "short_series", by="item", decides=("element", "announced", "found")),
    Read("mapping", "inputs", by="item", decides=("fingerprint",), where="t.kind = 'mapping'"),
    Read("before", "candidates", by="series_id", decides=(), carries=("source_files",)),
)

ITEMS = f"""
SELECT item FROM inputs WHERE kind = 'file' AND item <> ''
UNION SELECT item FROM ledger WHERE stage = '{NAME}'
"""
"""The ledger too: a series whose files now all hold other images has no inputs any more, and has to
be settled once more to lose its rows."""


@dataclass(frozen=True, slots=True)
class _Reader:
    """What all series of a batch are read with."""

    config: IngestConfig
    threads: int
    key: bytes
    sources: Mapping[str, SourceConfig]
    forgotten: Callable[[Iterable[str]], Mapping[str, str]]

    def read(self, series: str, files: Sequence[SourceFile], lacks: str) -> Outcome:
        """The outcome of a series; `lacks` says what is known not to have come of it."""
        source = self.sources.get(files[0].source)
        tokens = [file.token for file in files]
        # without a known source its files have no place: any kind reports them as gone
        kind: Kind = SOURCES.load(source.kind if source else "dicom")
        description: Description | None = Description()
        relative = files[0].relative
        mapping = source.mapping if source is not None and kind.is_mapped(relative) else None
        if mapping is not None and kind.mapping is not None:
            description = described(load(mapping, kind.mapping), relative)
        if description is None:
            detail = "the mapping CSV has no row of this volume; add one"
            return reject(series, "fault", "not_in_mapping", detail, tokens)
        result = kind.read(files, series, self.key, self.config, description, self.threads)
        later = self.later(series, result)
        if later:
            return reject(series, *told(later), tokens)
        if lacks:
            result = incomplete(series, result, lacks, self.config, self.key)
        return outcome(series, tokens, result, self.key)

    def later(self, series: str, result: SeriesResult) -> str:
        """What is to become of a series whose patient or study was forgotten; empty: it was not.

        Discovery knows most of them by their headers; of other kinds of files only their reader
        tells whose they are.
        """
        names = {*result.names, *(names for one in result.volumes for names in one.names)}
        ids = {made(self.key, one, series) for one in names for made in (patient_id, study_id)}
        return next(iter(self.forgotten(ids).values()), "")


def ingest_stage(config: IngestConfig, sources: Sequence[SourceConfig], threads: int = 1) -> Stage:
    """The stage `ingest` over everything that `discover` found in this store so far.

    `sources` are those of the configuration; sources of earlier runs are found by the vault.
    `threads` is how many a worker may keep busy; it does not affect the result.

    Raises:
        ConfigError: two sources have one name.
    """
    return Stage(
        name=NAME,
        version=STAGE_VERSION,
        settings=deciding(config),
        tables=("candidates", "links", "identity_marks"),
        items=ITEMS,
        reads=READS,
        views={"lost_files": LOST, "short_series": SHORT},
        make=partial(_make, config, by_label(tuple(sources)), threads),
        batch_size=BATCH_SERIES,
        derived=False,
        waits=ARRIVING,
    )


def _make(
    config: IngestConfig, configured: Mapping[str, SourceConfig], threads: int, batch: Batch
) -> Iterator[Outcome]:
    rows = {one.item: one.rows["files"] for one in batch.inputs}
    relative = batch.paths(row["token"] for found in rows.values() for row in found)
    labels = {row["source"] for found in rows.values() for row in found}
    named = {source_token(batch.secret, "token", name): one for name, one in configured.items()}
    sources = known_sources(batch.paths, {**configured, **named}, labels)
    reader = _Reader(config, threads, batch.secret, sources, batch.forgotten)
    for one in batch.inputs:
        tokens = [row["token"] for row in rows[one.item]]
        yield guarded(one.item, partial(_made, reader, batch, one, relative), tokens)


def _made(reader: _Reader, batch: Batch, inputs: Inputs, relative: Mapping[str, str]) -> Outcome:
    rows = inputs.rows["files"]
    _check_not_lost(batch, inputs)
    if not rows:
        detail = "its files hold other images now; their new series took its place"
        return reject(inputs.item, "superseded", "source_files_replaced", detail)
    lost = inputs.rows["lost"]
    own = [relative.get(row["token"], "") for row in rows]
    paths = batch.paths(row["token"] for row in lost) if lost else {}
    lacks = lacking(lost, inputs.rows["short"], own, paths)
    return reader.read(inputs.item, series_files(rows, relative, reader.sources), lacks)


def _check_not_lost(batch: Batch, inputs: Inputs) -> None:
    """Refuse to remake a series from fewer files because rows of `inputs` were lost.

    A file that now holds other images, or none, still has its row.

    Raises:
        DamagedError: a file that the series was made from has no row any more.
    """
    now = {row["token"] for row in inputs.rows["files"]}
    former = {token for row in inputs.rows["before"] for token in row["source_files"]} - now
    if not former:
        return
    known = {row["token"] for row in batch.standing("inputs", "token", former)}
    if former - known:
        raise DamagedError(
            f"series {inputs.item}: {len(former - known)} of its files have no row in table "
            "inputs any more, and could not be looked at again; bring back the source that they "
            "lie in and run again"
        )
