"""Which reports a later version takes the place of, or withdraws.

A version is of the same document (its id in the file, HL7: filler number and procedure; a DICOM
SR names its predecessors), or says that it corrects (HL7 status C, FHIR amended or corrected, a
column of statuses, its first words) and is of the same request and procedure, or is of these,
later, and repeats what the earlier one found. What cannot be told to be later, and what says
something else (chest and abdomen of one visit), replaces nothing: both are used. Addenda replace
nothing and are only withdrawn.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from fvlm_data.reports.versions.original_reports import adds, corrects, remembered, withdraws
from fvlm_data.reports.versions.repeats import repeats
from fvlm_data.store.stage import reject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fvlm_data.reports.versions.original_reports import Original
    from fvlm_data.store.stage import Context, Outcome
    from fvlm_data.vocabulary import Vocabulary

_NAMING = ("accession", "study_uid")
_MOST = 200
"""Reports that may share one name; more are no versions of anything ("unknown")."""
_DETAILS = {
    "corrected_report": "is a later version of it and is used in its place; nothing to do",
    "withdrawn_report": "withdraws it; nothing to do",
    "repeated_report": (
        "is of the same request, later, and repeats most of what it found, and is used in its "
        "place; name it as an addendum, or their procedures, to keep both"
    ),
}
"""Why a report is not used, by reason, after the id of the later one."""


class Successor(NamedTuple):
    """The report for which an earlier one is set aside, and the reason (a key of _DETAILS)."""

    report: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A report among those that share a name with it; links are hashes by kind."""

    report: str
    links: Mapping[str, frozenset[str]]
    original: Original
    corrects: bool
    adds: bool
    withdraws: bool


def replaced_reports(
    context: Context, vocabulary: Vocabulary, reports: Iterable[str] | None = None
) -> dict[str, Successor]:
    """Reports that a later one replaces or withdraws, with the latest such; all, or those given."""
    wanted = None if reports is None else set(reports)
    sharing: dict[tuple[str, str], set[str]] = defaultdict(set)
    rows = _links(context, wanted)
    for row in rows:
        if row["kind"] in _NAMING:
            sharing[row["kind"], row["value_hash"]].add(row["owner_id"])
    groups = [group for group in sharing.values() if 1 < len(group) <= _MOST]
    named = {report for group in groups for report in group}
    candidates = _candidates(context, vocabulary, rows, named)
    known = [[candidates[one] for one in group if one in candidates] for group in groups]
    latest = _latest(known, vocabulary)
    return {old: new for old, new in latest.items() if wanted is None or old in wanted}


def unclear_versions(
    context: Context, vocabulary: Vocabulary, reports_of: Mapping[str, Sequence[str]]
) -> dict[str, list[tuple[str, str]]]:
    """Pairs of a study's reports of which nothing tells whether one is a version of the other.

    They are of one patient, request and, as far as told, procedure, and none is an addendum.
    """
    several = {study: reports for study, reports in reports_of.items() if len(reports) > 1}
    wanted = {report for reports in several.values() for report in reports}
    columns = ["owner_kind", "owner_id", "kind", "value_hash"]
    rows = context.store.read_items("links", "owner_id", wanted, columns)
    candidates = _candidates(context, vocabulary, rows, wanted)
    made = {}
    for study, reports in several.items():
        known = [candidates[one] for one in reports if one in candidates]
        made[study] = [
            (first.report, second.report)
            for first, second in combinations(known, 2)
            if not (first.adds or second.adds)
            and _same_patient(first, second)
            and _same_request(first, second)
        ]
    return {study: pairs for study, pairs in made.items() if pairs}


def set_aside(report: str, successor: Successor, source: str) -> Outcome:
    """The outcome of a report that is replaced or withdrawn."""
    detail = f"report {report}: report {successor.report} {_DETAILS[successor.reason]}"
    return reject(report, "superseded", successor.reason, detail, (source,))


def _candidates(
    context: Context,
    vocabulary: Vocabulary,
    rows: Iterable[Mapping[str, Any]],
    reports: Iterable[str],
) -> dict[str, _Candidate]:
    links: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in rows:
        links[row["owner_id"]][row["kind"]].add(row["value_hash"])
    return {
        report: _Candidate(
            report,
            {kind: frozenset(values) for kind, values in links[report].items()},
            original,
            corrects(original, vocabulary),
            adds(original, vocabulary),
            withdraws(original, vocabulary),
        )
        for report, original in remembered(context.vault, reports).items()
    }


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


def _latest(groups: Iterable[list[_Candidate]], vocabulary: Vocabulary) -> dict[str, Successor]:
    """The latest report for which each other is set aside, by time and id."""
    made: dict[str, tuple[str, bool, Successor]] = {}
    for group in groups:
        for old in group:
            for new in group:
                reason = _reason(new, old, vocabulary)
                if reason and not _reason(old, new, vocabulary):
                    later = (new.original.issued, new.withdraws, Successor(new.report, reason))
                    made[old.report] = max(later, made.get(old.report, later))
    return {report: successor for report, (_, _, successor) in made.items()}


def _reason(new: _Candidate, old: _Candidate, vocabulary: Vocabulary) -> str | None:
    """Why one report is set aside for another, or none where it is not."""
    if new.report == old.report or old.withdraws or not _same_patient(new, old):
        return None
    if new.withdraws:
        return "withdrawn_report" if _takes_back(new, old) else None
    if new.adds or old.adds:
        return None
    if _replaces(new, old):
        return "corrected_report"
    later = _same_request(new, old) and _time_between(new, old) > 0
    again = later and repeats(new.original.text, old.original.text, vocabulary)
    return "repeated_report" if again else None


def _takes_back(new: _Candidate, old: _Candidate) -> bool:
    """Whether a withdrawal is of this report: its document, or where none is told its request."""
    if new.adds and not old.adds:
        return False
    ours, theirs = new.original.version.document, old.original.version.document
    same = ours == theirs if ours and theirs else _same_request(new, old)
    return same and _time_between(new, old) >= 0


def _replaces(new: _Candidate, old: _Candidate) -> bool:
    ours, theirs = new.original.version, old.original.version
    if theirs.document and theirs.document in ours.replaces:
        return True
    same_document = bool(ours.document) and ours.document == theirs.document
    if not same_document and not (new.corrects and _same_request(new, old)):
        return False
    between = _time_between(new, old)
    return between > 0 or (between == 0 and new.corrects and not old.corrects)


def _same_patient(new: _Candidate, old: _Candidate) -> bool:
    ours, theirs = new.links.get("patient_id"), old.links.get("patient_id")
    return not ours or not theirs or not ours.isdisjoint(theirs)


def _same_request(new: _Candidate, old: _Candidate) -> bool:
    """Whether both are of one request, and not of different procedures of it."""
    procedures = {new.original.version.procedure, old.original.version.procedure} - {""}
    ours, theirs = new.links.get("accession"), old.links.get("accession")
    return len(procedures) < 2 and (not ours or not theirs or not ours.isdisjoint(theirs))


def _time_between(new: _Candidate, old: _Candidate) -> int:
    """1 where a report is later than another, as far as both tell their time; -1, 0 else."""
    length = min(len(new.original.issued), len(old.original.issued))
    ours, theirs = new.original.issued[:length], old.original.issued[:length]
    return (ours > theirs) - (ours < theirs)
