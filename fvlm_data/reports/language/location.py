"""Which words tell where within an organ a finding lies: a side, a lobe, a segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.reports.language.anatomy import HEAD, OTHER, PREPOSITION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.anatomy import AnatomyMention
    from fvlm_data.reports.language.finding_sites import HeadSpan
    from fvlm_data.reports.language.found import Found
    from fvlm_data.reports.language.function_words import FunctionWords

_LONGEST = 12
_NEAR = 6
"""Words between a finding and the words of place behind it."""


def location_of(
    span: HeadSpan, about: Sequence[AnatomyMention], sentence: Found, grammar: FunctionWords
) -> tuple[int, int] | None:
    """Tokens that tell where a head lies within the organs that it is `about`, if any do.

    An organ that is named without a part leaves room for one behind the head: "pulmonary nodule in
    the right upper lobe".
    """
    if not about:
        return None
    near = {anatomy for mention in about for anatomy in mention.anatomies}
    return (
        _around(about, sentence, grammar)
        or _part_beside(span, near, sentence, grammar)
        or _words_behind(span, sentence, grammar)
    )


def _around(
    about: Sequence[AnatomyMention], sentence: Found, grammar: FunctionWords
) -> tuple[int, int] | None:
    words = sentence.words
    first, past = about[0].start, about[-1].end
    if past - first > _LONGEST:
        first, past = about[0].start, about[0].end
    while first > 0 and sentence.roles[first - 1] == OTHER and words[first - 1] in grammar.places:
        first -= 1
    past = _end_of_place(past, sentence, grammar)
    if past - first == 1 and about[0].side is None:
        return None
    return first, past


def _part_beside(
    span: HeadSpan, near: set[str], sentence: Found, grammar: FunctionWords
) -> tuple[int, int] | None:
    """A part of the same organ: right before the head, or behind a preposition in its clause."""
    for mention in sentence.mentions:
        between = sentence.roles[span.end : mention.start]
        tied = PREPOSITION in between and HEAD not in between
        if (mention.end != span.start and not tied) or near.isdisjoint(mention.anatomies):
            continue
        found = _around((mention,), sentence, grammar)
        same = sentence.clauses[mention.start] == sentence.clauses[span.start]
        if found and same and _is_part(found, sentence, grammar):
            return found
    return None


def _words_behind(
    span: HeadSpan, sentence: Found, grammar: FunctionWords
) -> tuple[int, int] | None:
    """Words of place without an organ ("hepatic cyst in segment 4")."""
    roles, words = sentence.roles, sentence.words
    for first in range(span.end, min(span.end + _NEAR, len(words))):
        if sentence.clauses[first] != sentence.clauses[span.start] or roles[first] == HEAD:
            return None
        if words[first] in grammar.places:
            found = first, _end_of_place(first, sentence, grammar)
            tied = PREPOSITION in roles[span.end : first]
            # "a cyst with a wall" lies in none
            apart = not grammar.company.isdisjoint(words[span.end : first])
            return found if tied and not apart and _is_part(found, sentence, grammar) else None
    return None


def _end_of_place(past: int, sentence: Found, grammar: FunctionWords) -> int:
    while past < len(sentence.words) and sentence.words[past] in grammar.places_and_numbers:
        past += 1
    return past


def _is_part(place: tuple[int, int], sentence: Found, grammar: FunctionWords) -> bool:
    """Whether the words name a part, not only a side, which the laterality tells."""
    sided = {i for first, past, _ in sentence.sides for i in range(first, past)}
    return any(i not in sided and sentence.words[i] in grammar.places for i in range(*place))
