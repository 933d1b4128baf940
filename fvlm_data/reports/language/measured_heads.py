"""Which of the mentions in a sentence each stated size is of."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.sizes import stated_sizes
from fvlm_data.reports.language.tokens import NUMBER
from fvlm_data.vocabulary.wording import lowered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.function_words import FunctionWords
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.sizes import Size
    from fvlm_data.reports.language.tokens import Spans

_NEAR = 4
_CONCLUDED = 5
"""Words from one that concludes to what is concluded ("compatible with a simple")."""
_OF_ORGAN = 2
"""Words between an organ and its own size."""
_SIGNS = frozenset("<>\u2192(")
"""Signs that compare sizes."""


class Measured(NamedTuple):
    """The largest size in mm that is stated of a head, today's and an earlier one."""

    mm: float | None
    prior_mm: float | None
    below: bool = False
    """Whether the head is smaller than that."""


def measured_heads(
    text: str,
    words: Sequence[str],
    spans: Spans,
    clauses: Sequence[int],
    heads: Sequence[tuple[int, int]],
    organs: Sequence[int],
    book: Phrasebook,
) -> dict[tuple[int, int], Measured]:
    """Largest stated sizes by head (tokens [start, end)): each size goes to one head.

    That is the head right behind it ("a 5 mm nodule"), else the one before it in its clause,
    else the next behind it. What stands right behind one of `organs` (their last tokens' ends) is
    that organ's ("liver cyst 15 mm, spleen 13 cm").
    """
    made: dict[tuple[int, int], Measured] = {}
    grammar = book.grammar
    if not heads or NUMBER not in words:
        return made
    lower = lowered(text)
    if not any(map(lower.__contains__, grammar.sizes.units_mm)):
        return made
    compared = not book.size_words.isdisjoint(words) or not _SIGNS.isdisjoint(text)
    last: tuple[int, int] | None = None
    opening: tuple[tuple[int, int], Size] | None = None
    for size in stated_sizes(text, grammar.sizes, compared=compared):
        first = bisect_left(spans, (size.start,))
        past = bisect_left(spans, (size.end,), first)
        # "Spleen 13 cm", but "lungs clear, 5 mm nodule"
        organs_own = any(
            end <= first <= end + _OF_ORGAN and clauses[first] == clauses[end - 1] for end in organs
        )
        organs_own = organs_own and not _of_next(past, words, clauses, heads, grammar)
        if first == past or (
            organs_own and all(head[0] != past and not head[0] <= first < head[1] for head in heads)
        ):
            continue
        head = last if size.beside else None
        head = head or _measured_head(size, (first, past), words, clauses, heads, grammar)
        last = head if not size.prior else last
        if head is not None and first == 0 and words[past : past + 1] == (",",):
            opening = head, size
        elif head is not None:
            made[head] = _joined(made.get(head, Measured(None, None)), size)
    # "Left kidney: 11 x 5 cm, 12 mm calculus": the organ's own, where the head has another one
    if opening and made.get(opening[0], Measured(None, None)).mm is None:
        made[opening[0]] = _joined(made.get(opening[0], Measured(None, None)), opening[1])
    return _of_one_thing(made, words, clauses, heads, grammar)


def _of_next(
    past: int,
    words: Sequence[str],
    clauses: Sequence[int],
    heads: Sequence[tuple[int, int]],
    grammar: FunctionWords,
) -> bool:
    """Whether a size that ends before a token is of the head behind it, as attributes are.

    Turkish "in the liver of size 12 mm a cyst", of languages that put what is told of a thing
    before it.
    """
    if not grammar.attributes_before:
        return False
    return any(
        past <= start <= past + _NEAR
        and clauses[start] == clauses[past - 1]
        and grammar.size_stops.isdisjoint(words[past:start])
        for start, _ in heads
    )


def _of_one_thing(
    made: dict[tuple[int, int], Measured],
    words: Sequence[str],
    clauses: Sequence[int],
    heads: Sequence[tuple[int, int]],
    grammar: FunctionWords,
) -> dict[tuple[int, int], Measured]:
    """Sizes, those of one thing that two heads name of both.

    "5 mm calcified granuloma", "a lesion of 22 mm, compatible with a cyst".
    """
    for one, other in pairwise(sorted(set(heads))) if made and len(heads) > 1 else ():
        if one not in made:
            continue
        known, more = made[one], made.get(other, Measured(None, None))
        apposed = (
            one[1] == other[0]
            and clauses[one[0]] == clauses[other[0]]
            and ":" not in words[other[0] : other[1]]
        )
        if more.mm is None and (apposed or _concludes(words, one[1], other[0], grammar)):
            earlier = more.prior_mm if known.prior_mm is None else known.prior_mm
            made[other] = known._replace(prior_mm=earlier)
            if earlier is not None:
                made[one] = made[other]
    return made


def _concludes(words: Sequence[str], start: int, end: int, grammar: FunctionWords) -> bool:
    """Whether what follows tokens [start, end) is what stands before them: "compatible with a"."""
    between = tuple(words[start:end])
    if ";" in between or "." in between or not grammar.denials.isdisjoint(between):
        return False
    for i in range(max(0, len(between) - _CONCLUDED), len(between)):
        if any(between[i : i + len(one)] == one for one in grammar.conclusions):
            # "dilated to 14 mm with a filling defect in keeping with a stone": that of the defect
            sized = between.index(NUMBER) if NUMBER in between else 0
            return grammar.company.isdisjoint(between[sized:i]) and grammar.joints.isdisjoint(
                between[i:]
            )
    return False


def _joined(known: Measured, size: Size) -> Measured:
    if size.prior:
        return known._replace(prior_mm=max(size.mm, known.prior_mm or 0.0))
    if size.mm <= (known.mm or 0.0):
        return known
    return known._replace(mm=size.mm, below=size.below)


def _measured_head(
    size: Size,
    place: tuple[int, int],
    words: Sequence[str],
    clauses: Sequence[int],
    heads: Sequence[tuple[int, int]],
    grammar: FunctionWords,
) -> tuple[int, int] | None:
    first, past = place
    around = [head for head in heads if head[0] <= first and past <= head[1]]
    if around:  # "right 30 mm"
        return around[0]
    near = [head for head in heads if clauses[head[0]] == clauses[first]] or list(heads)
    behind = [head for head in near if head[0] >= past]
    before = [head for head in near if head[1] <= first]
    if size.prior and words[past : past + 1] == (",",):
        # "nodule of 9 mm, which measured 6 mm before, suspicious of metastasis"
        earlier = before or [head for head in heads if head[1] <= first]
        if earlier:
            return earlier[-1]
    if behind:
        between = words[past : behind[0][0]]
        if len(between) <= _NEAR and grammar.size_stops.isdisjoint(between):
            return behind[0]
        # "nodule in the right lung, 7 mm and cyst in the liver", "... was 4 mm before and cyst"
        joined = set(between[: len(between) if size.prior else 1]) - {","}
        if not grammar.joints.isdisjoint(joined) and NUMBER not in between:
            before = before or [head for head in heads if head[1] <= first]
    return before[-1] if before else (behind[0] if behind else None)
