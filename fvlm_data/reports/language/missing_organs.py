"""Organs that are gone: "spleen: absent", "the gallbladder and the uterus have been removed".

The words that tell it deny what is found elsewhere ("effusion: absent"). They tell of an organ
where they stand beside it and of nothing that it has, or alone behind its sub-header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.reports.language.finding_sites import HeadSpan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.anatomy import AnatomyMention
    from fvlm_data.reports.language.phrasebook import Phrasebook

_LINKS = ((), (":",), ("-",), ("=",))
"""What may stand between an organ and the word that it is gone."""


def missing_organs(
    spans: Sequence[HeadSpan],
    mentions: Sequence[AnatomyMention],
    words: Sequence[str],
    book: Phrasebook,
) -> list[HeadSpan]:
    """Heads, one for each organ that is gone, and none for words that only deny."""
    if book.removals.isdisjoint(words):
        return list(spans)
    made: list[HeadSpan] = []
    for span in spans:
        denies = span.kind == "observation" and " ".join(words[span.start : span.end]) in (
            book.removals
        )
        organs = (
            _organs(span, spans, mentions, words, book)
            if denies or _gone(span, words, book)
            else []
        )
        if not denies or (not organs and _alone(span, words)):
            made.append(span)
        made += organs
    made.sort(key=lambda span: (span.start, span.end))
    return made


def _gone(span: HeadSpan, words: Sequence[str], book: Phrasebook) -> bool:
    """Whether a head names an organ and that it is gone ("absent right kidney")."""
    return (
        span.kind == "finding"
        and not book.removals.isdisjoint(words[span.start : span.end])
        and all(book.terms[term].lasting and not book.terms[term].at_site for term in span.terms)
    )


def _alone(span: HeadSpan, words: Sequence[str]) -> bool:
    """Whether nothing stands before a head, and a mark right behind it."""
    behind = words[span.end : span.end + 1]
    return span.start == 0 and not (behind and (behind[0].isalnum() or behind[0] == "_"))


def _organs(
    span: HeadSpan,
    spans: Sequence[HeadSpan],
    mentions: Sequence[AnatomyMention],
    words: Sequence[str],
    book: Phrasebook,
) -> list[HeadSpan]:
    """Heads of the organ right before a head, or else of those listed right behind it.

    What is listed before the organ shares the word with it, as with any head.
    """
    named = any(span.start <= one.start < span.end for one in mentions)
    nearest = None if named else _right_before(span.start, mentions, words, book)
    if nearest and any(_lies_in(other, nearest, words, book) for other in spans):
        return []
    listed = [nearest] if nearest else _listed_behind(span.end, mentions, words, book, named=named)
    made = []
    for one in listed:
        terms = tuple(dict.fromkeys(book.removed[s] for s in one.sites if s in book.removed))
        if terms:
            made.append(HeadSpan(one.start, one.end, "finding", terms))
    if made and not named:  # it holds the word, which then denies nothing
        made[0].start, made[0].end = min(made[0].start, span.start), max(made[0].end, span.end)
    return made


def _lies_in(
    other: HeadSpan, organ: AnatomyMention, words: Sequence[str], book: Phrasebook
) -> bool:
    """Whether a finding stands right before an organ: "hydronephrosis R kidney gone"."""
    start = organ.start
    while start > 0 and _light(words[start - 1], book):
        start -= 1
    return other.kind == "finding" and other.end == start


def _right_before(
    start: int, mentions: Sequence[AnatomyMention], words: Sequence[str], book: Phrasebook
) -> AnatomyMention | None:
    """The organ right before a token, unless it belongs to what stands before its list."""
    nearest = None
    for one in reversed(mentions):
        link = tuple(words[one.end : start])
        if one.end <= start and (_joins(link, book) if nearest else link in _LINKS):
            nearest = nearest or one
            start = one.start
    while start > 0 and _light(words[start - 1], book):
        start -= 1
    return None if start > 0 and words[start - 1] in book.prepositions else nearest


def _listed_behind(
    end: int,
    mentions: Sequence[AnatomyMention],
    words: Sequence[str],
    book: Phrasebook,
    *,
    named: bool,
) -> list[AnatomyMention]:
    """Organs behind a token, and nothing that they have."""
    made: list[AnatomyMention] = []
    for one in mentions:
        link = tuple(words[end : one.start])
        joined = _joins(link, book) if made or named else all(_light(w, book) for w in link)
        if one.start >= end and joined:
            made.append(one)
            end = one.end
    following = words[end : end + 1]
    return made if not following or following[0] in book.phrase_ends else []


def _joins(link: Sequence[str], book: Phrasebook) -> bool:
    """Whether words join two organs of a list ("and the left")."""
    joints = book.grammar.joints
    return not joints.isdisjoint(link) and all(w in joints or _light(w, book) for w in link)


def _light(word: str, book: Phrasebook) -> bool:
    """Whether a word belongs to the organ behind it."""
    return word in book.grammar.articles or word in book.grammar.places
