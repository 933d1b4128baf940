"""Findings and impression reconciled: the state of each anatomy, and CT-RATE's labels.

The reference code calls an anatomy normal when the impression is silent about it, which is wrong
for 14 to 41 % of them: here a finding stated anywhere makes it abnormal, and silence is a state
of its own.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from fvlm_data.reports.records import ASSERTING_SECTIONS, AnatomyState
from fvlm_data.vocabulary import load_anatomies, load_findings

if TYPE_CHECKING:
    from fvlm_data.reports.records import FindingMention, ParsedReport, State


def anatomy_states(parsed: ParsedReport) -> dict[str, AnatomyState]:
    """State of every anatomy of the vocabulary, by id."""
    asserting = _asserting(parsed)
    mentions: dict[str, list[FindingMention]] = {}
    for mention in parsed.findings:
        if mention.sentence in asserting:
            mentions.setdefault(mention.anatomy, []).append(mention)
    normal = {verdict.anatomy for verdict in parsed.normal if verdict.sentence in asserting}
    spoken: dict[str, list[int]] = {}
    for index in sorted(asserting):
        for anatomy in parsed.sentences[index].anatomies:
            spoken.setdefault(anatomy, []).append(index)
    return {
        anatomy.id: AnatomyState(
            _state(mentions.get(anatomy.id, []), anatomy.id in normal, parsed.uncertain_counts),
            tuple(mentions.get(anatomy.id, ())),
            tuple(spoken.get(anatomy.id, ())),
        )
        for anatomy in load_anatomies()
    }


def ct_rate_labels(parsed: ParsedReport) -> dict[str, int]:
    """CT-RATE's 18 labels by column name: 1 where stated or held possible, else 0."""
    asserting = _asserting(parsed)
    found: set[str] = set()
    for mention in parsed.findings:
        if mention.sentence in asserting and _holds(mention, parsed.uncertain_counts):
            found |= {mention.finding, *implied().get(mention.finding, ())}
    return {term.ct_rate: int(term.id in found) for term in load_findings() if term.ct_rate}


@cache
def implied() -> dict[str, frozenset[str]]:
    """Every finding with all that it implies, directly or through others."""
    direct = {term.id: set(term.implies) for term in load_findings()}
    made = {}
    for term in direct:
        reached: set[str] = set()
        fresh = set(direct[term])
        while fresh:
            reached |= fresh
            fresh = {more for one in fresh for more in direct[one]} - reached
        made[term] = frozenset(reached)
    return made


def _asserting(parsed: ParsedReport) -> set[int]:
    return {i for i, s in enumerate(parsed.sentences) if s.section in ASSERTING_SECTIONS}


def _holds(mention: FindingMention, uncertain_counts: bool) -> bool:
    return mention.status == "present" or (uncertain_counts and mention.status == "uncertain")


def _state(mentions: list[FindingMention], said_normal: bool, uncertain_counts: bool) -> State:
    if any(_holds(mention, uncertain_counts) for mention in mentions):
        return "abnormal"
    denied = bool(mentions) and all(mention.status == "absent" for mention in mentions)
    return "normal_stated" if said_normal or denied else "not_mentioned"
