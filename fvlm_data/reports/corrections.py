"""Which reports a later version takes the place of.

A version is of the same document (its id in the file, HL7: filler number and procedure; a DICOM
SR names its predecessors), or says that it corrects (HL7 status C, FHIR amended or corrected, a
column of statuses, its first words) and is of the same request and procedure. What cannot be told
to be later replaces nothing: both are used. Addenda replace nothing and are never replaced.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.originals import adds, corrects, remembered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fvlm_data.reports.originals import Original
    from fvlm_data.stage import Context

_NAMING = ("accession", "study_uid")
_MOST = 200
"""Reports that may share one name; more are no versions of anything ("unknown")."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A report among those that share a name with it; links are hashes by kind."""

    report: str
    links: Mapping[str, frozenset[str]]
    original: Original
    corrects: bool


def replaced_reports(context: Context, reports: Iterable[str] | None = None) -> dict[str, str]:
    """Reports that a later version replaces, each with its latest one; all, or the given ones."""
    wanted = None if reports is None else set(reports)
    sharing: dict[tuple[str, str], set[str]] = defaultdict(set)
    by_report: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in _links(context, wanted):
        by_report[row["owner_id"]][row["kind"]].add(row["value_hash"])
        if row["kind"] in _NAMING:
            sharing[row["kind"], row["value_hash"]].add(row["owner_id"])
    groups = [group for group in sharing.values() if 1 < len(group) <= _MOST]
    originals = remembered(context.vault, {report for group in groups for report in group})
    candidates = {
        report: _Candidate(
            report,
            {kind: frozenset(values) for kind, values in by_report[report].items()},
            original,
            corrects(original),
        )
        for report, original in originals.items()
        if not adds(original)
    }
    known = [[candidates[one] for one in group if one in candidates] for group in groups]
    latest = _latest(known)
    return {old: new for old, new in latest.items() if wanted is None or old in wanted}


def _links(context: Context, reports: Iterable[str] | None) -> list[dict[str, Any]]:
    """Links of reports, and of all reports that share one with the given ones."""
    columns = ["owner_kind", "owner_id", "kind", "value_hash"]
    if reports is None:
        rows = context.store.read("links", columns, [("owner_kind", "=", "report")])
        return list(rows.to_pylist())
    own = context.store.read_items("links", "owner_id", reports, columns)
    hashes = {row["value_hash"] for row in own if row["kind"] in _NAMING}
    shared = context.store.read_items("links", "value_hash", hashes, columns)
    owners = {row["owner_id"] for row in shared if row["owner_kind"] == "report"}
    return context.store.read_items("links", "owner_id", owners, columns)


def _latest(groups: Iterable[list[_Candidate]]) -> dict[str, str]:
    """The latest version that replaces each report, by time and id."""
    made: dict[str, tuple[str, str]] = {}
    for group in groups:
        for old in group:
            for new in group:
                if _replaces(new, old) and not _replaces(old, new):
                    later = (new.original.issued, new.report)
                    made[old.report] = max(later, made.get(old.report, later))
    return {report: successor for report, (_, successor) in made.items()}


def _replaces(new: _Candidate, old: _Candidate) -> bool:
    if new.report == old.report or not _same_patient(new, old):
        return False
    ours, theirs = new.original.version, old.original.version
    if theirs.document and theirs.document in ours.replaces:
        return True
    same_document = bool(ours.document) and ours.document == theirs.document
    if not same_document and not (new.corrects and _same_request(new, old)):
        return False
    return _is_later(new, old)


def _same_patient(new: _Candidate, old: _Candidate) -> bool:
    ours, theirs = new.links.get("patient_id"), old.links.get("patient_id")
    return not ours or not theirs or not ours.isdisjoint(theirs)


def _same_request(new: _Candidate, old: _Candidate) -> bool:
    """Whether both are of one request, and not of different procedures of it."""
    procedures = {new.original.version.procedure, old.original.version.procedure} - {""}
    ours, theirs = new.links.get("accession"), old.links.get("accession")
    return len(procedures) < 2 and (not ours or not theirs or not ours.isdisjoint(theirs))


def _is_later(new: _Candidate, old: _Candidate) -> bool:
    """By the times that both tell, as far as both tell them; else a correction is the later."""
    length = min(len(new.original.issued), len(old.original.issued))
    ours, theirs = new.original.issued[:length], old.original.issued[:length]
    if ours != theirs:
        return ours > theirs
    return new.corrects and not old.corrects
