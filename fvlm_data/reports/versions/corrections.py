"""Which reports a later version takes the place of, or withdraws.

A version is of the same document (its id in the file, HL7: filler number and procedure; a DICOM
SR names its predecessors), or says that it corrects (HL7 status C, FHIR amended or corrected, a
column of statuses, its first words) and is of the same request and procedure where no
other version of its document is known, or is of these, later, and repeats what the earlier one
found. What cannot be told to be later, and what says
something else (chest and abdomen of one visit), replaces nothing: both are used. Addenda replace
nothing and are only withdrawn.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fvlm_data.reports.versions.original_reports import adds, corrects, withdraws
from fvlm_data.reports.versions.repeats import repeats
from fvlm_data.store.declared import reject

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from fvlm_data.reports.versions.original_reports import Original
    from fvlm_data.store.declared import Outcome
    from fvlm_data.vocabulary import Vocabulary

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


_SEVERAL = 2


@dataclass(frozen=True, slots=True)
class RelatedReport:
    """A report among those that share a name with it; links are hashes by kind."""

    report: str
    links: Mapping[str, frozenset[str]]
    original: Original
    corrects: bool
    adds: bool
    withdraws: bool
    vocabulary: Vocabulary
    """That of its language."""


def candidates(
    links: Iterable[Mapping[str, Any]],
    originals: Mapping[str, Original],
    words: Mapping[str, Vocabulary],
) -> dict[str, RelatedReport]:
    """Reports by id, with their links: rows with owner_id, kind and value_hash.

    `words` are the vocabularies of the reports' languages.
    """
    named: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for link in links:
        named[link["owner_id"]][link["kind"]].add(link["value_hash"])
    made = {}
    for report, original in originals.items():
        vocabulary = words[report]
        made[report] = RelatedReport(
            report,
            {kind: frozenset(values) for kind, values in named[report].items()},
            original,
            corrects(original, vocabulary),
            adds(original, vocabulary),
            withdraws(original, vocabulary),
            vocabulary,
        )
    return made


def successor_of(old: RelatedReport, others: Iterable[RelatedReport]) -> Successor | None:
    """The latest of the other reports, by time and id, that replaces or withdraws this one."""
    near = [old, *others]
    # a correction that finds the document it corrects has nothing to say of another of its request
    exact = {
        new.report
        for new in near
        if any(_is_of_document(new, one) for one in near if one.report != new.report)
    }
    later = [
        (new.original.issued, new.withdraws, Successor(new.report, reason))
        for new in near
        if (reason := _reason(new, old, exact)) and not _reason(old, new, exact)
    ]
    return max(later)[2] if later else None


def set_aside(report: str, successor: Successor, source: str) -> Outcome:
    """The outcome of a report that is replaced or withdrawn."""
    detail = f"report {report}: report {successor.report} {_DETAILS[successor.reason]}"
    return reject(report, "superseded", successor.reason, detail, (source,))


def _reason(new: RelatedReport, old: RelatedReport, exact: Collection[str]) -> str | None:
    """Why one report is set aside for another, or none where it is not.

    `exact` are reports of which another version of their document is known.
    """
    if new.report == old.report or old.withdraws or not _same_patient(new, old):
        return None
    if new.withdraws:
        return "withdrawn_report" if _takes_back(new, old, exact) else None
    if new.adds or old.adds:
        return None
    if _replaces(new, old, exact):
        return "corrected_report"
    later = _same_request(new, old) and _time_between(new, old) > 0
    again = later and repeats(new.original.text, old.original.text, old.vocabulary)
    return "repeated_report" if again else None


def _takes_back(new: RelatedReport, old: RelatedReport, exact: Collection[str]) -> bool:
    """Whether a withdrawal is of this report: its document, or where none is told its request."""
    if new.adds and not old.adds:
        return False
    ours, theirs = new.original.version.document, old.original.version.document
    if new.report in exact or (ours and theirs):
        same = _is_of_document(new, old)
    else:
        same = _same_request(new, old)
    return same and _time_between(new, old) >= 0


def _replaces(new: RelatedReport, old: RelatedReport, exact: Collection[str]) -> bool:
    if _names(new, old):
        return True
    by_request = new.corrects and new.report not in exact and _same_request(new, old)
    if not by_request and not _is_of_document(new, old):
        return False
    between = _time_between(new, old)
    return between > 0 or (between == 0 and new.corrects and not old.corrects)


def _names(new: RelatedReport, old: RelatedReport) -> bool:
    """Whether a report names the document of another as one that it replaces."""
    document = old.original.version.document
    return bool(document) and document in new.original.version.replaces


def _is_of_document(new: RelatedReport, old: RelatedReport) -> bool:
    document = new.original.version.document
    return (bool(document) and document == old.original.version.document) or _names(new, old)


def _same_patient(new: RelatedReport, old: RelatedReport) -> bool:
    return agree(new.links, old.links, "patient_id")


def _same_request(new: RelatedReport, old: RelatedReport) -> bool:
    procedures = new.original.version.procedure, old.original.version.procedure
    return of_one_request(new.links, old.links, procedures)


def agree(
    ours: Mapping[str, Collection[str]], theirs: Mapping[str, Collection[str]], kind: str
) -> bool:
    """Whether links of a kind do not tell two reports apart; links are hashes by kind."""
    one, other = ours.get(kind), theirs.get(kind)
    return not one or not other or not set(one).isdisjoint(other)


def of_one_request(
    ours: Mapping[str, Collection[str]],
    theirs: Mapping[str, Collection[str]],
    procedures: Iterable[str | None],
) -> bool:
    """Whether two reports are of one request, and not of different procedures of it."""
    return len({one for one in procedures if one}) < _SEVERAL and agree(ours, theirs, "accession")


def _time_between(new: RelatedReport, old: RelatedReport) -> int:
    """1 where a report is later than another, as far as both tell their time; -1, 0 else."""
    length = min(len(new.original.issued), len(old.original.issued))
    ours, theirs = new.original.issued[:length], old.original.issued[:length]
    return (ours > theirs) - (ours < theirs)
