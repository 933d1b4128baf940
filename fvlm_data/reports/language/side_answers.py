"""Fields that answer for each side: "Effusion: none on the right, moderate on the left"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.reports.language.function_words import OTHER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import Side

_PARTS = 2
_LONGEST = 6
"""Words of an answer."""

SideAnswer = tuple[int, int, "Side", bool]
"""Tokens [start, end) of an answer, its side, and whether it denies."""


def side_answers(
    end: int, sides: Sequence[tuple[int, int, Side]], words: Sequence[str], book: Phrasebook
) -> tuple[SideAnswer, ...]:
    """The answers behind the name of a field that ends at a token, one a side, else none.

    Each is a side with a degree or a denial, one of them denies, and nothing follows.
    """
    if words[end : end + 1] != (":",):
        return ()
    made: list[SideAnswer] = []
    start = end + 1
    for i in range(start, len(words) + 1):
        if i < len(words) and words[i] not in (",", ";"):
            continue
        told = [side for first, past, side in sides if start <= first and past <= i]
        denied = not book.grammar.denying_answers.isdisjoint(words[start:i])
        degree = not book.openers.isdisjoint(words[start:i])
        if len(told) != 1 or denied == degree or i - start > _LONGEST or OTHER in words[start:i]:
            return ()
        made.append((start, i, told[0], denied))
        start = i + 1
    both = len(made) == _PARTS and made[0][2] != made[1][2]
    return tuple(made) if both and any(denied for *_, denied in made) else ()
