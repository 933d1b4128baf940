"""Clauses of a sentence: how far a negation reaches, and which anatomy a finding belongs to.

medspaCy's ConText takes the whole sentence as scope; radiology strings statements together
("no effusion is seen, the heart is enlarged"), so scopes here are clauses.
"""

from __future__ import annotations

from functools import cache
from itertools import islice
from operator import gt
from typing import TYPE_CHECKING

from fvlm_data.reports.language.function_words import OTHER
from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fvlm_data.reports.language.phrase_matching import CueMatch, Match
    from fvlm_data.reports.language.phrasebook import Phrasebook

_NEGATIONS = frozenset({"absent"})


def clause_bounds(
    words: Sequence[str],
    book: Phrasebook,
    terminators: Sequence[Match],
    cues: Sequence[CueMatch],
    run_on: Collection[int] = (),
) -> list[int]:
    """Clause number of each token, rising from 0 but for what goes on behind an insertion.

    A clause ends at a terminator ("but", ";"), at a joint with a verb on either side, where after
    a negation a comma or "with" opens something new ("no effusion, small nodule on the left"),
    and at the tokens `run_on`, where a statement begins without any mark.
    """
    grammar = book.grammar
    if not terminators and not run_on and grammar.breaks.isdisjoint(words):
        return [0] * len(words)
    # a phrase that asserts nothing may begin with what ends a clause: "only on the right"
    inside_cue = {
        i for cue in cues for i in range(cue.start + (cue.cue.direction != "pseudo"), cue.end)
    }
    hard = {*run_on}
    hard |= {
        match.start
        for match in terminators
        if match.start not in inside_cue or match.end - 1 not in inside_cue
    }
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
    return _with_insertions(words, verbs, _with_restrictions(words, verbs, numbers, book), book)


def _with_restrictions(
    words: Sequence[str], verbs: Sequence[bool], numbers: list[int], book: Phrasebook
) -> list[int]:
    """Give what follows "the nodule which was described in March" the clause of its subject.

    A second verb that nothing joins to the first goes on with it: "... is no longer seen".
    """
    if book.grammar.relatives.isdisjoint(words):
        return numbers
    for i in range(1, len(words)):
        opens = numbers[i] != numbers[i - 1] and words[i] in book.grammar.relatives
        if not opens or words[i - 1] == "," or any(verbs[numbers.index(numbers[i - 1]) : i]):
            continue
        resumed = _second_verb(i + 1, words, numbers, book)
        if resumed is not None:
            return [
                numbers[i - 1] if j >= resumed and number == numbers[i] else number
                for j, number in enumerate(numbers)
            ]
    return numbers


def _second_verb(
    start: int, words: Sequence[str], numbers: Sequence[int], book: Phrasebook
) -> int | None:
    """The verb of the main clause behind a relative clause that begins at a token."""
    verbs = finite(book)
    seen = False
    for i in range(start, len(words)):
        if words[i] in book.conjunctions or numbers[i] != numbers[start - 1]:
            return None
        if words[i] not in verbs:
            continue
        before = words[i - 1]
        if seen and before not in verbs and before not in book.prepositions:
            return i
        seen = True
    return None


def _with_insertions(
    words: Sequence[str], verbs: Sequence[bool], numbers: list[int], book: Phrasebook
) -> list[int]:
    """Give what follows "the nodule, which was seen before," the clause of its subject."""
    if words.count(",") < 2:
        return numbers
    for first, word in enumerate(words):
        if word != "," or words[first + 1 : first + 2] == () or numbers[first] == numbers[-1]:
            continue
        subject = numbers.index(numbers[first])
        # "the previously noted nodule, which was large,": its participle is no verb
        if any(i for i in range(subject, first) if words[i] in finite(book)):
            continue
        if not _inserts(words, first + 1, book):
            continue
        last = next(
            (
                i
                for i in range(first + 2, len(words))
                if words[i] == "," and _resumes(words, i, book)
            ),
            None,
        )
        if last is not None:
            resumed = numbers[last + 1]
            return [
                numbers[first] if i >= last and number in (resumed, numbers[last]) else number
                for i, number in enumerate(numbers)
            ]
    return numbers


def _inserts(words: Sequence[str], i: int, book: Phrasebook) -> bool:
    """Whether a token begins what is inserted: "which was seen", "for which a drain was placed"."""
    grammar = book.grammar
    return words[i] in grammar.relatives or (
        words[i] in book.prepositions
        and words[i + 1 : i + 2][:1] != ()
        and words[i + 1] in grammar.relative_pronouns
    )


def _resumes(words: Sequence[str], comma: int, book: Phrasebook) -> bool:
    """Whether a verb follows a comma, past "now" and the like."""
    following = words[comma + 1 : comma + 3]
    if following and following[0] in book.grammar.elisions and following[0] not in book.predicates:
        following = following[1:]
    return bool(following) and following[0] in book.predicates


def insertions(clauses: Sequence[int]) -> list[tuple[int, int]]:
    """Tokens [start, end) that stand within a clause and belong to another one."""
    made: list[tuple[int, int]] = []
    if not any(map(gt, clauses, islice(clauses, 1, None))):
        return made
    for end in range(1, len(clauses)):
        if clauses[end] < clauses[end - 1]:
            start = max(i for i in range(end) if clauses[i] == clauses[end]) + 1
            made.append((start, end))
    return made


