"""What a vault has lost, learnt anew from the sources: names, paths and original reports.

Names are proved: `identity_marks` holds a keyed hash of what each series told. Only where all of
them are told again does the store take the vault for whole; nothing else of it is changed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

from fvlm_data.identity.ids import file_token, source_token
from fvlm_data.ingest.config import by_label
from fvlm_data.ingest.discovery.commit import owners
from fvlm_data.ingest.discovery.forgotten import pathless
from fvlm_data.ingest.source_files import known_sources, remember_sources, series_files
from fvlm_data.ingest.sources import SOURCES
from fvlm_data.ingest.volume.result import identity_mark
from fvlm_data.reports.offered import offered_row
from fvlm_data.reports.sources import read_source
from fvlm_data.reports.versions.original_reports import remember
from fvlm_data.run.stages import build_stage
from fvlm_data.run.vault_extent import record_vault_extent
from fvlm_data.store.commits import told_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fvlm_data.ingest.config import SourceConfig
    from fvlm_data.ingest.sources.kind import Kind
    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Context

    Progress = Callable[[str, int, int], None]

_FILES = 2000
_REPORTS = 5000
_SERIES = 8
_INGEST = "ingest"


@dataclass(frozen=True, slots=True)
class Relearnt:
    """How many of what the store names were told again, and those that no source tells."""

    patients: int
    lacking: Mapping[str, tuple[str, ...]]

    def sentences(self) -> Iterator[str]:
        """What was told, what is not to be had any more, and what to do."""
        yield f"names of {self.patients} patients, or of what reports call them, are proved"
        remedies = {
            "series": "series whose names no source tells as it did; add the source that holds (or "
            "held) their files to the configuration, or restore a newer backup; until then no "
            "stage runs",
            "files": "files whose paths no source tells; `explain --reveal` cannot name them",
            "reports": "original reports that no source holds any more; their readings stay, and "
            "are set aside (original_missing) when they are to be made anew",
        }
        for name, items in self.lacking.items():
            if items:
                yield f"lacking: {len(items)} {remedies[name]} ({', '.join(items[:3])})"
        if self.names_are_whole:
            yield "the vault knows all names again; runs go on"

    @property
    def names_are_whole(self) -> bool:
        """Whether all names are there by which the store's reports were scrubbed."""
        return not self.lacking["series"]


def relearn(context: Context, config: Config, progress: Progress | None = None) -> Relearnt:
    """Read the sources of a configuration for all that the vault lacks of the store.

    Tables stay as they are. Names of patients are added to those that the vault has; where each
    series' are proved, the vault counts as whole from then on, and the next run goes on.

    Raises:
        InputError: a source cannot be read.
        StoreError: store or vault cannot be read or written.
    """
    report = progress or (lambda what, done, total: None)
    sources = by_label(tuple(config.sources))
    naming = config.identity.source_names
    key = context.vault.key
    named = {source_token(key, naming, label): source for label, source in sources.items()}
    remember_sources(context.vault, named)
    marks: dict[str, dict[str, str]] = defaultdict(dict)
    for row in context.store.read("identity_marks").to_pylist():
        marks[row["series_id"]][row["owner_id"]] = row["mark"]
    proved: set[str] = set()
    for source in sources.values():
        proved |= _files(context, source, naming, marks, report)
    proved |= _series(context, config, named, marks, report)
    _originals(context, config, report)
    unproved = sorted(marks.keys() - proved)
    result = Relearnt(
        patients=len({owner for series in proved for owner in marks[series]}),
        lacking={"series": tuple(unproved), **_lacking(context)},
    )
    if result.names_are_whole:
        record_vault_extent(context)
    return result


def _lacking(context: Context) -> dict[str, tuple[str, ...]]:
    """Paths of files and originals of reports that the vault is still without."""
    rows = context.store.read("inputs", ["kind", "token", "item"]).to_pylist()
    files = {row["token"] for row in rows if row["kind"] == "file"} - pathless(context.store)
    reports = {row["item"] for row in rows if row["kind"] == "report" and row["item"]}
    vault = context.vault
    return {
        "files": tuple(sorted(vault.unknown_files(files))),
        "reports": tuple(sorted(vault.unknown_reports(reports))),
    }


