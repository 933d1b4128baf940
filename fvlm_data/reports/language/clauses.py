"""Clauses of a sentence: how far a negation reaches, and which anatomy a finding belongs to.

medspaCy's ConText takes the whole sentence as scope; radiology strings statements together
("no effusion is seen, the heart is enlarged"), so scopes here are clauses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.phrase_matching import CueMatch, Match
    from fvlm_data.reports.language.phrasebook import Phrasebook

_NEGATIONS = frozenset({"absent"})


def clause_bounds(
    words: Sequence[str],
    book: Phrasebook,
    terminators: Sequence[Match],
    cues: Sequence[CueMatch],
) -> list[int]:
    """Clause number of each token, rising from 0.

    A clause ends at a terminator ("but", ";"), at a joint with a verb on either side, and where
    after a negation a comma opens something new ("no effusion, small nodule on the left").
    """
    if not terminators and book.grammar.joints.isdisjoint(words):
        return [0] * len(words)
    inside_cue = {i for cue in cues for i in range(cue.start + 1, cue.end)}
    hard = {match.start for match in terminators if match.start not in inside_cue}
    verbs = [word in book.predicates for word in words]
    starts: set[int] = set()
    begin = 0
    ends = [*sorted(hard), len(words)]
    for end in ends:
        starts |= _soft_starts(words, verbs, begin, end, book, cues)
        starts.add(end)
        begin = end
    numbers, number = [], 0
    for i in range(len(words)):
        if i in starts and i > 0:
            number += 1
        numbers.append(number)
    return numbers


def _soft_starts(
    words: Sequence[str],
    verbs: Sequence[bool],
    begin: int,
    end: int,
    book: Phrasebook,
    cues: Sequence[CueMatch],
) -> set[int]:
    joints = book.grammar.joints
    if joints.isdisjoint(words[begin:end]):
        return set()
    last_verb = max((i for i in range(begin, end) if verbs[i]), default=-1)
    inside_cue = {i for cue in cues for i in range(cue.start, cue.end)}
    denials = {
        cue.start
        for cue in cues
        if cue.cue.category in _NEGATIONS and cue.cue.direction == "forward"
    }
    starts: set[int] = set()
    seen_verb = negated = described = False
    for i in range(begin, end):
        word = words[i]
        if verbs[i]:
            seen_verb = True
        negated = negated or i in denials
        described = described or word in book.openers
        if word not in joints or (i in inside_cue and word != ","):
            continue
        opens = i + 1 < end and words[i + 1] in book.openers
        news = word == "," and opens and negated and not seen_verb
        backward = (
            word == ","
            and not seen_verb
            and (
                (described and _backward_follows(i, end, cues, "absent"))
                # "Without contrast, cirrhosis cannot be excluded."
                or (negated and _backward_follows(i, end, cues, "uncertain"))
            )
        )
        if (seen_verb and last_verb > i and _verb_before_joint(words, verbs, i, end, book)) or (
            news or backward
        ):
            starts.add(i)
            seen_verb = negated = described = False
    return starts


def _verb_before_joint(
    words: Sequence[str], verbs: Sequence[bool], i: int, end: int, book: Phrasebook
) -> bool:
    """Whether what follows the joint can stand alone: it has a verb, past any listing."""
    if words[i] in book.grammar.alternatives:
        # "no nodule is seen or was seen": alternatives share their negation.
        return False
    for j in range(i + 1, end):
        if verbs[j]:
            return True
        if words[j] in ("(", ":"):
            return False
    return False


def _backward_follows(i: int, end: int, cues: Sequence[CueMatch], category: str) -> bool:
    return any(
        i < cue.start < end and cue.cue.category == category and cue.cue.direction == "backward"
        for cue in cues
    )


def parentheses(words: Sequence[str]) -> list[int]:
    """For each token the number of the parenthesis that it stands in, 0 outside."""
    if "(" not in words and "[" not in words:
        return [0] * len(words)
    numbers, number, depth = [], 0, 0
    for word in words:
        if word in ("(", "["):
            depth += 1
            number += depth == 1
        numbers.append(number if depth else 0)
        if word in (")", "]") and depth:
            depth -= 1
    return numbers
