"""What the report files hold: originals go to the vault, links and rows of `inputs` to tables."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.no_longer_offered import KIND, STAGE, Offers, set_aside_gone
from fvlm_data.reports.offered import as_forgotten, offered_row
from fvlm_data.reports.sources import read_source
from fvlm_data.reports.versions.original_reports import remember
from fvlm_data.store.declared import Foreseen
from fvlm_data.store.discovered import changed_sources, close_sources, open_sources
from schemas import Input, Link, Quarantined

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from fvlm_data.reports.offered import Offered
    from fvlm_data.reports.sources import ReportRow
    from fvlm_data.reports.sources.config import ReportSourceConfig
    from fvlm_data.store.declared import Context

COMMIT_ROWS = 5000
"""Rows of a report file that are looked at and committed at once: the bound on memory."""


def discover_reports(
    context: Context, sources: Sequence[ReportSourceConfig], naming: Any
) -> Counter[str]:
    """Look what the report files hold; write what is new or changed of it.

    A report's id is a keyed hash of its links and text, so that it is the same wherever in
    whatever file it stands; a second identical row is set aside as a duplicate. Rows that stand
    as they were are not written again, nor their originals; all rows of a file are whose rows in
    the tables are no longer those that were left. What a source does not offer any more is set
    aside (`set_aside_gone`).

    Raises:
        InputError: a file cannot be read or has not the columns.
    """
    counts: Counter[str] = Counter()
    offers = Offers()
    damaged = changed_sources(context, STAGE, KIND)
    files: set[str] = set()
    for source in sources:
        rows = read_source(source)
        while chunk := list(islice(rows, COMMIT_ROWS)):
            offered = [
                offered_row(context.vault.key, source, naming, row, offers.occurrences)
                for row in chunk
            ]
            offered = _without_forgotten(context, source, offered)
            offers.add(offered)
            files.update(one.file for one in offered)
            files |= _commit(context, offered, damaged)
            counts["rows"] += len(offered)
            counts.update(note for row in chunk for note in row.notes)
    gone, touched = set_aside_gone(context, sources, offers)
    counts.update(gone)
    close_sources(context, STAGE, KIND, files | touched)
    return counts


def foresee_reports(
    context: Context | None, sources: Sequence[ReportSourceConfig], naming: Any
) -> list[Foreseen]:
    """The rows of each source, and those that are not as they stand; nothing is written.

    Raises:
        InputError: a file cannot be read or has not the columns.
        StoreError: a table is missing or damaged.
    """
    offers = Offers()
    made = []
    for number, source in enumerate(sources):
        found = new = new_bytes = 0
        rows = read_source(source)
        while chunk := list(islice(rows, COMMIT_ROWS)):
            differs = _differing(context, source, naming, chunk, offers) if context else chunk
            found, new = found + len(chunk), new + len(differs)
            new_bytes += sum(len(t.encode()) for row in differs for t in row.columns.values())
        made.append(Foreseen(f"rows of reports[{number}]", found, new, new_bytes))
    return made


def _differing(
    context: Context,
    source: ReportSourceConfig,
    naming: Any,
    rows: Sequence[ReportRow],
    offers: Offers,
) -> list[ReportRow]:
    """Rows whose line of `inputs` would be another than the one that stands."""
    key = context.vault.key
    offered = [offered_row(key, source, naming, row, offers.occurrences) for row in rows]
    offered = _without_forgotten(context, source, offered)
    lines = {one.token: _input(one, accepted=_fault(one) is None) for one in offered}
    before = _standing(context, lines)
    return [one.row for one in offered if before.get(one.token) != lines[one.token]]


def _without_forgotten(
    context: Context, source: ReportSourceConfig, offered: Sequence[Offered]
) -> list[Offered]:
    """The rows; of those whose report, patient or study was forgotten only that there are some."""
    named = {one.token: {one.report_id, *(value for _, value in one.links)} for one in offered}
    gone = context.vault.forgotten({name for names in named.values() for name in names})
    if not gone:
        return list(offered)
    key, kept = context.vault.key, []
    for one in offered:
        later = next((gone[name] for name in sorted(named[one.token]) if name in gone), None)
        kept.append(one if later is None else as_forgotten(key, one, source.label, later))
    return kept


def _commit(context: Context, offered: Sequence[Offered], damaged: set[str]) -> set[str]:
    """Write what is not there yet: originals first, then links and faults, `inputs` last.

    Returns the files whose rows are touched by it, those too that have lost a row to another.
    """
    rejected = {one.token: fault for one in offered if (fault := _fault(one)) is not None}
    rows = {one.token: _input(one, accepted=one.token not in rejected) for one in offered}
    before = _standing(context, rows)
    _keep(context, offered, rejected, before)
    told = _told(context, rejected)
    new = [
        one
        for one in offered
        if one.file in damaged
        or before.get(one.token) != rows[one.token]
        or told.get(one.token) != rejected.get(one.token)
    ]
    if not new:
        return set()
    touched = {one.file for one in new}
    touched |= {before[one.token].source for one in new if one.token in before}
    open_sources(context, STAGE, touched)
    tokens = [one.token for one in new]
    accepted = [one for one in new if one.token not in rejected]
    links = [link for one in accepted for link in _links(one)]
    faults = [rejected[token] for token in tokens if token in rejected]
    context.store.replace("links", [one.report_id for one in accepted], links)
    context.store.replace("quarantine", tokens, faults, {"stage": STAGE})
    context.store.replace("inputs", tokens, [rows[token] for token in tokens], {"kind": KIND})
    return touched


def _keep(
    context: Context,
    offered: Sequence[Offered],
    rejected: Mapping[str, Quarantined],
    before: Mapping[str, Input],
) -> None:
    """Give the vault the originals and paths that it has not, or not as their files tell them."""
    vault = context.vault
    accepted = {one.report_id: one for one in offered if one.token not in rejected}
    unknown = vault.unknown_reports(accepted)
    originals = {
        report: one.row
        for report, one in accepted.items()
        if report in unknown
        or one.token not in before
        or before[one.token].fingerprint != one.fingerprint
    }
    if originals:
        remember(vault, originals)
    # a row that was forgotten has no path
    unknown_files = vault.unknown_files({one.file for one in offered if one.path})
    if unknown_files:
        vault.remember_files({one.file: one.path for one in offered if one.file in unknown_files})


def _standing(context: Context, tokens: Iterable[str]) -> dict[str, Input]:
    """Rows of `inputs` as they are, by token."""
    wanted = [("kind", "=", KIND), ("token", "in", sorted(tokens))]
    rows = context.store.read("inputs", None, wanted).to_pylist()
    return {row["token"]: Input(**row) for row in rows}


def _told(context: Context, tokens: Collection[str]) -> dict[str, Quarantined]:
    """Faults of rows as they are told now, by token."""
    if not tokens:
        return {}
    wanted = [("stage", "=", STAGE), ("item", "in", sorted(tokens))]
    rows = context.store.read("quarantine", None, wanted).to_pylist()
    return {
        row["item"]: Quarantined(**{**row, "source_files": tuple(row["source_files"])})
        for row in rows
    }


def _fault(offered: Offered) -> Quarantined | None:
    if offered.row.fault is not None:
        kind, reason, detail = offered.row.fault
    elif not offered.row.version.withdrawn and not any(
        text.strip() for text in offered.row.columns.values()
    ):
        kind, reason, detail = (
            "fault",
            "empty_report",
            (f"{offered.row.place}: no text; expected a report; mend the file"),
        )
    elif not offered.row.links:
        kind, reason, detail = (
            "fault",
            "no_link",
            (
                f"{offered.row.place}: no study named; expected a study UID, an accession "
                "number or a volume name; mend the file"
            ),
        )
    elif not offered.token.endswith(".0"):
        kind, reason, detail = (
            "duplicate",
            "same_report",
            (f"{offered.row.place}: it repeats report {offered.report_id}; nothing to do"),
        )
    else:
        return None
    return Quarantined(
        kind=kind,
        stage=STAGE,
        item=offered.token,
        reason=reason,
        detail=detail,
        source_files=(offered.file,),
    )


def _input(offered: Offered, *, accepted: bool) -> Input:
    return Input(
        kind=KIND,
        token=offered.token,
        source=offered.file,
        item=offered.report_id if accepted else None,
        fingerprint=offered.fingerprint,
        size_bytes=sum(len(text.encode()) for text in offered.row.columns.values()),
        modified_ns=0,
    )


def _links(offered: Offered) -> list[Link]:
    return [
        Link(
            owner_kind="report",
            owner_id=offered.report_id,
            kind=kind,
            value_hash=value,
            stated_by=offered.report_id,
        )
        for kind, value in offered.links
    ]
