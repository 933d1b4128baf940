"""Organs that a sentence names for what lies beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.anatomy import AnatomyMention
    from fvlm_data.reports.language.function_words import FunctionWords
    from fvlm_data.reports.language.phrasebook import Phrasebook

_LONGEST_LANDMARK = 2
"""Words that tell that an organ is only near."""
_SEVERAL = 2


def touched(
    mentions: Sequence[AnatomyMention], words: Sequence[str], heads: Sequence[int], book: Phrasebook
) -> list[AnatomyMention]:
    """Mentions of organs that something of another place reaches, and where nothing lies.

    "The mass displaces the spleen and the pancreas", "the kidney is displaced by a mass". `heads`
    are the tokens at which findings begin.
    """
    if book.touching.isdisjoint(words) and book.touched.isdisjoint(words):
        return []
    made: list[AnatomyMention] = []
    for i, word in enumerate(words):
        if word in book.touching and any(head < i for head in heads):
            made += [m for m in mentions if m.start > i and not any(i < h < m.start for h in heads)]
        if word in book.touched and not book.touched_by.isdisjoint(words[i + 1 : i + 2]):
            made += [m for m in mentions if m.end <= i and not any(m.end <= h < i for h in heads)]
    return made


def landmarks(
    mentions: Sequence[AnatomyMention], words: Sequence[str], grammar: FunctionWords
) -> list[AnatomyMention]:
    """Mentions of organs beside which something lies, where another one tells its place.

    "A nodule 2 cm from the pleura in the upper lobe", "a lymph node anterior to the pancreas".
    """
    if len(mentions) < _SEVERAL or grammar.near.isdisjoint(words):
        return []
    beside = [one for one in mentions if _is_landmark(one.start, words, grammar)]
    return beside if len(beside) < len(mentions) else []


def _is_landmark(start: int, words: Sequence[str], grammar: FunctionWords) -> bool:
    """Whether words before a token tell that what stands there is only near."""
    light = grammar.articles | grammar.places
    while start > 0 and words[start - 1] in light:
        start -= 1
    for length in range(1, min(start, _LONGEST_LANDMARK) + 1):
        before = tuple(words[start - length : start])
        if before in grammar.landmarks:
            return True
        measured = start - length
        if before in grammar.distances and measured > 0 and words[measured - 1] in grammar.units:
            return True
    return False
