"""Sides that a finding has by its company: "left effusion with basal atelectasis"."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from fvlm_data.reports.language.anatomy import VERB
from fvlm_data.reports.language.function_words import OTHER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.analysed import Head
    from fvlm_data.reports.language.phrasebook import Phrasebook

_ONE_SIDED = frozenset({"left", "right"})
_SMALL = frozenset({"kidney", "adrenal_gland", "breast"})
"""Organs of two that hold no findings far from each other."""
_LINING = frozenset({"pleura"})


def with_sides_of_company(
    heads: Sequence[Head], words: Sequence[str], roles: Sequence[int], book: Phrasebook
) -> list[Head]:
    """Heads, of which one without a side has that of what it is said to go with.

    Where it is next to that ("with adjacent atelectasis"), or both lie in one organ of two ("left
    ureteric stone with hydronephrosis"); lungs are too large for that, their pleura is not.
    """
    made = list(heads)
    for i, (one, other) in enumerate(pairwise(heads)):
        one = made[i]
        if one.side not in _ONE_SIDED or other.side is not None or not other.findings:
            continue
        if _goes_with(one, other, words, roles, book) or _denied_with(one, other, words, book):
            made[i + 1] = replace(
                other,
                side=one.side,
                findings=tuple(
                    [(term, anatomy, side or one.side) for term, anatomy, side in other.findings]
                ),
            )
    return made


def _denied_with(one: Head, other: Head, words: Sequence[str], book: Phrasebook) -> bool:
    """Whether a denial of one side goes on to an alternative: "no right pneumothorax or fracture".

    Of the other side it says nothing.
    """
    between = words[one.end : other.start]
    return (
        one.status == other.status == "absent"
        and one.cue is not None
        and one.cue == other.cue
        and one.cue[1] <= one.start
        and not book.grammar.alternatives.isdisjoint(between)
        and all(word in book.grammar.alternatives or word == OTHER for word in between)
        and {anatomy for _, anatomy, _ in other.findings} <= book.paired
    )


def _goes_with(
    one: Head, other: Head, words: Sequence[str], roles: Sequence[int], book: Phrasebook
) -> bool:
    between = words[one.end : other.start]
    grammar = book.grammar
    links = [i for i, word in enumerate(between) if word in grammar.ties]
    if not links or VERB in roles[one.end : other.start] or ";" in between or "." in between:
        return False
    if not grammar.alongside.isdisjoint(words[one.end + links[-1] : other.end]):
        return True
    here = {anatomy for _, anatomy, _ in one.findings}
    there = {anatomy for _, anatomy, _ in other.findings}
    if there <= here:
        return there <= _SMALL
    return there <= _LINING and all(there <= book.own[term] for term, _, _ in one.findings)
