"""Sizes, severities and sides of what a sentence mentions."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING

from fvlm_data.reports.language.anatomy import (
    ANATOMY,
    HEAD,
    JOINT,
    OTHER,
    PREPOSITION,
    VERB,
    joined,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.phrase_matching import Match
    from fvlm_data.reports.language.records import Laterality, Severity
    from fvlm_data.reports.language.tokens import Spans

_NUMBER = r"\d{1,4}(?:[.,]\d{1,3})?"
_UNIT = r"(?:mm|cm|millimet(?:er|re)s?|centimet(?:er|re)s?)"
_SIZE = re.compile(
    # The first digit comes first, so that `re` skips all else; no digit, dot or comma before it.
    rf"(\d(?<![\d.,]\d)\d{{0,3}}(?:[.,]\d{{1,3}})?)\s?({_UNIT})?(?:\s?[x\u00d7*]\s?({_NUMBER})\s?({_UNIT})?)?"
    rf"(?:\s?[x\u00d7*]\s?({_NUMBER})\s?({_UNIT})?)?(?:\s|-)?({_UNIT})?\b",
    re.IGNORECASE,
)
_LARGEST_MM = 1000.0
_NEAR = 4
_STOPS = frozenset({",", ".", "(", ")", "and", "in", "with", ";"})


def largest_mm(text: str) -> list[tuple[int, int, float]]:
    """Sizes stated in a text: start, end, largest of up to three dimensions in mm."""
    made = []
    for found in _SIZE.finditer(text):
        groups = found.groups()
        units = [unit for unit in (groups[6], groups[5], groups[3], groups[1]) if unit]
        if not units:
            continue
        value = max(
            float(number.replace(",", ".")) * _mm(unit or units[0])
            for number, unit in (
                (groups[0], groups[1]),
                (groups[2], groups[3]),
                (groups[4], groups[5]),
            )
            if number
        )
        if 0 < value <= _LARGEST_MM:
            made.append((found.start(), found.end(), value))
    return made


def _mm(unit: str) -> float:
    return 10.0 if unit.lower().startswith("c") else 1.0


def sizes_mm(
    text: str,
    words: Sequence[str],
    spans: Spans,
    clauses: Sequence[int],
    heads: Sequence[tuple[int, int]],
) -> dict[tuple[int, int], float]:
    """Largest stated size in mm by head (tokens [start, end)): each size goes to one head.

    That is the head right behind it ("a 5 mm nodule"), else the one before it in its clause,
    else the next behind it.
    """
    made: dict[tuple[int, int], float] = {}
    if not heads or not _may_have_unit(text.lower()):
        return made
    for start, end, value in largest_mm(text):
        first = bisect_left(spans, (start,))
        past = bisect_left(spans, (end,), first)
        if first == past:
            continue
        head = _measured_head(first, past, words, clauses, heads)
        if head is not None:
            made[head] = max(value, made.get(head, 0.0))
    return made


def _may_have_unit(text: str) -> bool:
    return "mm" in text or "cm" in text or "met" in text


def _measured_head(
    first: int,
    past: int,
    words: Sequence[str],
    clauses: Sequence[int],
    heads: Sequence[tuple[int, int]],
) -> tuple[int, int] | None:
    near = [head for head in heads if clauses[head[0]] == clauses[first]] or list(heads)
    behind = [head for head in near if head[0] >= past]
    before = [head for head in near if head[1] <= first]
    if behind:
        between = words[past : behind[0][0]]
        if len(between) <= _NEAR and _STOPS.isdisjoint(between):
            return behind[0]
    return before[-1] if before else (behind[0] if behind else None)


def severity_of(
    place: tuple[int, int],
    severities: Sequence[Match],
    roles: Sequence[int],
    clauses: Sequence[int],
) -> Severity | None:
    """Severity said right before a head, or of it after a verb ("the effusion is mild")."""
    start, end = place
    best: tuple[int, int, Severity] | None = None
    for match in severities:
        if clauses[match.start] != clauses[start]:
            continue
        if match.end <= start:
            between = roles[match.end : start]
            apart = len(between) > _NEAR or any(r in (VERB, PREPOSITION, HEAD) for r in between)
        elif match.start >= end:
            between = roles[end : match.start]
            apart = len(between) > 2 or VERB not in between or HEAD in between
        else:
            between, apart = (), False
        value = max(m.value for m in match.meanings if m.kind == "severity")
        if not apart:
            rank = (len(between), match.start - match.end, value)
            best = rank if best is None or rank[:2] < best[:2] else best  # type: ignore[assignment]
    return best[2] if best else None


def count_of(
    place: tuple[int, int],
    counts: Sequence[Match],
    roles: Sequence[int],
    clauses: Sequence[int],
) -> str | None:
    """Number of what a head names, said right before it ("two small nodules")."""
    best: tuple[int, str] | None = None
    for match in counts:
        if match.end > place[0] or clauses[match.start] != clauses[place[0]]:
            continue
        between = roles[match.end : place[0]]
        if len(between) > _NEAR or any(r in (VERB, PREPOSITION, HEAD, JOINT) for r in between):
            continue
        value = max(m.value for m in match.meanings if m.kind == "count")
        best = max(best or (0, ""), (match.end, value))
    return best[1] if best else None


def change_of(
    place: tuple[int, int],
    changes: Sequence[Match],
    roles: Sequence[int],
    clauses: Sequence[int],
) -> str | None:
    """Change over time said of a head, the nearest in its clause with no other head between."""
    start, end = place
    best: tuple[int, int, str] | None = None
    for match in changes:
        if clauses[match.start] != clauses[start]:
            continue
        if match.end <= start:
            between = roles[match.end : start]
            if VERB in between or (HEAD in between and JOINT not in between):
                continue
        elif match.start >= end:
            between = roles[end : match.start]
            if HEAD in between and JOINT not in between:
                continue
        else:
            continue
        value = max(m.value for m in match.meanings if m.kind == "change")
        rank = (len(between), match.start - match.end, value)
        best = min(best, rank) if best else rank
    return best[2] if best else None


def side_of(
    place: tuple[int, int],
    sides: Sequence[tuple[int, int, Laterality]],
    roles: Sequence[int],
    clauses: Sequence[int],
) -> Laterality | None:
    """Side of a head: stated just before it, or behind it ("effusion on the left")."""
    start, end = place
    before: list[Laterality] = []
    after: list[Laterality] = []
    for first, past, side in sides:
        if clauses[first] != clauses[start]:
            continue
        if past <= start:
            between = roles[past:start]
            if len(between) <= 5 and all(role in (OTHER, JOINT, ANATOMY) for role in between):
                before.append(side)
        elif first >= end:
            between = roles[end:first]
            listed = HEAD not in between or (PREPOSITION in between and _listed(between))
            if listed and ANATOMY not in between:
                after.append(side)
        else:
            before.append(side)
    return joined(before) or joined(after)


def _listed(between: Sequence[int]) -> bool:
    """Heads before the first preposition only, joined by "and" or commas."""
    first = between.index(PREPOSITION)
    return HEAD not in between[first:] and JOINT in between[:first] and VERB not in between
