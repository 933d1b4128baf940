"""Reports that their source does not offer any more: changed there, or gone from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from fvlm_data.reports.offered import forgotten_file, own_key
from fvlm_data.reports.sources.kind import AUTO, kind_by_suffix
from fvlm_data.reports.versions.original_reports import remembered
from fvlm_data.store.discovered import open_sources
from schemas import Input, Quarantined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.reports.offered import Offered
    from fvlm_data.reports.sources.config import ReportSourceConfig
    from fvlm_data.store.declared import Context

STAGE = "discover_reports"
KIND = "report"
FEEDS = frozenset({"hl7", "fhir"})
"""Kinds whose files are messages: they go once they have been read."""
_ROWS = 5000
_DETAILS = {
    "changed_report": "its file holds it in another form now, which is used; nothing to do",
    "retired_report": (
        "its source offers it no longer; nothing to do, or set `gone: keep` for that source and "
        "offer it again"
    ),
}

GONE = (
    "SELECT left(item, length(item) - 2) AS item FROM quarantine "
    f"WHERE stage = '{STAGE}' AND item LIKE '%.0'"
)
"""SQL of the reports that are set aside by now where their rows are read: gone, changed, or of
another status. A second row of one report (.1) that is set aside leaves the first."""


@dataclass(slots=True)
class Offers:
    """What the sources of a run offer; `occurrences` counts the rows of each report id.

    `files` are those that were read, `keys` hashes of the reports' keys in them, `unreadable`
    those of rows that cannot be read and tell their key, `broken` files with rows that do not even
    tell that: what such a file offers is not known as a whole.
    """

    occurrences: Counter[str] = field(default_factory=Counter)
    faults: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    keys: set[int] = field(default_factory=set)
    unreadable: set[int] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)

    def add(self, rows: Sequence[Offered]) -> None:
        """Take in rows whose ids `occurrences` has counted."""
        for one in rows:
            self.files.add(one.file)
            if one.unreadable:
                self.faults.add(one.token)
                if one.links:
                    self.unreadable.add(hash(one.own_key))
                else:
                    self.broken.add(one.file)
            elif one.links and (one.row.fault is None or one.row.columns):
                self.keys.add(hash(one.own_key))
            else:
                self.faults.add(one.token)

    def holds(self, token: str) -> bool:
        """Whether a row of this token has been offered."""
        report, _, number = token.rpartition(".")
        return token in self.faults or (bool(report) and int(number) < self.occurrences[report])


def set_aside_gone(
    context: Context, sources: Sequence[ReportSourceConfig], offers: Offers
) -> tuple[Counter[str], set[str]]:
    """Set aside the reports that none of the sources offers any more, and say how many.

    A report that stands in its file in another form is `changed_report`; any other is
    `retired_report`, or stays, as the source's setting `gone` says; also where its file has rows
    that cannot be read, of which it may be one. Faults of rows that are gone are told no longer.
    Returns the counts and the files whose rows are touched.
    """
    counts: Counter[str] = Counter()
    touched: set[str] = set()
    for rows in _gone(context, sources, offers):
        reasons = _reasons(context, rows, offers)
        aside = [row for row, _ in rows if row.token in reasons]
        stale = [
            row
            for row, complete in rows
            if row.item is None and (complete or row.source in offers.files)
        ]
        counts["gone_and_kept"] += len(rows) - len(aside) - len(stale)
        if not aside and not stale:
            continue
        files = {row.source for row in (*aside, *stale)}
        open_sources(context, STAGE, files)
        _write(context, aside, stale, reasons)
        touched |= files
        counts.update(f"{reason}s" for reason in reasons.values())
    return +counts, touched


def _gone(
    context: Context, sources: Sequence[ReportSourceConfig], offers: Offers
) -> Iterator[list[tuple[Input, bool]]]:
    """Rows that are offered no longer, each with whether its source is a complete one."""
    wanted = [("kind", "=", KIND)]
    columns = ["token", "source"]
    told = context.store.read("inputs", columns, wanted)
    complete = _complete_files(context, sources, set(told["source"].unique().to_pylist()), offers)
    tokens = [
        row["token"]
        for batch in told.to_batches()
        for row in batch.to_pylist()
        if row["source"] in complete and not offers.holds(row["token"])
    ]
    tokens.sort()
    for start in range(0, len(tokens), _ROWS):
        part = tokens[start : start + _ROWS]
        rows = context.store.read("inputs", None, [*wanted, ("token", "in", part)])
        retired = _already(context, part)
        found = [Input(**row) for row in rows.to_pylist() if row["token"] not in retired]
        yield [(row, complete[row.source]) for row in found]


def _already(context: Context, tokens: Sequence[str]) -> set[str]:
    """Tokens that an earlier run has set aside as gone."""
    wanted = [("stage", "=", STAGE), ("item", "in", tokens), ("reason", "in", [*_DETAILS])]
    return set(context.store.read("quarantine", ["item"], wanted)["item"].to_pylist())


def _complete_files(
    context: Context,
    sources: Sequence[ReportSourceConfig],
    files: set[str],
    offers: Offers,
) -> dict[str, bool]:
    """Of the files of these sources: whether what they do not offer is to be retired.

    The vault tells which source a file is of; a file that it does not know is left as it is. Of
    rows that were forgotten nothing but the source is known.
    """
    paths = context.vault.file_paths(files)
    pathless = {forgotten_file(context.vault.key, source.label) for source in sources}
    made = dict.fromkeys(pathless & files, True)
    for file in files:
        path = paths.get(file, "")
        of = (one for one in sources if path == one.label or path.startswith(f"{one.label}/"))
        source = max(of, key=lambda one: len(one.label), default=None)
        if source is not None:
            made[file] = file not in offers.broken and _retires(source, path)
    return made


def _retires(source: ReportSourceConfig, path: str) -> bool:
    if source.gone != "auto":
        return source.gone == "retire"
    suffix = PurePosixPath(path).suffix if "/" in path else source.path.suffix
    kind = kind_by_suffix(suffix.lower()) if source.kind == AUTO else source.kind
    return kind not in FEEDS


def _reasons(
    context: Context, rows: Sequence[tuple[Input, bool]], offers: Offers
) -> dict[str, str]:
    """Why reports are set aside, by token; those that stay have no reason."""
    reports = {row.item: row for row, _ in rows if row.item is not None}
    originals = remembered(context.vault, reports)
    links: dict[str, list[tuple[str, str]]] = {report: [] for report in reports}
    wanted = [("owner_kind", "=", "report"), ("owner_id", "in", sorted(reports))]
    for link in context.store.read("links", None, wanted).to_pylist() if reports else ():
        links[link["owner_id"]].append((link["kind"], link["value_hash"]))
    made = {}
    for row, complete in rows:
        if row.item is None:
            continue
        original = originals.get(row.item)
        document = original.version.document if original is not None else ""
        key = own_key(row.source, document, tuple(sorted(links[row.item])))
        if hash(key) in offers.unreadable:
            continue  # its row is there and cannot be read: what was read of it stays
        if hash(key) in offers.keys:
            made[row.token] = "changed_report"
        elif complete:
            made[row.token] = "retired_report"
    return made


def _write(
    context: Context, aside: Sequence[Input], stale: Sequence[Input], reasons: dict[str, str]
) -> None:
    """Links first, as discovery does, `inputs` last: a killed run is taken up by the next."""
    faults = [
        Quarantined(
            kind="superseded",
            stage=STAGE,
            item=row.token,
            reason=reasons[row.token],
            detail=f"report {row.item}: {_DETAILS[reasons[row.token]]}",
            source_files=(row.source,),
        )
        for row in aside
    ]
    tokens = [row.token for row in (*aside, *stale)]
    context.store.replace("links", [row.item for row in aside if row.item is not None], [])
    context.store.replace("quarantine", tokens, faults, {"stage": STAGE})
    left = [replace(row, item=None) for row in aside]
    context.store.replace("inputs", tokens, left, {"kind": KIND})
