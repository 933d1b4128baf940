"""How far a cue reaches: its clause, its parenthesis, the list that it answers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from fvlm_data.reports.language.scope_ends import (
    behind_answer,
    up_to_aftermath,
    up_to_answer,
    up_to_colon,
    up_to_company,
    up_to_conclusion,
    up_to_known,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.function_words import FunctionWords
    from fvlm_data.reports.language.phrase_matching import CueMatch


@dataclass(slots=True)
class Layout:
    """How a sentence is laid out: words, their clauses and parentheses, insertions."""

    words: Sequence[str]
    clauses: Sequence[int]
    inside: Sequence[int]
    insertions: Sequence[tuple[int, int]]

    def same_side(self, one: int, other: int) -> bool:
        """Whether two tokens stand both inside or both outside of each insertion."""
        return all((a <= one < b) == (a <= other < b) for a, b in self.insertions)

    def before(self, low: int) -> int:
        """Where a scope goes on that has come to the end of an insertion."""
        return next((start for start, end in self.insertions if end == low), low)

    def behind(self, high: int) -> int:
        """Where a scope goes on that has come to the start of an insertion."""
        return next((end for start, end in self.insertions if start == high), high)


def scope_of(cue: CueMatch, layout: Layout, grammar: FunctionWords) -> tuple[int, int]:
    """Tokens that a cue reaches: its clause, its parenthesis, its reach."""
    words, clauses, inside = layout.words, layout.clauses, layout.inside
    first, last = cue.start, cue.end - 1
    low, high = first, last + 1
    enclosed = inside[first] if words[first] not in ("(", "[") else 0
    whole = cue.cue.across
    if whole:
        clauses = _between_semicolons(words)
    if layout.insertions:
        low, high = layout.before(low), layout.behind(high)
    elif not enclosed and not cue.cue.local:  # clause numbers rise, and nothing else stops it
        low, high = bisect_left(clauses, clauses[first]), bisect_right(clauses, clauses[last])
    items = cue.cue.local and _answers_list(first, words, clauses)
    while low > 0 and clauses[low - 1] == clauses[first]:
        if enclosed and inside[low - 1] != enclosed:
            break
        if cue.cue.local and words[low - 1] in (",", "(") and not items:
            break
        low = layout.before(low - 1) if layout.insertions else low - 1
    while high < len(words) and clauses[high] == clauses[last]:
        if enclosed and inside[high] != enclosed:
            break
        if cue.cue.local and words[high] in (",", "(", ")"):
            break
        high = layout.behind(high + 1) if layout.insertions else high + 1
    if cue.cue.direction == "backward" and not whole:
        low = _elided(low, first, words, clauses, grammar)
        low = behind_answer(low, first, words, grammar)
    if cue.cue.direction == "forward" and cue.cue.category == "uncertain":
        high = up_to_company(cue.end, high, words, grammar.company, grammar.supposed_company)
    if cue.cue.without_company:
        high = up_to_company(cue.end, high, words, grammar.company, frozenset())
    if cue.cue.direction == "forward" and cue.cue.category == "absent":
        high = up_to_known(cue.end, high, words, grammar)
        high = up_to_aftermath(cue.end, high, words, grammar)
        high = up_to_conclusion(cue.end, high, words, grammar)
        high = up_to_colon(cue.end, high, words, grammar)
    # "Should a pneumothorax develop after biopsy of the mass": the mass is there.
    if cue.cue.direction == "forward" and cue.cue.category == "hypothetical":
        high = up_to_aftermath(cue.end, high, words, grammar)
        high = up_to_answer(cue.end, high, words, grammar)
    reach = cue.cue.reach or len(words)
    if cue.cue.direction == "forward":
        return cue.end, min(high, cue.end + reach)
    if cue.cue.direction == "backward":
        return max(low, cue.start - reach), cue.start
    return max(low, cue.start - reach), min(high, cue.end + reach)


def _answers_list(first: int, words: Sequence[str], clauses: Sequence[int]) -> bool:
    """Whether the answer that begins at a token is of all its clause: "A, B: none"."""
    colon = first if words[first] == ":" else first - 1
    if colon < 1 or words[colon] != ":" or clauses[colon - 1] != clauses[colon]:
        return False
    before = words[bisect_left(clauses, clauses[colon]) : colon]
    return "," in before and ":" not in before


def _between_semicolons(words: Sequence[str]) -> list[int]:
    """Number of the stretch that each token stands in: "mother had cancer; no mass is seen"."""
    return list(accumulate(word == ";" for word in words))


def _elided(
    low: int, first: int, words: Sequence[str], clauses: Sequence[int], grammar: FunctionWords
) -> int:
    """Start of a backward scope: "was suspected but excluded" names its subject only before."""
    joiners, pronouns = grammar.elisions | {";"}, grammar.pronouns
    if low == 0 or not all(word in joiners or word in pronouns for word in words[low:first]):
        return low
    # "There was an effusion, it is no longer seen": behind a comma only where "it" follows
    if words[low] in ",;" and pronouns.isdisjoint(words[low + 1 : low + 2]):
        return low
    before = clauses[low - 1]
    while low > 0 and clauses[low - 1] == before:
        low -= 1
    return low
