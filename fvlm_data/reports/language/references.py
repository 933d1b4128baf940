"""Sides told by reference: "ipsilateral effusion", "the contralateral kidney"."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.analysed import SentenceAnalysis
    from fvlm_data.reports.language.records import Laterality, Side

_OTHER_SIDE: dict[Side | None, Laterality] = {"left": "right", "right": "left"}
_REFERRING = frozenset({"same", "opposite"})

SidePlace = tuple[int, int, "Side"]
"""Tokens [start, end) that tell a side."""


def refers(side: Side | None) -> bool:
    """Whether a side is told by another one."""
    return side in _REFERRING


def referred(side: Side | None, to: Side | None) -> Laterality | None:
    """The side that one told by reference is; none where what it refers to is on no one side."""
    if side not in _REFERRING:
        return cast("Laterality | None", side)
    opposite = _OTHER_SIDE.get(to)
    return _OTHER_SIDE.get(opposite) if side == "same" else opposite


def within_sentence(sides: Sequence[SidePlace]) -> list[SidePlace]:
    """Sides of a sentence, in order, those by reference told by the one before them in it.

    One that has none before it refers to an earlier sentence where this one names no side, else
    to nothing ("compared with the opposite side, the left lung").
    """
    made: list[SidePlace] = []
    last: Side | None = None
    for start, end, side in sides:
        if not refers(side):
            last = side
            made.append((start, end, side))
        elif last is not None:
            told = referred(side, last)
            made += [(start, end, told)] if told else []
        elif all(refers(one) for _, _, one in sides):
            made.append((start, end, side))
    return made


def by_context(reading: SentenceAnalysis, to: Side | None) -> SentenceAnalysis:
    """A reading with the sides that refer to what sentences before it tell."""
    heads = tuple(
        replace(
            head,
            side=referred(head.side, to),
            findings=tuple((term, at, referred(side, to)) for term, at, side in head.findings),
        )
        for head in reading.heads
    )
    return replace(reading, heads=heads, side=referred(reading.side, to), refers=False)
