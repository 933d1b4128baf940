"""Phrases of one sentence by what they are, less those that lie within longer ones."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.phrase_matching import Match

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
    if len(rivals) < 2:
        return [m for m in rivals if not kinds.isdisjoint(m.kinds)]
    return [m for m in rivals if not kinds.isdisjoint(m.kinds) and not _in_longer(m, rivals)]


def _in_longer(match: Match, rivals: Sequence[Match]) -> bool:
    start, end = match.start, match.end
    length = end - start
    for other in rivals:
        if other.start <= start and end <= other.end and other.end - other.start > length:
            return True
    return False
