"""Heads that tell of both sides differently, as a mention a side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fvlm_data.reports.language.measures import changes_by_side, severity_of, sides_in_turn
from fvlm_data.reports.language.side_answers import none_on_the_other, side_answers

if TYPE_CHECKING:
    from fvlm_data.reports.language.analysed import Head
    from fvlm_data.reports.language.found import Found
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.side_answers import SideAnswer


def by_side(head: Head, sentence: Found, book: Phrasebook) -> tuple[Head, ...]:
    """A mention a side: "moderate right and small left effusions" are two, of their own degree."""
    sides = sentence.sides
    answers = (
        side_answers(head.end, sides, sentence.words, book) if len(sentence.spans) == 1 else ()
    )
    if answers:
        return tuple(_answered(head, answer, sentence) for answer in answers)
    other = none_on_the_other(head.end, sides, sentence.words, book)
    if other and head.status == "present" and {head.side, other[2]} == {"left", "right"}:
        # with its own place, for the size is that of the first
        answered = _answered(head, other, sentence)
        return head, replace(answered, start=other[0], end=other[1], count=None, location=None)
    changes = _changes_by_side(head, sentence)
    if changes:
        return changes
    if not head.findings:
        return (head,)
    pair = sides_in_turn(head.start, sides, sentence.words, sentence.roles, book)
    if pair is None:
        return (head,)
    roles, clauses = sentence.roles, sentence.clauses
    made = []
    second = pair[1][0]
    for first, side in pair:
        place = (first, head.end)
        own = [m for m in sentence.severities if (m.start > pair[0][0]) == (first == second)]
        made.append(
            replace(
                head,
                start=first,
                findings=tuple((term, anatomy, side) for term, anatomy, _ in head.findings),
                side=side,
                severity=severity_of(place, own, roles, clauses),
            )
        )
    return tuple(made)


def _changes_by_side(head: Head, sentence: Found) -> tuple[Head, ...]:
    """A mention a side where the only finding of a sentence changed in two ways; else none."""
    told = changes_by_side(head.end, sentence.sides, sentence.changes, sentence.roles)
    others = [
        span
        for span in sentence.spans
        if span.start != head.start
        # "increased" is told of something by itself, too
        and not any(m.start <= span.start and span.end <= m.end for m in sentence.changes)
    ]
    gone = head.status == "absent" and any(change == "resolved" for _, change in told)
    if others or not (gone or head.status == "present"):
        return ()
    return tuple(
        replace(
            head,
            findings=tuple((term, anatomy, side) for term, anatomy, _ in head.findings),
            side=side,
            change=change,
            status="absent" if change == "resolved" else "present",
        )
        for side, change in told
    )


def _answered(head: Head, answer: SideAnswer, sentence: Found) -> Head:
    """What a field says of one side."""
    start, end, side, denied = answer
    own = [m for m in sentence.severities if start <= m.start < end]
    return replace(
        head,
        status="absent" if denied else "present",
        rule="cue" if denied else "stated",
        cue=(start, end) if denied else None,
        findings=tuple((term, anatomy, side) for term, anatomy, _ in head.findings),
        side=side,
        severity=own[0].phrase.severity if own else None,  # type: ignore[arg-type]
    )
