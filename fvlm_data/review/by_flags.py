"""Corrections of a finding or sentence by single names, completed from how the store reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.review.subjects import Subject
    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary

NO_SIDE = "none"
READ = ("finding", "anatomy", "status", "start", "end")
"""What the correction of a sentence says of each mention that it keeps; the rest stays as read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What is right instead, by name; what is not named stays as it is read.

    `anatomies` of a finding is one; `side` is left, right, bilateral or `none`.
    """

    finding: str | None = None
    anatomies: tuple[str, ...] = ()
    status: str | None = None
    side: str | None = None
    section: str | None = None

    def any(self) -> bool:
        """Whether anything is named."""
        return self != Named()


def homes(vocabulary: Vocabulary) -> dict[str, str]:
    """The anatomy that each finding of a vocabulary is of, less findings that lie anywhere."""
    return {term.id: term.anatomy for term in vocabulary.findings if not term.anywhere}


def correction_by(
    context: Context, subject: Subject, named: Named, vocabulary: Vocabulary
) -> dict[str, Any]:
    """The correction of a subject, as a file of decisions holds it.

    A finding of another name is of the anatomy of that name, unless one is named or it lies
    anywhere. The correction of a sentence tells all findings of it, as the store has them.

    Raises:
        InputError: a name is of another kind of subject, or the store has no such sentence.
        StoreError: a table cannot be read.
    """
    _fits(subject, named)
    if subject.kind == "finding":
        return _of_finding(subject, named, vocabulary)
    told: dict[str, Any] = {"findings": _findings(context, subject)}
    if named.section is not None:
        told["section"] = named.section
    if named.anatomies:
        told["anatomies"] = list(named.anatomies)
    return told


def _fits(subject: Subject, named: Named) -> None:
    flags = {
        "finding": {"--finding": named.finding, "--status": named.status, "--side": named.side},
        "sentence": {"--section": named.section},
    }
    if subject.kind not in flags:
        raise InputError(
            f"decision on {subject.kind} {subject.text}: it has no name to correct; only findings "
            "and sentences have, others are right or wrong"
        )
    for kind, some in flags.items():
        given = [flag for flag, value in some.items() if value is not None]
        if kind != subject.kind and given:
            raise InputError(
                f"decision on {subject.kind} {subject.text}: {given[0]} corrects a {kind}; expected"
                f" --anatomy or {', '.join(flags[subject.kind])}"
            )
    if subject.kind == "finding" and len(named.anatomies) > 1:
        raise InputError(
            f"decision on finding {subject.text}: {len(named.anatomies)} anatomies found, expected "
            "one; a sentence may have several"
        )


def _of_finding(subject: Subject, named: Named, vocabulary: Vocabulary) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if named.finding is not None:
        told["finding"] = named.finding
        home = homes(vocabulary).get(named.finding)
        if home is not None and home != subject.part("anatomy"):
            told["anatomy"] = home
    if named.anatomies:
        told["anatomy"] = named.anatomies[0]
    if named.status is not None:
        told["status"] = named.status
    if named.side is not None:
        told["laterality"] = None if named.side == NO_SIDE else named.side
    return told


def _findings(context: Context, subject: Subject) -> list[Mapping[str, Any]]:
    report = [subject.parts[0]]
    start, end = subject.span
    sentences = context.store.read_items(
        "sentences", "report_id", report, ["report_id", "sentence", "start", "end"]
    )
    numbers = {one["sentence"] for one in sentences if (one["start"], one["end"]) == (start, end)}
    if not numbers:
        raise InputError(
            f"sentence {subject.text}: not in the store as it reads the report now; "
            "`fvlm-data review queue` and the page of its study name sentences"
        )
    rows = context.store.read_items("findings", "report_id", report, [*READ, "sentence"])
    mine = [row for row in rows if row["sentence"] in numbers]
    mine.sort(key=lambda row: (row["start"], row["end"], row["finding"]))
    return [{name: row[name] for name in READ} for row in mine]
