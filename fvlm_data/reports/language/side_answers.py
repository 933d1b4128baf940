"""Fields that answer for each side: "Effusion: none on the right, moderate on the left"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.reports.language.function_words import OTHER
from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import Side

_PARTS = 2
_AFFIRMED = frozenset("+")
_ENDS = (",", ";", "/", ".")
_STOPS = ((), (",",), (";",), (".",))
_LONGEST = 9
"""Words of an answer."""

SideAnswer = tuple[int, int, "Side", bool]
"""Tokens [start, end) of an answer, its side, and whether it denies."""


def side_answers(
    end: int,
    sides: Sequence[tuple[int, int, Side]],
    words: Sequence[str],
    book: Phrasebook,
    gone: Collection[int] = (),
) -> tuple[SideAnswer, ...]:
    """The answers behind the name of a field that ends at a token, one a side, else none.

    Each is a side with a degree or a denial, one of them denies, and nothing follows. Dictation
    leaves the colon out ("effusion left none, right small"). Words at `gone` tell that what was
    there is not any more ("right resolved, left 20 mm").
    """
    fields = _fields(end, sides, words, book)
    if fields:
        return fields
    made: list[SideAnswer] = []
    start = end + (words[end : end + 1] == (":",))
    for i in range(start, len(words) + 1):
        if i < len(words) and words[i] not in _ENDS:
            continue
        if i == len(words) and start == i:  # the full stop was the last
            break
        told = [side for first, past, side in sides if start <= first and past <= i]
        denied = not book.grammar.denying_answers.isdisjoint(words[start:i]) or words[i - 1] == "-"
        denied = denied or any(j in gone for j in range(start, i))
        affirmed = words[i - 1] in _AFFIRMED or words[i - 1] in book.grammar.affirming_answers
        degree = affirmed or not book.openers.isdisjoint(words[start:i])
        if len(told) != 1 or denied == degree or i - start > _LONGEST or OTHER in words[start:i]:
            return ()
        made.append((start, i, told[0], denied))
        start = i + 1
    both = len(made) == _PARTS and made[0][2] != made[1][2]
    return tuple(made) if both and any(denied for *_, denied in made) else ()


def _fields(
    end: int, sides: Sequence[tuple[int, int, Side]], words: Sequence[str], book: Phrasebook
) -> tuple[SideAnswer, ...]:
    """Answers of which each side is a field of its own: "hydronephrosis R: none L: 6 mm"."""
    starts = [one for one in sides if end <= one[0] and words[one[1] : one[1] + 1] == (":",)]
    first = end + (words[end : end + 1] == (":",))
    if len(starts) != _PARTS or starts[0][0] != first or starts[0][2] == starts[1][2]:
        return ()
    ends = (starts[1][0], len(words))
    return tuple(
        (start, stop, side, not book.grammar.denying_answers.isdisjoint(words[past : past + 2]))
        for (start, past, side), stop in zip(starts, ends, strict=True)
    )


def _behind_degree(
    end: int, sides: Sequence[tuple[int, int, Side]], words: Sequence[str], book: Phrasebook
) -> int:
    """Where what follows a finding at once ends: its side, sizes, degrees, a bracket."""
    end = next((past for first, past, _ in sides if first == end), end)
    light = book.grammar.units | book.openers | book.size_words
    while end < len(words) and words[end] != ",":
        if words[end] == "(" and ")" in words[end:]:
            end = words.index(")", end)
        elif words[end] != NUMBER and words[end] not in light:
            break
        end += 1
    return end


def none_on_the_other(
    end: int, sides: Sequence[tuple[int, int, Side]], words: Sequence[str], book: Phrasebook
) -> SideAnswer | None:
    """What dictation adds of the other side behind a finding of one: "small L effusion, R none"."""
    end = _behind_degree(end, sides, words, book)
    if words[end : end + 1] not in ((",",), (";",)):
        return None
    denying = book.grammar.denying_answers
    if words[end + 1 : end + 2] and words[end + 1] in denying:  # "trace right effusion, none left"
        light = book.grammar.articles | book.grammar.beside
        start = end + 2
        while words[start : start + 1] and words[start] in light:
            start += 1
        named = next(((past, side) for first, past, side in sides if first == start), None)
        if named is None or words[named[0] : named[0] + 1] not in _STOPS:
            return None
        return end + 1, named[0], named[1], True
    found = next(((past, side) for first, past, side in sides if first == end + 1), None)
    if found is None:
        return None
    past, side = found
    denied = words[past : past + 1]
    follows = words[past + 1 : past + 2]
    if not denied or denied[0] not in book.grammar.denying_answers:
        return None
    return (
        None if follows and follows[0] not in (",", ";", ".") else (end + 1, past + 1, side, True)
    )
