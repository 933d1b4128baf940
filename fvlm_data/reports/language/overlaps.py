"""Phrases of one sentence by what they are, less those that lie within longer ones."""

from __future__ import annotations

from bisect import bisect_right
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.phrase_matching import Match

_FEW = 2
_MANY = 12
"""Spans from which on sorting them costs less than to compare each with each."""
HEADS = frozenset({"finding", "observation", "normal", "abnormal"})
"""Findings, observations and verdicts."""
_GROUPS: dict[str, frozenset[str]] = {
    "anatomy": frozenset({"anatomy", "compound"}),
    "head": HEADS | {"neutral"},
    **{kind: frozenset({kind}) for kind in ("side", "severity", "change", "count", "terminator")},
}
"""Kinds of phrases that hide each other where they overlap."""


def grouped(matches: Sequence[Match]) -> dict[str, list[Match]]:
    """Matches of each group, in order."""
    made: dict[str, list[Match]] = {group: [] for group in _GROUPS}
    for match in matches:
        for group in _groups_of(match.kinds):
            made[group].append(match)
    return made


@cache
def _groups_of(kinds: frozenset[str]) -> tuple[str, ...]:
    return tuple(group for group, members in _GROUPS.items() if not members.isdisjoint(kinds))


def of_kind(matches: Sequence[Match], kind: str) -> tuple[Match, ...]:
    """The longest of the matches of a group that is one kind of phrase."""
    return tuple(longest(matches, _GROUPS[kind])) if matches else ()


def longest(rivals: Sequence[Match], kinds: frozenset[str]) -> list[Match]:
    """Matches of some kinds that lie in no longer one; those of other kinds only hide them."""
    if len(rivals) < _FEW:
        return [m for m in rivals if not kinds.isdisjoint(m.kinds)]
    hidden = within_longer([(m.start, m.end) for m in rivals])
    return [
        m
        for m, longer in zip(rivals, hidden, strict=True)
        if not longer and not kinds.isdisjoint(m.kinds)
    ]


def within_longer(spans: Sequence[tuple[int, int]]) -> list[bool]:
    """For each span [start, end), in order of start, whether it lies within a longer one."""
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
