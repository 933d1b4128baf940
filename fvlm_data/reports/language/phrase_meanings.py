"""What a phrase is to each part of the parser, told once when the tree of phrases is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fvlm_data.reports.language.meanings import Meaning
    from fvlm_data.reports.language.records import Side

HEADS = frozenset({"finding", "observation", "normal", "abnormal"})
"""Findings, observations and verdicts."""
GROUPS: dict[str, frozenset[str]] = {
    "anatomy": frozenset({"anatomy", "compound"}),
    "head": HEADS | {"neutral"},
    **{kind: frozenset({kind}) for kind in ("side", "severity", "change", "count", "terminator")},
}
"""Kinds of phrases that hide each other where they overlap."""
_NO_SIDE = "none"
"""Of phrases that only hold a word for a side: "u/l", "r/o"."""


class Named(NamedTuple):
    """What a phrase names of the body: sites, the anatomies of these, a side."""

    sites: tuple[str, ...]
    anatomies: tuple[str, ...]
    side: Side | None


class HeadMeant(NamedTuple):
    """What a phrase is as a head: its kind, findings, whether abnormal, whether an observation.

    Of its meanings a finding comes before an observation, that before a verdict.
    """

    kind: str
    terms: tuple[str, ...]
    abnormal: bool
    observation: bool


@dataclass(frozen=True, slots=True, eq=False)
class Phrase:
    """Meanings of a phrase; `named` and `head` are none where it is none of these."""

    meanings: tuple[Meaning, ...]
    groups: tuple[str, ...]
    """Groups of kinds that it belongs to."""
    named: Named | None
    head: HeadMeant | None
    sides: tuple[Side, ...]
    severity: str
    change: str
    count: str
    """The highest value of its meanings of each kind, blank where it has none."""


def phrase(meanings: tuple[Meaning, ...]) -> Phrase:
    """What meanings make of a phrase."""
    kinds = {meaning.kind for meaning in meanings}
    return Phrase(
        meanings,
        tuple(group for group, members in GROUPS.items() if not members.isdisjoint(kinds)),
        _named(meanings) if "anatomy" in kinds else None,
        _head(meanings) if not HEADS.isdisjoint(kinds) else None,
        tuple(m.value for m in meanings if m.kind == "side" and m.value != _NO_SIDE),  # type: ignore[misc]
        *(
            max((meaning.value for meaning in meanings if meaning.kind == kind), default="")
            for kind in ("severity", "change", "count")
        ),
    )


def _named(meanings: tuple[Meaning, ...]) -> Named:
    meant = [meaning for meaning in meanings if meaning.kind == "anatomy"]
    sites = tuple(sorted(meaning.value for meaning in meant))
    side = next((meaning.side for meaning in meant if meaning.side), None)
    return Named(sites, tuple(dict.fromkeys(site.split(".")[0] for site in sites)), side)  # type: ignore[arg-type]


def _head(meanings: tuple[Meaning, ...]) -> HeadMeant:
    kinds = {meaning.kind for meaning in meanings}
    terms = tuple(meaning.value for meaning in meanings if meaning.kind == "finding")
    kind = next(kind for kind in ("finding", "observation", "abnormal", "normal") if kind in kinds)
    return HeadMeant(kind, terms, "abnormal" in kinds, "observation" in kinds)
