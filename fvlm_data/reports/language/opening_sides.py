"""Sides that open or close a statement: "On the right there is neither effusion nor mass".

And those right behind a finding, or in what is inserted there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fvlm_data.reports.language.anatomy import ANATOMY, HEAD
from fvlm_data.reports.language.clauses import insertions
from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.anatomy import AnatomyMention
    from fvlm_data.reports.language.finding_sites import HeadSpan
    from fvlm_data.reports.language.found import Found
    from fvlm_data.reports.language.function_words import FunctionWords
    from fvlm_data.reports.language.phrase_matching import Match
    from fvlm_data.reports.language.records import Side

_ENDS = frozenset(";.")
_STOPS = frozenset(",;.")


def ending(
    terminators: Sequence[Match],
    words: Sequence[str],
    sides: Sequence[tuple[int, int, Side]],
    grammar: FunctionWords,
) -> list[Match]:
    """Terminators, those right behind a side that opens a statement moved before that.

    "On the left side, there is a stone": the stone is on the left.
    """
    opened: dict[int, int] = {}
    for first, past, _ in sides:
        start = _opens(first, words, grammar)
        if start is not None and (start == 0 or words[start - 1] in _STOPS):
            # a noun ("side") and a comma may stand between
            opened |= dict.fromkeys((past, past + 1, past + 2), start)
    if not opened:
        return list(terminators)
    return [
        replace(one, start=opened[one.start])
        if one.start in opened and words[one.start] not in _ENDS
        else one
        for one in terminators
    ]


def opening_side(span: HeadSpan, sentence: Found, grammar: FunctionWords) -> Side | None:
    """Side with which the statement of a head opens, where it names no other before the head."""
    words, clauses = sentence.words, sentence.clauses
    clause = clauses[span.start]
    before = [one for one in sentence.sides if one[1] <= span.start and clauses[one[0]] == clause]
    if len(before) != 1:
        return None
    first, _, side = before[0]
    start = _opens(first, words, grammar)
    if start is None:
        return None
    opens = start == 0 or words[start - 1] in _ENDS or clauses[start - 1] != clause
    return side if opens else None


def closing_side(span: HeadSpan, sentence: Found, grammar: FunctionWords) -> Side | None:
    """Side that limits what is denied of both: "both kidneys are seen, no stone on the right"."""
    words = sentence.words
    for first, past, side in sentence.sides:
        start = _opens(first, words, grammar)
        if first < span.end or start is None or start < span.end:
            continue
        between = sentence.roles[span.end : start]
        following = words[past : past + 2]
        ends = not following or following[0] in _STOPS or following[1:] in ((), (".",), (",",))
        apart = HEAD in between or ANATOMY in between or "," in words[span.end : start]
        return side if ends and not apart else None
    return None


def side_right_behind(
    span: HeadSpan, about: Sequence[AnatomyMention], sentence: Found
) -> Side | None:
    """Side that telegraphic style puts behind a head: "effusion R 2.5 cm", "fx clavicle R,"."""
    words = sentence.words
    ends_at = {span.end, *(one.end for one in about if one.start == span.end)}
    found = next(((past, side) for first, past, side in sentence.sides if first in ends_at), None)
    if found is None:
        return None
    following = words[found[0] : found[0] + 2]
    listed = any(first == found[0] + 1 for first, *_ in sentence.sides)
    ends = not following or following == (".",) or following[0] in (",", ";", NUMBER)
    return found[1] if ends and not listed else None


def inserted_side(span: HeadSpan, sentence: Found) -> Side | None:
    """Side told in what is inserted behind a head: "the mass, which was seen on the left, is"."""
    for start, end in insertions(sentence.clauses):
        inside = [side for first, _, side in sentence.sides if start <= first < end]
        told = {HEAD, ANATOMY} & {*sentence.roles[start:end]}
        if span.end <= start <= span.end + 1 and not told and len({*inside}) == 1:
            return inside[0]
    return None


def _opens(first: int, words: Sequence[str], grammar: FunctionWords) -> int | None:
    """Where the phrase of a side begins that a word such as "on" leads, else none."""
    start, light = first, grammar.articles | grammar.beside
    while start > 0 and words[start - 1] in light:
        start -= 1
    return start if start < first and words[start] in grammar.beside else None