def _files(
    context: Context,
    source: SourceConfig,
    naming: Literal["token", "plain"],
    marks: Mapping[str, Mapping[str, str]],
    report: Progress,
) -> set[str]:
    """Paths of a source's files, and names that those tell which discovery has set aside."""
    key, vault = context.vault.key, context.vault
    kind: Kind = SOURCES.load(source.kind)
    found = kind.find(source)
    proved: set[str] = set()
    seen = 0
    while chunk := list(islice(found, _FILES)):
        tokens = {file_token(key, naming, source.label, one.relative): one for one in chunk}
        vault.remember_files({token: one.relative for token, one in tokens.items()})
        for token in marks.keys() & tokens.keys():
            probed = kind.probe(tokens[token])
            if probed.names is not None and probed.identities:
                told = dict.fromkeys(owners(key, probed.names, token), tuple(probed.identities))
                if _proved(context, marks[token], told):
                    proved.add(token)
        seen += len(chunk)
        report("files", seen, 0)
    return proved


def _series(
    context: Context,
    config: Config,
    named: Mapping[str, SourceConfig],
    marks: Mapping[str, Mapping[str, str]],
    report: Progress,
) -> set[str]:
    """Names that the headers of series tell; a series is read whole only where these do not do."""
    stage = build_stage(_INGEST, config)
    proved: set[str] = set()
    wanted = iter(sorted(marks))
    seen = 0
    while series := list(islice(wanted, _SERIES)):
        left = []
        for one, told in _by_headers(context, config, named, series):
            if told is not None and _proved(context, marks[one], told):
                proved.add(one)
            elif told is not None:
                left.append(one)
        for one, again in told_names(context, stage, left) if left else ():
            if _proved(context, marks[one], again):
                proved.add(one)
        seen += len(series)
        report("series", seen, len(marks))
    return proved


def _by_headers(
    context: Context,
    config: Config,
    named: Mapping[str, SourceConfig],
    series: Sequence[str],
) -> Iterator[tuple[str, Mapping[str, Sequence[str]] | None]]:
    """What the headers of each series tell; none of what is no series, but a file."""
    files: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in context.store.read_items("inputs", "item", series):
        if row["kind"] == "file":
            files[row["item"]].append(row)
    paths = context.vault.file_paths
    for one in series:
        rows = sorted(files.get(one, ()), key=lambda row: row["token"])
        if not rows:
            yield one, None
            continue
        sources = known_sources(paths, named, {row["source"] for row in rows})
        source = sources.get(rows[0]["source"])
        tell = SOURCES.load(source.kind).told_names if source else None
        relative = paths(row["token"] for row in rows)
        placed = series_files(rows, relative, sources)
        yield one, tell(placed, one, context.vault.key, config.ingest) if tell else {}


def _proved(context: Context, marks: Mapping[str, str], told: Mapping[str, Sequence[str]]) -> bool:
    """Give the vault what was told; whether all is among it that was told before."""
    key = context.vault.key
    for owner in marks.keys() & told.keys():
        context.vault.remember_patient(owner, told[owner])
    return all(identity_mark(key, told.get(owner, ())) == mark for owner, mark in marks.items())


def _originals(context: Context, config: Config, report: Progress) -> None:
    """Reports as their sources hold them now, of those that the store has and the vault lacks."""
    vault, store = context.vault, context.store
    items = store.read("inputs", ["item"], [("kind", "=", "report")])["item"].to_pylist()
    lacking = vault.unknown_reports({one for one in items if one})
    seen = 0
    for source in config.reports if lacking else ():
        occurrences: Counter[str] = Counter()
        rows = read_source(source)
        while chunk := list(islice(rows, _REPORTS)):
            offered = [
                offered_row(vault.key, source, config.identity.source_names, row, occurrences)
                for row in chunk
            ]
            remember(vault, {one.report_id: one.row for one in offered if one.report_id in lacking})
            vault.remember_files({one.file: one.path for one in offered})
            seen += len(chunk)
            report("reports", seen, 0)
