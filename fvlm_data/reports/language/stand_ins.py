"""Words that stand for a finding named before: "gone on the right, there is one on the left"."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.anatomy import AnatomyMention
    from fvlm_data.reports.language.finding_sites import HeadSpan
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import Side

_STAND_IN = 3
"""Words behind a stand-in and its preposition in which a place begins."""
_DESCRIBED = 4
"""Words between a side and what it tells of."""
_MARKS = frozenset(",;")


def with_stand_ins(
    spans: Sequence[HeadSpan],
    mentions: Sequence[AnatomyMention],
    sides: Sequence[tuple[int, int, Side]],
    words: Sequence[str],
    book: Phrasebook,
) -> list[HeadSpan]:
    """Heads, also those that words stand for which tell of the one before at another place.

    "Effusion has gone on the right but there is now one on the left", "no stones in the kidneys,
    but several in the gallbladder", "the left effusion has gone, the right one is unchanged".
    """
    grammar = book.grammar
    if grammar.stand_ins.isdisjoint(words) and (not sides or grammar.pronouns.isdisjoint(words)):
        return list(spans)
    made = list(spans)
    places = {one.start for one in mentions} | {side[0] for side in sides}
    for i in range(len(words) - 2):
        if not _stands(i, places, sides, words, book):
            continue
        before = [one for one in spans if one.end <= i and one.kind in ("finding", "observation")]
        if before and not any(one.start <= i < one.end for one in spans):
            last = before[-1]
            told = last.stands_for or " ".join(words[last.start : last.end])
            made.append(replace(last, start=i, end=i + 1, stands_for=told))
    made.sort(key=lambda span: (span.start, span.end))
    return made


def _stands(
    i: int,
    places: set[int],
    sides: Sequence[tuple[int, int, Side]],
    words: Sequence[str],
    book: Phrasebook,
) -> bool:
    """Whether a token stands for a finding, by the place behind it or the side before it."""
    grammar = book.grammar
    known = words[i] in grammar.stand_ins
    placed = not places.isdisjoint(range(i + 2, i + 2 + _STAND_IN))
    joined = i > 0 and (words[i - 1] in _MARKS or words[i - 1] in grammar.joints)
    if known and placed and (joined or words[i] not in grammar.relatives):
        if words[i + 1] in grammar.within or words[i + 1] in grammar.beside:
            return True
        if joined and words[i + 1] in grammar.of:  # ", that of segment VIII is stable"
            return True
    if words[i + 1] not in book.predicates and not (known and words[i + 1] == NUMBER):
        return False
    # "the right one is", "left one 5 mm", "on the right a minimal apical one remains"
    near = [(start, past) for start, past, _ in sides if i - _DESCRIBED <= past <= i]
    if not near or not book.phrase_ends.isdisjoint(words[near[-1][1] : i]):
        return False
    first, past = near[-1]
    if known:
        return True
    if past != i:
        return False
    # "on the left it has increased"
    while first > 0 and words[first - 1] in grammar.articles:
        first -= 1
    return words[i] in grammar.pronouns and first > 0 and words[first - 1] in grammar.beside
