"""Statements that "and" joins to a denial or to what is past, and words that open a statement.

"No ascites and the liver and spleen are enlarged", "no mass in the liver and in the spleen a cyst
is seen": the word alone goes on with a list, and with it the denial before it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from fvlm_data.reports.language.clauses import alternative_follows, finite, opening
from fvlm_data.reports.language.statement_parts import ANSWERING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.finding_sites import HeadSpan
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.statement_parts import Said

_MARKS = frozenset({",", ";", ":", "."})
_NEAR = 4
"""Tokens between the first word of a statement, or its verb, and what is found."""
_THERE = frozenset({"stable", "increased", "decreased"})
_LASTING = "stable"
"""The change of what is there, whatever was denied before it."""


def joined_starts(said: Said, book: Phrasebook) -> set[int]:
    """Joints behind a denial or something past, behind which a statement of its own begins."""
    words = said.words
    joints = _joints(book)
    if joints.isdisjoint(words):
        return set()
    reaching = [
        cue.end
        for cue in said.cues
        if cue.cue.category == "absent"
        or (cue.cue.category == "historical" and cue.cue.direction == "forward")
    ]
    first = min(reaching, default=len(words))
    made = set()
    for i in range(1, len(words) - 1):
        if words[i] not in joints or not any(head.end <= i for head in said.heads):
            continue
        if (i >= first and (_answered(i, said, book) or _states(i, said, book))) or _denied_behind(
            i, said, book
        ):
            made.add(i)
    return made


@cache
def _joints(book: Phrasebook) -> frozenset[str]:
    """Words that may join two statements."""
    return book.grammar.joints - book.grammar.alternatives - {","}


def _answered(joint: int, said: Said, book: Phrasebook) -> bool:
    """Whether a denial of what is before it ends at the joint: "ascites: none and effusions seen".

    An answer, or behind it a verb: "ascites resolved and effusions are seen".
    """
    words = said.words
    told = next((head for head in said.heads if head.start > joint), None)
    verb = (
        told is not None
        and words[told.end : told.end + 1] != ()
        and (words[told.end] in book.predicates)
    )
    return any(
        cue.end == joint
        and cue.cue.category == "absent"
        and cue.cue.direction != "forward"
        and (verb or words[cue.start] in ANSWERING)
        for cue in said.cues
    )


def _denied_behind(joint: int, said: Said, book: Phrasebook) -> bool:
    """Whether only what is behind the joint is denied: "effusions unchanged and ascites not seen".

    What stands before it is said to be seen, or how it changed.
    """
    words = said.words
    low = max((i + 1 for i in range(joint) if words[i] in _MARKS), default=0)
    told = next((head for head in said.heads if head.start > joint), None)
    if (
        told is None
        or told.start > joint + _NEAR
        or not any(low <= h.start < joint for h in said.heads)
    ):
        return False
    denied = any(
        told.end <= cue.start <= told.end + 1
        and cue.cue.category == "absent"
        and cue.cue.direction != "forward"
        for cue in said.cues
    )
    changed = any(
        low <= match.start < joint and match.phrase.change in _THERE for match in said.degrees
    )
    seen = not book.predicates.isdisjoint(words[low:joint])
    return denied and (changed or seen)


def opens_doubt(start: int, said: Said, book: Phrasebook) -> bool:
    """Whether what is held possible begins at a token: "possible pneumonia", "findings of ...".

    Not what only goes on about a noun: "no nodule, suspicious for metastasis".
    """
    words = said.words
    if alternative_follows(words, start, len(words), book):
        return False
    if words[start] in book.grammar.signs:
        behind = start + 1
        return _doubts_at(behind, said) or any(
            tuple(words[behind : behind + len(one)]) == one for one in book.grammar.conclusions
        )
    return any(
        cue.start == start
        and cue.end == start + 1
        and cue.cue.category == "uncertain"
        and cue.cue.direction == "forward"
        for cue in said.cues
    )


def _doubts_at(start: int, said: Said) -> bool:
    return any(cue.start == start and cue.cue.category == "uncertain" for cue in said.cues)


def _states(joint: int, said: Said, book: Phrasebook) -> bool:
    words, grammar = said.words, book.grammar
    start = joint + 1
    stop = _stop(start, words, book)
    told = next((head for head in said.heads if head.start >= start), None)
    if told is None or told.start >= stop or words[start] in grammar.denials:
        return False
    near = told.start <= start + _NEAR
    if opens_doubt(start, said, book):
        return True
    leading = grammar.of | grammar.within
    if any(
        match.start == start
        and (match.phrase.change == _LASTING or words[match.end - 1] in leading)
        for match in said.degrees
    ):
        return near
    if near and _changed(told, said, book):
        return True
    if words[start] in grammar.within | grammar.beside:
        return _is_placed(start, told, stop, said, book)
    if words[start] in grammar.articles and near and _follows_head(joint, said, book):
        verbs = [i for i in range(told.end, stop) if words[i] in finite(book)]
        if verbs:
            return True
    if words[start] in opening(book) and near:
        return _sides_differ(joint, told, stop, said)
    return _subjects(start, said, book) and not _goes_on_with_subjects(joint, said, book)


def _goes_on_with_subjects(joint: int, said: Said, book: Phrasebook) -> bool:
    """Whether organs before the joint are subjects too, and in nothing that was told before them.

    "The liver and spleen are enlarged", but not "no mass in the liver and the spleen is enlarged".
    """
    words, grammar = said.words, book.grammar
    ends = {one.end: one.start for one in said.mentions}
    light = grammar.articles | grammar.joints | grammar.places
    i, organs = joint, 0
    while i > 0:
        if i in ends:
            i, organs = ends[i], organs + 1
        elif words[i - 1] in light or any(side[1] == i for side in said.sides):
            i -= 1
        else:
            break
    return organs > 0 and not (i > 0 and words[i - 1] in book.prepositions)


def _changed(told: HeadSpan, said: Said, book: Phrasebook) -> bool:
    """Whether a change of what is there stands right behind it: "... and effusions unchanged"."""
    return any(
        match.phrase.change in _THERE
        and told.end <= match.start <= told.end + 1
        and all(word in book.predicates for word in said.words[told.end : match.start])
        for match in said.degrees
    )


def _stop(start: int, words: Sequence[str], book: Phrasebook) -> int:
    """End of the statement that may begin at a token."""
    alternatives = book.grammar.alternatives
    return next(
        (
            i
            for i in range(start, len(words))
            if words[i] in _MARKS - {","} or words[i] in alternatives
        ),
        len(words),
    )


def _follows_head(joint: int, said: Said, book: Phrasebook) -> bool:
    """Whether nothing but a verb stands between the joint and what was told before it."""
    i = joint
    while i > 0 and (said.words[i - 1] == "," or said.words[i - 1] in book.predicates):
        i -= 1
    return any(head.end == i for head in said.heads)


def _is_placed(start: int, told: HeadSpan, stop: int, said: Said, book: Phrasebook) -> bool:
    """Whether a place, a finding and a verb follow each other: "in the liver a cyst is seen"."""
    places = [one.start for one in said.mentions] + [side[0] for side in said.sides]
    verbs = [i for i in range(start, stop) if said.words[i] in book.predicates]
    return bool(verbs) and any(start < place <= told.start for place in places)


def _sides_differ(joint: int, told: HeadSpan, stop: int, said: Said) -> bool:
    """Whether sides stand behind both: "no cyst on the left and small cyst on the right"."""
    before = [side for _, end, side in said.sides if end in (joint, joint - 1)]
    behind = [side for first, _, side in said.sides if told.end <= first < stop]
    return bool(before and behind) and before[-1] != behind[0]


def _subjects(start: int, said: Said, book: Phrasebook) -> bool:
    """Whether a list of organs begins at a token, and a verb tells right behind what they are.

    "The liver and spleen are enlarged", but not "the liver and spleen are seen".
    """
    words, grammar = said.words, book.grammar
    ends = {one.start: one.end for one in said.mentions}
    light = grammar.articles | grammar.joints | grammar.places
    i, organs = start, 0
    while i < len(words):
        if i in ends:
            i, organs = ends[i], organs + 1
        elif words[i] in light - grammar.alternatives or any(side[0] == i for side in said.sides):
            i += 1
        else:
            break
    if not organs or i >= len(words) or words[i] not in finite(book):
        return False
    told = next((head for head in said.heads if head.start > i), None)
    if told is None or told.start > i + _NEAR:
        return False
    return not any(words[j] in grammar.denials for j in range(i, told.start))
