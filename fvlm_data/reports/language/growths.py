"""Heads that only tell how a finding changed: in "liver cysts have increased" no liver has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.reports.language.function_words import OTHER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.anatomy import AnatomyMention
    from fvlm_data.reports.language.finding_sites import HeadSpan
    from fvlm_data.reports.language.phrasebook import Phrasebook

_ENDS = ((), (",",), (";",), (".",), (")",))
"""What may stand behind a statement between commas."""


def without_growths(
    spans: Sequence[HeadSpan],
    mentions: Sequence[AnatomyMention],
    words: Sequence[str],
    book: Phrasebook,
) -> list[HeadSpan]:
    """Leave out what tells how a finding changed: in "liver cysts have increased" no liver has.

    Nor has it in "liver cyst of 15 mm, increased" and "enlarged liver cyst".
    """
    around = zip([None, *spans], spans, [*spans[1:], None], strict=False)
    return [
        span
        for before, span, after in around
        if not (
            is_growth(span, words, book)
            and (
                _is_said_of(before, span, mentions, words, book)
                or _stands_before(span, after, mentions, words, book)
            )
        )
    ]


def is_growth(span: HeadSpan, words: Sequence[str], book: Phrasebook) -> bool:
    """Whether a head only tells that something grew or shrank."""
    return (
        span.kind == "observation"
        and (span.end - span.start == 1 or words[span.end - 1] in book.grammar.of_organ)
        and book.grammar.sizes.changed.match(words[span.start]) is not None
    )


def _is_said_of(
    before: HeadSpan | None,
    span: HeadSpan,
    mentions: Sequence[AnatomyMention],
    words: Sequence[str],
    book: Phrasebook,
) -> bool:
    """Whether a growth is that of the head before it, behind a verb or between commas."""
    if before is None or before.kind == "normal":
        return False
    if any(one.start < before.end <= one.end for one in mentions):  # "fatty liver"
        return False
    between = words[before.end : span.start]
    if between and all(word in book.predicates or word == OTHER for word in between):
        return True
    if not between and before.kind == "finding":  # "liver cyst increased"
        return True
    apart = bool(between) and between[-1] == "," and tuple(words[span.end : span.end + 1]) in _ENDS
    # "the liver is fatty, enlarged" tells of the liver
    named = any(one.start <= before.start <= one.end < before.end for one in mentions)
    return apart and named and not any(before.end <= one.start < span.start for one in mentions)


def _stands_before(
    span: HeadSpan,
    after: HeadSpan | None,
    mentions: Sequence[AnatomyMention],
    words: Sequence[str],
    book: Phrasebook,
) -> bool:
    """Whether it is an attribute of the head behind it, whose organ stands between them."""
    if after is None or after.kind != "finding":
        return False
    # a side may stand before the organ
    ahead = book.grammar.of | book.grammar.articles
    end = span.end
    while span.end - span.start > 1 and words[end] in ahead:  # "increase in size of the liver cyst"
        end += 1
    first = end + (words[end] in book.grammar.places)
    return any(
        span.end <= one.start <= first and after.start <= one.end < after.end for one in mentions
    )