def _soft_starts(
    words: Sequence[str],
    verbs: Sequence[bool],
    begin: int,
    end: int,
    book: Phrasebook,
    cues: Sequence[CueMatch],
) -> set[int]:
    joints = book.grammar.joints
    if book.grammar.breaks.isdisjoint(words[begin:end]):
        return set()
    last_verb = max((i for i in range(begin, end) if verbs[i]), default=-1)
    inside_cue = {i for cue in cues for i in range(cue.start, cue.end)}
    denials = {
        cue.start
        for cue in cues
        if cue.cue.category in _NEGATIONS and cue.cue.direction == "forward"
    }
    doubts = {
        cue.start
        for cue in cues
        if cue.cue.category == "uncertain" and cue.cue.direction == "forward"
    }
    past = {
        cue.start
        for cue in cues
        if cue.cue.category == "historical" and cue.cue.direction == "forward" and not cue.cue.reach
    }
    starts: set[int] = set()
    seen_verb = negated = described = recalled = False
    main = _main_clause(words, verbs, begin, end, denials, book)
    for i in range(begin, end):
        word = words[i]
        if verbs[i]:
            seen_verb = True
        negated = negated or i in denials
        recalled = recalled or i in past
        described = described or word in book.openers
        # "history of pneumonia with a new effusion"
        reached = negated or (recalled and words[i - 1] != ",")
        if reached and _company(words, i, book) and i not in inside_cue:
            starts.add(i)
            seen_verb = negated = described = recalled = False
            continue
        if word not in joints or (i in inside_cue and word != ","):
            continue
        opens = i + 1 < end and words[i + 1] in book.openers
        news = word == "," and opens and negated
        # "No consolidation, large effusion, or pneumothorax" is one list.
        news = news and not alternative_follows(words, i + 1, end, book)
        backward = (
            word == ","
            and not seen_verb
            and (
                (
                    described
                    and _backward_follows(i, end, cues, "absent")
                    # "large A, B, or C are not seen"
                    and not _closed_by_alternative(words, i, end, book)
                )
                # "Without contrast, cirrhosis cannot be excluded."
                or (negated and _backward_follows(i, end, cues, "uncertain"))
            )
        )
        # "no ascites is seen and possible pneumonia"
        doubted = (
            negated and seen_verb and i + 1 in doubts and word not in book.grammar.alternatives
        )
        if (
            doubted
            or (seen_verb and last_verb > i and _verb_before_joint(words, verbs, i, end, book))
            or (news or backward or i == main)
        ):
            starts.add(i)
            seen_verb = negated = described = recalled = False
    return starts


def _main_clause(
    words: Sequence[str],
    verbs: Sequence[bool],
    begin: int,
    end: int,
    denials: Collection[int],
    book: Phrasebook,
) -> int | None:
    """The comma before the first verb, where what stands before it has none and cannot have it.

    "Given the history of melanoma, the nodule is new", "liver without lesion, steatosis present".
    """
    preambles = book.grammar.preambles
    opens = begin
    opened = (
        words[begin] in preambles
        # "In view of the history of melanoma,".
        or (
            words[begin] in book.prepositions
            and not preambles.isdisjoint(words[begin + 1 : begin + 3])
        )
    )
    if not opened:  # "liver without lesion, steatosis present"
        denied = [i for i in denials if begin <= i < end and words[i] in preambles]
        if not denied:
            return None
        opens = min(denied)
    first = next((i for i in range(begin, end) if verbs[i]), None)
    if first is None:
        return None
    comma = next((i for i in range(first - 1, opens, -1) if words[i] == ","), None)
    if comma is None or alternative_follows(words, comma + 1, end, book):
        return None
    return comma


def alternative_follows(words: Sequence[str], start: int, end: int, book: Phrasebook) -> bool:
    """Whether a list goes on to its "or" before any verb."""
    for i in range(start, end):
        if words[i] in book.grammar.alternatives:
            return True
        if words[i] in book.predicates or words[i] in (";", ":", "("):
            return False
    return False


def _closed_by_alternative(words: Sequence[str], start: int, end: int, book: Phrasebook) -> bool:
    """Whether a comma and "or" end a list that goes on at a token."""
    return any(
        words[i] == "," and words[i + 1] in book.grammar.alternatives for i in range(start, end - 1)
    )


def _company(words: Sequence[str], i: int, book: Phrasebook) -> bool:
    """Whether "with" names what is there beside what is denied: "no A, with a small B"."""
    grammar = book.grammar
    if (
        words[i] not in grammar.company
        or i == 0
        or (words[i - 1] in grammar.supposed_company and words[i - 1] != OTHER)
    ):
        return False
    following = words[i + 1 : i + 2]
    if not following or following[0] in grammar.alternatives:
        return False
    if words[i - 1] == ",":
        return True
    if following[0] in grammar.indefinite:
        following = words[i + 2 : i + 3]
    return bool(following) and following[0] in opening(book)


@cache
def finite(book: Phrasebook) -> frozenset[str]:
    """Predicates that are no participles."""
    return book.predicates - book.grammar.participles


@cache
def opening(book: Phrasebook) -> frozenset[str]:
    """Words that open something new, less articles and numbers."""
    return book.openers - book.grammar.indefinite - {NUMBER}


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
