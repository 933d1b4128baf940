"""Heads that tell of both sides differently, as a mention a side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fvlm_data.reports.language.measures import changes_by_side, severity_of, sides_in_turn
from fvlm_data.reports.language.side_answers import none_on_the_other, side_answers
from fvlm_data.reports.language.sizes_by_side import sizes_by_side
from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from fvlm_data.reports.language.analysed import Head
    from fvlm_data.reports.language.found import Found
    from fvlm_data.reports.language.function_words import FunctionWords
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import Side
    from fvlm_data.reports.language.side_answers import SideAnswer


def by_side(head: Head, sentence: Found, book: Phrasebook) -> tuple[Head, ...]:
    """A mention a side: "moderate right and small left effusions" are two, of their own degree."""
    sides = sentence.sides
    gone = {m.start for m in sentence.changes if m.phrase.change == "resolved"}
    answers = (
        side_answers(head.end, sides, sentence.words, book, gone)
        if len(sentence.spans) == 1
        else ()
    )
    if answers:
        each = tuple(_answered(head, answer, sentence) for answer in answers)
        if NUMBER not in sentence.words[head.end :]:
            return each
        # each with its own place, for a size is that of its side
        return tuple(
            replace(one, start=start, end=end, location=None)
            for one, (start, end, *_) in zip(each, answers, strict=True)
        )
    other = none_on_the_other(head.end, sides, sentence.words, book)
    if other and head.status == "present" and {head.side, other[2]} == {"left", "right"}:
        # with its own place, for the size is that of the first
        answered = _answered(head, other, sentence)
        return head, replace(answered, start=other[0], end=other[1], count=None, location=None)
    sized = sizes_by_side(head.end, head.side, sentence, book.grammar)
    if sized and head.status == "present" and head.kind != "normal":
        told = [
            replace(_of_side(head, side), start=start, end=end, count=None, location=None)
            for start, end, side in sized
        ]
        return (head, *told) if len(told) == 1 else tuple(told)
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


def _of_side(head: Head, side: Side) -> Head:
    """What a head tells, of one side."""
    findings = tuple((term, anatomy, side) for term, anatomy, _ in head.findings)
    return replace(head, findings=findings, side=side)


def with_respective_sides(heads: list[Head], sentence: Found, grammar: FunctionWords) -> list[Head]:
    """Heads, two of them of the two sides that a list before them names in the same order.

    "The right and left lobes show consolidation and atelectasis, respectively".
    """
    words, sides = sentence.words, sentence.sides
    place = next((i for i, word in enumerate(words) if word in grammar.respectively), None)
    if place is None or len(sides) != 2:
        return heads
    told = [one for one in heads if one.kind != "normal" and sides[1][1] <= one.start < place]
    if len({one.start for one in told}) != 2:
        return heads
    first = told[0].start
    return [
        _of_side(one, sides[0 if one.start == first else 1][2]) if one in told else one
        for one in heads
    ]


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
    changed = [m for m in sentence.changes if start <= m.start < end]
    change = None if head.change == "resolved" else head.change
    return replace(
        head,
        change=changed[0].phrase.change if changed else change,  # type: ignore[arg-type]
        status="absent" if denied else "present",
        rule="cue" if denied else "stated",
        cue=(start, end) if denied else None,
        findings=tuple((term, anatomy, side) for term, anatomy, _ in head.findings),
        side=side,
        severity=own[0].phrase.severity if own else None,  # type: ignore[arg-type]
    )
