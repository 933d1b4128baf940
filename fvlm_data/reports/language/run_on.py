"""Statements that no mark parts: "normal no effusion", "heart enlarged gallbladder normal"."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from fvlm_data.reports.language.clauses import alternative_follows, finite
from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from fvlm_data.reports.language.anatomy import AnatomyMention
    from fvlm_data.reports.language.finding_sites import HeadSpan
    from fvlm_data.reports.language.phrase_matching import CueMatch
    from fvlm_data.reports.language.phrasebook import Phrasebook

_NEGATIONS = frozenset({"absent"})
_STATEMENTS = 2
"""Heads and organs that two statements have at least."""
_NEWS = 4
"""Tokens between a word that opens something new and what it is."""
_MARKS = frozenset({",", ";", ":", "."})
_SUBJECT = 6
"""Tokens between an organ and what is said of it."""


def run_on_starts(
    words: Sequence[str],
    heads: Sequence[HeadSpan],
    mentions: Sequence[AnatomyMention],
    cues: Sequence[CueMatch],
    book: Phrasebook,
) -> set[int]:
    """Tokens where a statement begins though no mark ends the one before (dictation).

    That is a denial behind a statement ("normal no effusion"), an organ of which something is
    said ("effusion liver shows", "nodule spleen normal"), and after a denial what is new ("no
    pneumothorax small effusion").
    """
    if not heads or len(heads) + len(mentions) < _STATEMENTS:
        return set()
    ended = {head.end for head in heads}
    said = min(ended)
    made: set[int] = set()
    for i in _bare_denials(words, cues, book):
        if i >= said and (i in ended or _ends_statement(words, i, heads, mentions, book)):
            made.add(i)
    for mention in mentions:
        if mention.end <= said or mention.end >= len(words):
            continue  # nothing was said before it, or nothing is said of it
        start = _phrase_start(mention.start, words, book)
        # "enlarged spleen was not detected" is one statement
        whole = book.grammar.verb_last or (
            start == mention.start and _denied_behind(mention.end, cues)
        )
        # "no ascites and the liver is enlarged"
        joined = (
            start - 1 in ended
            and words[start - 1] in book.grammar.joints - book.grammar.alternatives
        )
        stated = (
            (start in ended and not whole)
            or (start > said and words[start - 1] in book.grammar.participles)
            or (joined and _has(mention, words, heads, book))
        )
        if (
            stated
            and not any(head.start <= mention.start < head.end for head in heads)
            and _predicated(mention.end, start, words, heads, mentions, book)
        ):
            made.add(start)
    made.update(_after_answers(words, heads, mentions, book))
    if len(heads) > 1:
        made.update(_after_verdicts(words, heads, book))
        made.update(_news(words, heads, ended, cues, book))
    return made


def _has(
    mention: AnatomyMention, words: Sequence[str], heads: Sequence[HeadSpan], book: Phrasebook
) -> bool:
    """Whether a verb tells right behind an organ what is found of it."""
    verb = mention.end
    behind = [head for head in heads if head.start > verb and head.kind != "normal"]
    told = words[verb : verb + 1]
    return bool(behind and told) and told[0] in book.predicates and behind[0].start <= verb + _NEWS


def _denied_behind(end: int, cues: Sequence[CueMatch]) -> bool:
    """Whether right behind a token comes what denies all that stands before it."""
    return any(
        end <= cue.start <= end + 1
        and cue.cue.category in _NEGATIONS
        and cue.cue.direction == "backward"
        for cue in cues
    )


def _news(
    words: Sequence[str],
    heads: Sequence[HeadSpan],
    ended: Collection[int],
    cues: Sequence[CueMatch],
    book: Phrasebook,
) -> Iterator[int]:
    """What is new right behind something denied ("no pneumothorax small effusion")."""
    changed = book.grammar.sizes.changed
    judged = {
        head.end
        for head in heads
        if head.kind == "normal" or (head.observation and changed.match(words[head.start]))
    }
    for i in ended:
        # "liver normal 5 mm nodule right upper lobe"
        if i in judged and words[i : i + 1] == (NUMBER,):
            told = next((head.start for head in heads if head.start > i), len(words))
            if told <= i + _NEWS and (_MARKS | book.grammar.denials).isdisjoint(words[i:told]):
                yield i
            continue
        if i == len(words) or words[i] not in book.openers or words[i] in book.predicates:
            continue
        denied = any(_denies_forward(cue) and cue.start <= i for cue in cues)
        followed = any(i <= head.start <= i + _NEWS for head in heads)
        if denied and followed and not alternative_follows(words, i, len(words), book):
            yield i


def _after_verdicts(
    words: Sequence[str], heads: Sequence[HeadSpan], book: Phrasebook
) -> Iterator[int]:
    """Findings told by a verb right behind a verdict ("not enlarged gallstones present")."""
    grammar = book.grammar
    for before, head in pairwise(heads):
        verdict = before.kind == "normal" or (
            before.start > 0
            and words[before.start - 1] in grammar.denials
            and words[before.start - 1] not in grammar.noun_denials
        )
        told = words[head.end : head.end + 1]
        if verdict and before.end == head.start and told and told[0] in book.predicates:
            yield head.start


def _after_answers(
    words: Sequence[str],
    heads: Sequence[HeadSpan],
    mentions: Sequence[AnatomyMention],
    book: Phrasebook,
) -> Iterator[int]:
    """What is told behind an answer ("nodule present effusion absent").

    And what is affirmed right behind something denied ("no effusion gallstones present").
    """
    grammar = book.grammar
    answers = grammar.affirming_answers | grammar.denying_answers - grammar.noun_denials
    if answers.isdisjoint(words):
        return
    begins = {head.start for head in heads} | {mention.start for mention in mentions}
    for head in heads:
        if head.kind == "normal" or head.end + 1 >= len(words):
            continue
        answer = words[head.end]
        if answer in grammar.affirming_answers and any(
            other.end == head.start and other.kind != "normal" for other in heads
        ):
            yield head.start
        if answer in answers and head.end + 1 in begins:
            yield head.end + 1


def _denies_forward(cue: CueMatch) -> bool:
    return cue.cue.category in _NEGATIONS and cue.cue.direction == "forward"


def _bare_denials(
    words: Sequence[str], cues: Sequence[CueMatch], book: Phrasebook
) -> Iterator[int]:
    """Where "no" denies what follows it and nothing before it ("no longer seen")."""
    backward = {cue.start for cue in cues if cue.cue.direction == "backward"}
    for cue in cues:
        bare = words[cue.start] in book.grammar.noun_denials and _denies_forward(cue)
        if bare and cue.start > 0 and cue.start not in backward:
            yield cue.start


def _ends_statement(
    words: Sequence[str],
    i: int,
    heads: Sequence[HeadSpan],
    mentions: Sequence[AnatomyMention],
    book: Phrasebook,
) -> bool:
    # "heart normal size no effusion"
    sized = words[i - 1] in book.grammar.of_organ and any(
        head.kind == "normal" and head.end == i - 1 for head in heads
    )
    return (
        sized
        or words[i - 1] in book.grammar.participles
        or any(
            # "nodule liver no lesion", but "nodule, liver no lesion"
            m.end == i and not _follows_mark(_phrase_start(m.start, words, book), words)
            for m in mentions
        )
    )


def _follows_mark(start: int, words: Sequence[str]) -> bool:
    return start == 0 or words[start - 1] in (",", ";", ":")


def _phrase_start(start: int, words: Sequence[str], book: Phrasebook) -> int:
    """Start of the phrase of an anatomy, with its article and side."""
    articles, places = book.grammar.articles, book.grammar.places
    while start > 0 and (words[start - 1] in articles or words[start - 1] in places):
        start -= 1
    return start


def _is_said_alone(
    head: HeadSpan, start: int, words: Sequence[str], heads: Sequence[HeadSpan], book: Phrasebook
) -> bool:
    """Whether a head behind an organ ends a statement that begins at a token.

    It does in "no pneumothorax heart enlarged", but not in "no suspicious osseous lesion".
    """
    named = all(one.kind == "finding" for one in heads if one.end == start)
    return named or book.grammar.sizes.changed.match(words[head.start]) is not None


def _predicated(
    end: int,
    start: int,
    words: Sequence[str],
    heads: Sequence[HeadSpan],
    mentions: Sequence[AnatomyMention],
    book: Phrasebook,
) -> bool:
    """Whether something is said of an organ.

    That is a verb, a denial, what it has ("with stones"), or a verdict that nothing follows but
    another organ ("heart enlarged gallbladder normal").
    """
    grammar, verbs = book.grammar, finite(book)
    organs = {mention.start for mention in mentions}
    by_start = {head.start: head for head in heads}
    for i in range(end, min(end + _SUBJECT, len(words))):
        head = by_start.get(i)
        if words[i] in grammar.denials:
            return True
        if words[i] in verbs:  # but not "emphysema of the chest wall persists, ..."
            told = next((start for start in sorted(by_start) if start > i), len(words))
            return told < len(words) and _MARKS.isdisjoint(words[i:told])
        if head is not None:
            following = words[head.end : head.end + 1]
            return (
                head.kind == "normal"
                or not following
                or (
                    (following == (".",) or following[0] in book.openers)
                    and _is_said_alone(head, start, words, heads, book)
                )
                or following[0] in grammar.noun_denials
                or head.end in organs
                or head.end in by_start
            )
        if words[i] in grammar.company and i == end:
            return any(i < head.start <= i + _NEWS for head in heads)
        if words[i] in book.prepositions or words[i] in (",", "(", ":"):
            return False
    return False
