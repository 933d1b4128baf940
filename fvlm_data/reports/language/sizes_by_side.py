"""Findings of both sides with a size each: "Effusions: right 30 mm, left 12 mm"."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.anatomy import ANATOMY, HEAD, PREPOSITION
from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.reports.language.found import Found
    from fvlm_data.reports.language.function_words import FunctionWords
    from fvlm_data.reports.language.records import Side

_TIMES = frozenset({"x", "\u00d7", "*"})
_CLOSING = {"(": ")", "[": "]"}
_OPPOSITE: dict[Side | None, Side] = {"left": "right", "right": "left"}
_FAR = 6
"""Words between the finding, its sides and their sizes."""
_BOTH = 2

SizedSide = tuple[int, int, "Side"]
"""Tokens [start, end) that tell a side and its size."""


class _Event(NamedTuple):
    start: int
    end: int
    side: Side | None
    """None for a size."""


def sizes_by_side(
    end: int, side: Side | None, sentence: Found, grammar: FunctionWords
) -> tuple[SizedSide, ...]:
    """What is told of each side behind a head that ends at a token, left and right; else none.

    "right 30 mm, left 12 mm", "25 mm on the right and 13 mm on the left", "12 and 18 mm on the
    right and left, respectively". Of a head of one `side` only the other one is told ("right
    effusion 30 mm, left 12 mm").
    """
    words, roles = sentence.words, sentence.roles
    stop = next(
        (i for i in range(end, len(words)) if roles[i] == HEAD or words[i] == ";"), len(words)
    )
    events = list(_events(end, stop, sentence, grammar))
    if events and events[0].side == "bilateral":  # "bilaterally, 17 mm on the right, 9 mm on ..."
        events = events[1:]
    if not events or events[0].start - end > _FAR:
        return ()
    if not grammar.respectively.isdisjoint(words[end:stop]):
        return _in_turn(events)
    if side in _OPPOSITE and events[0].side is None:
        events = _of_the_other(events, _OPPOSITE[side], sentence)
        return _groups(events, stop, words)[:1] if events else ()
    named = words[end : end + 1] == (":",) or PREPOSITION in roles[end : events[0].start]
    if ANATOMY in roles[end : events[-1].end] and not named:
        return ()  # "hydronephrosis, right kidney 10 cm, left kidney 11 cm"
    made = _groups(events, stop, words)
    return made if {one[2] for one in made} == {"left", "right"} else ()


def _events(start: int, stop: int, sentence: Found, grammar: FunctionWords) -> Iterator[_Event]:
    """Sides and sizes within tokens [start, stop), in order."""
    words = sentence.words
    listed = not grammar.respectively.isdisjoint(words[start:stop])
    sides = {first: (past, side) for first, past, side in sentence.sides}
    i = start
    while i < stop:
        if i in sides:
            past, side = sides[i]
            yield _Event(i, past, side)
            i = past
            continue
        behind = _size_end(i, words, grammar)
        if behind is not None:
            yield _Event(i, behind, None)
        elif listed and words[i] == NUMBER:
            yield _Event(i, i + 1, None)  # "12 and 18 mm": of the unit of the next
        i = behind or i + 1


def _size_end(start: int, words: Sequence[str], grammar: FunctionWords) -> int | None:
    """Token behind a size with its unit that begins at a token."""
    i = start
    while words[i : i + 1] == (NUMBER,):
        i += 1
        if words[i : i + 1] and words[i] in grammar.units:
            i += 1
            if not (words[i : i + 1] and words[i] in _TIMES):
                return i
        if not (words[i : i + 1] and words[i] in _TIMES):
            return None
        i += 1
    return None


def _of_the_other(events: Sequence[_Event], other: Side, sentence: Found) -> list[_Event]:
    """Events from the other side on, where a size of the first stands before it and no organ."""
    if len(events) <= _BOTH or events[0].side or events[1].side != other or events[2].side:
        return []
    told = sentence.roles[events[0].end : events[2].end]
    apart = sentence.words[events[1].start - 1] in ",/"
    return list(events[1:3]) if apart and ANATOMY not in told else []


def _groups(events: Sequence[_Event], stop: int, words: Sequence[str]) -> tuple[SizedSide, ...]:
    """Sides with their sizes: all sides before them, or all behind."""
    if any(b.start - a.end > _FAR for a, b in pairwise(events[: 2 * _BOTH])):
        return ()
    if events[0].side is None:
        kinds = [bool(one.side) for one in events[: 2 * _BOTH]]
        if kinds != [False, True] * _BOTH:
            return ()
        pairs = [(events[0], events[1]), (events[2], events[3])]
        return tuple(
            (size.start, _with_bracket(side.end, words), side.side)
            for size, side in pairs
            if side.side
        )
    starts = [i for i, one in enumerate(events) if one.side][:_BOTH]
    made = []
    for number, i in enumerate(starts):
        after = starts[number + 1] if number + 1 < len(starts) else len(events)
        sizes = events[i + 1 : after]
        if not sizes or sizes[0].side:
            return ()
        end = _with_bracket(sizes[0].end, words)
        if end <= stop and (side := events[i].side):
            made.append((events[i].start, end, side))
    return tuple(made)


def _in_turn(events: Sequence[_Event]) -> tuple[SizedSide, ...]:
    """Two sizes and two sides, each of its place in their list."""
    sizes = [one for one in events if one.side is None]
    sides = [one.side for one in events if one.side]
    if len(sizes) != _BOTH or {*sides} != {"left", "right"} or len(sides) != _BOTH:
        return ()
    return tuple((one.start, one.end, side) for one, side in zip(sizes, sides, strict=True))


def _with_bracket(end: int, words: Sequence[str]) -> int:
    """End of what is told, with a bracket behind it ("12 mm (previously 9 mm)")."""
    closing = _CLOSING.get(words[end]) if end < len(words) else None
    return words.index(closing, end) + 1 if closing and closing in words[end:] else end
