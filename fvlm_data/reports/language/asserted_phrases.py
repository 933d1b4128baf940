"""The heads of a sentence: findings, observations and verdicts whose status is asked."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from fvlm_data.reports.language.finding_sites import HeadSpan
from fvlm_data.reports.language.function_words import OTHER
from fvlm_data.reports.language.growths import is_growth
from fvlm_data.reports.language.overlaps import longest
from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.anatomy import AnatomyMention
    from fvlm_data.reports.language.phrase_matching import CueMatch, Match
    from fvlm_data.reports.language.phrasebook import Phrasebook

_ABOUT_ORGAN = 5
"""Words before the name of an organ that may describe it."""
_ABOUT_OPERATION = 6
"""Words that may tell of an operation what it left."""


def head_spans(matches: Sequence[Match], words: Sequence[str], book: Phrasebook) -> list[HeadSpan]:
    """Heads in order; where they overlap the longest, and none that only looks like one."""
    if not matches:
        return []
    spans = _without_degrees(_head_spans(matches), words, book)
    spans = _without_false_absences(spans, words, book)
    if not spans or book.partial.isdisjoint(words):
        return spans
    return [
        _of_a_part(span, book)
        if _lacks_organ(span, book) and _leaves_part(span, words, book)
        else span
        for span in spans
    ]


def _of_a_part(span: HeadSpan, book: Phrasebook) -> HeadSpan:
    """What a head that tells of an absent organ is where a part of it was left."""
    left = tuple(part for term in span.terms if (part := book.terms[term].partly) is not None)
    if left:
        return HeadSpan(span.start, span.end, "finding", left)
    return HeadSpan(span.start, span.end, "abnormal", abnormal=True)


def described_anatomies(
    mentions: Sequence[AnatomyMention],
    spans: Sequence[HeadSpan],
    words: Sequence[str],
    book: Phrasebook,
) -> list[HeadSpan]:
    """Heads with those that are the bare name of an anatomy: "small lymph nodes are seen".

    A word before it tells, or where nothing else is said of it that it is measured or seen.
    """
    made = list(spans)
    for mention in mentions:
        for anatomy in mention.anatomies:
            if anatomy not in book.described or _covered(mention, spans):
                continue
            finding, telling = book.described[anatomy]
            if (
                _denied_alone(mention, words, book)
                or (
                    _told_before(mention, words, telling, book)
                    or _told_right_behind(mention, words, telling, book)
                )
                or (
                    _told_behind(mention, words, book)
                    and (
                        _restricted(mention, words, book)
                        or not _judged(mention, spans, words, book)
                        or _shown_though_denied(mention, spans, words, book)
                    )
                )
            ):
                made.append(HeadSpan(mention.start, mention.end, "finding", (finding,)))
    made.sort(key=lambda span: (span.start, span.end))
    return made


def _covered(mention: AnatomyMention, spans: Sequence[HeadSpan]) -> bool:
    return any(span.start < mention.end and mention.start < span.end for span in spans)


def _told_before(
    mention: AnatomyMention, words: Sequence[str], telling: frozenset[str], book: Phrasebook
) -> bool:
    for word in reversed(words[max(0, mention.start - _ABOUT_ORGAN) : mention.start]):
        if word in telling:
            return True
        if word in book.predicates or word in book.prepositions or word in (",", ";", ":", "."):
            return False
    return False


def _told_right_behind(
    mention: AnatomyMention, words: Sequence[str], telling: frozenset[str], book: Phrasebook
) -> bool:
    """Whether dictation puts the word behind: "nodes reactive"."""
    following = words[mention.end : mention.end + 1]
    return (
        bool(following)
        and following[0] in telling
        and following[0] != NUMBER
        and following[0] not in book.grammar.indefinite
        and following[0] not in book.grammar.units | book.grammar.not_large
    )


def _told_behind(mention: AnatomyMention, words: Sequence[str], book: Phrasebook) -> bool:
    following = words[mention.end :]
    return NUMBER in following or not book.grammar.participles.isdisjoint(following)


def _denied_alone(mention: AnatomyMention, words: Sequence[str], book: Phrasebook) -> bool:
    """Whether there is none at all: "no nodes", "no significant mediastinal nodes."."""
    before = words[max(0, mention.start - _ABOUT_ORGAN) : mention.start]
    denied = [i for i, word in enumerate(before) if word in book.grammar.noun_denials]
    if not denied or any(not word[0].isalpha() and word != OTHER for word in before[denied[-1] :]):
        return False
    following = words[mention.end : mention.end + 1]
    return not following or (
        following[0] in book.phrase_ends and following[0] not in book.prepositions
    )


def _restricted(mention: AnatomyMention, words: Sequence[str], book: Phrasebook) -> bool:
    """Whether some only are meant: "nodes not reaching pathological size are seen"."""
    following = words[mention.end : mention.end + 1]
    return bool(following) and (
        following[0] in book.grammar.denials or following[0] in book.grammar.relatives
    )


def _shown_though_denied(
    mention: AnatomyMention, spans: Sequence[HeadSpan], words: Sequence[str], book: Phrasebook
) -> bool:
    """Whether it is seen or measured, and what is denied is only how it is.

    "Nodes with a short axis below 1 cm and not of pathological size are seen", but not "nodes of
    pathological size are not seen", nor "nodes are not enlarged".
    """
    denials, seen = book.grammar.denials, book.grammar.participles
    judged = next((span for span in spans if span.start >= mention.end), None)
    if judged is None or denials.isdisjoint(words[mention.end : judged.start]):
        return False
    if NUMBER in words[mention.end : judged.start]:
        return True
    others = {span.start for span in spans}
    for i in range(judged.end, len(words)):
        if words[i] in denials or i in others:
            return False
        if words[i] in seen:
            return True
    return False


def _judged(
    mention: AnatomyMention, spans: Sequence[HeadSpan], words: Sequence[str], book: Phrasebook
) -> bool:
    """Whether something else is said of it in its part of the sentence.

    A part ends at a comma where it tells a size: "nodes to 12 mm, liver normal".
    """
    for marks in (",;", ";"):
        stops = [i for i, word in enumerate(words) if word in marks]
        low = max((i for i in stops if i < mention.start), default=-1)
        high = min((i for i in stops if i > mention.start), default=len(words))
        if marks == ";" or NUMBER in words[mention.end : high]:
            break
    return any(
        low < span.start < high and not _is_change_of(mention, span, words, book) for span in spans
    )


def _is_change_of(
    mention: AnatomyMention, span: HeadSpan, words: Sequence[str], book: Phrasebook
) -> bool:
    """Whether a head only tells how an anatomy changed: "nodes have shrunk"."""
    said = " ".join(words[span.start : span.end])
    return is_growth(span, words, book) and all(
        (said, site) not in book.observed_at for site in mention.anatomies
    )


def _head_spans(matches: Sequence[Match]) -> list[HeadSpan]:
    """Findings, observations and verdicts, the longest where they overlap."""
    return [
        HeadSpan(match.start, match.end, *head)
        for match in longest(matches)
        if (head := match.phrase.head) is not None
    ]


def _without_degrees(
    spans: list[HeadSpan], words: Sequence[str], book: Phrasebook
) -> list[HeadSpan]:
    """Heads, less those of a degree of another: a "small kidney stone" is no small kidney."""
    if all(one.end <= other.start for one, other in pairwise(spans)):
        return spans
    return [
        one
        for one in spans
        if words[one.start] not in book.openers
        or not any(one.start < other.start < one.end < other.end for other in spans)
    ]


def _without_false_absences(
    spans: Sequence[HeadSpan], words: Sequence[str], book: Phrasebook
) -> list[HeadSpan]:
    """Leave out what only looks like a missing organ.

    An organ is said to be gone where it stands alone: not in "no gallbladder calculus", nor in
    "cysts of the spleen were not seen".
    """
    denials = book.grammar.organ_denials
    if denials.isdisjoint(words):
        return list(spans)
    return [
        span
        for span in spans
        if denials.isdisjoint(words[span.start : span.end])
        or not all(book.terms[term].lasting for term in span.terms)
        or not (
            _follows_word(span, spans, words, book)
            or _precedes_word(span, words, book)
            or _seen_somehow(span, words, book)
        )
    ]


def _follows_word(
    span: HeadSpan, spans: Sequence[HeadSpan], words: Sequence[str], book: Phrasebook
) -> bool:
    """Whether an organ belongs to something before it."""
    before = words[span.start - 2 : span.start] if span.start > 1 else words[: span.start]
    return (
        any(word in book.prepositions or word in book.grammar.distributives for word in before)
        or any(
            other.end <= span.start and ";" not in words[other.end : span.start] for other in spans
        )
        or any(other.start <= span.start < other.end for other in spans if other is not span)
    )


def _precedes_word(span: HeadSpan, words: Sequence[str], book: Phrasebook) -> bool:
    """Whether "no gallbladder" goes on with what the gallbladder has not."""
    if words[span.start] not in book.grammar.noun_denials or span.end == len(words):
        return False
    following = words[span.end]
    return (following[0].isalpha() or following == "_") and following not in book.predicates


def _seen_somehow(span: HeadSpan, words: Sequence[str], book: Phrasebook) -> bool:
    """Whether an organ was seen, though not "as enlarged", "to be dilated", "well"."""
    following = words[span.end : span.end + 1]
    return bool(following) and following[0] in book.grammar.complements


def _lacks_organ(span: HeadSpan, book: Phrasebook) -> bool:
    """Whether a head says that an organ is gone."""
    terms = [book.terms[term] for term in span.terms]
    return bool(terms) and all(
        term.lasting and not term.at_site and not term.keeps_part for term in terms
    )


def _leaves_part(span: HeadSpan, words: Sequence[str], book: Phrasebook) -> bool:
    """Whether an operation is a partial one: "partial (left) nephrectomy", "nephrectomy, partial".

    What tells it stands in the same phrase before, in brackets after, or last after a comma.
    """
    for i in range(span.start - 1, max(-1, span.start - 1 - _ABOUT_OPERATION), -1):
        if words[i] in book.partial:
            return True
        if _ends_phrase(words[i], book):
            break
    after = words[span.end : span.end + _ABOUT_OPERATION]
    if after[:1] == ("(",) and ")" in after:
        return not book.partial.isdisjoint(after[: after.index(")")])
    after = after[after[:1] == (",",) :]
    return (
        bool(after)
        and after[0] in book.partial
        and not any(word[0].isalpha() or word == "_" for word in after[1:2])
    )


def _ends_phrase(word: str, book: Phrasebook) -> bool:
    """Whether what stands before a word belongs to something else."""
    return (
        word in (",", ";", ":", ".")
        or word.endswith(book.grammar.operations)
        or word in book.conjunctions
        or word in book.predicates
        or word in book.prepositions
    )


def without_comparisons(
    spans: Sequence[HeadSpan], cues: Sequence[CueMatch], words: Sequence[str], book: Phrasebook
) -> list[HeadSpan]:
    """Leave out what only compares: "no interval enlargement of the aneurysm" denies none."""
    compares = book.grammar.comparisons
    compared = [
        (cue.start, cue.end)
        for cue in cues
        if cue.cue.direction == "pseudo" and not compares.isdisjoint(words[cue.start : cue.end])
    ]
    if not compared:
        return list(spans)
    return [
        span
        for span in spans
        if span.terms or not any(start <= span.start < end for start, end in compared)
    ]
