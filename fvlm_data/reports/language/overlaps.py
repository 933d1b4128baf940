"""Phrases of one sentence by what they are, less those that lie within longer ones."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from fvlm_data.reports.language.phrase_meanings import GROUPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.phrase_matching import Match

_FEW = 2
_MANY = 12
"""Spans from which on sorting them costs less than to compare each with each."""


def grouped(matches: Sequence[Match]) -> dict[str, list[Match]]:
    """Matches of each group, in order."""
    made: dict[str, list[Match]] = {group: [] for group in GROUPS}
    for match in matches:
        for group in match.phrase.groups:
            made[group].append(match)
    return made


def longest(rivals: Sequence[Match]) -> Sequence[Match]:
    """Matches of a group, in order of start, that lie in no longer one."""
    if len(rivals) < _FEW:
        return rivals
    hidden = within_longer([(m.start, m.end) for m in rivals])
    if True not in hidden:
        return rivals
    return [m for m, longer in zip(rivals, hidden, strict=True) if not longer]


def within_longer(spans: Sequence[tuple[int, int]]) -> list[bool]:
    """For each span [start, end), in order of start, whether it lies within a longer one."""
    reach = -1
    for start, end in spans:
        if start < reach:
            break
        reach = end
    else:  # most often nothing overlaps
        return [False] * len(spans)
    if len(spans) < _MANY:
        return [_in_longer(start, end, spans) for start, end in spans]
    longest_at: dict[int, int] = {}
    for start, end in spans:
        longest_at[start] = max(end, longest_at.get(start, end))
    reach, earlier = 0, {}
    for start in sorted(longest_at):
        earlier[start] = reach
        reach = max(reach, longest_at[start])
    return [end < longest_at[start] or end <= earlier[start] for start, end in spans]


def _in_longer(start: int, end: int, spans: Sequence[tuple[int, int]]) -> bool:
    # A loop, since a generator costs more than what it looks at.
    length = end - start
    for first, past in spans:  # noqa: SIM110
        if first <= start and end <= past and past - first > length:
            return True
    return False


def within_any(spans: Sequence[tuple[int, int]], outer: Sequence[tuple[int, int]]) -> list[bool]:
    """For each span whether it lies within one of the outer ones, equal ones included."""
    if len(spans) * len(outer) < _MANY * _MANY:
        return [any(a <= start and end <= b for a, b in outer) for start, end in spans]
    ordered = sorted(outer)
    reaches = list(accumulate((end for _, end in ordered), max))
    starts = [start for start, _ in ordered]
    made = []
    for start, end in spans:
        before = bisect_right(starts, start)
        made.append(before > 0 and reaches[before - 1] >= end)
    return made
