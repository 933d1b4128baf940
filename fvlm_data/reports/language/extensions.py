"""What goes on from one vessel into the next: "thrombus in the portal vein extending into ...".

The word that tells of it is asserted for itself ("without extension into the caval vein").
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fvlm_data.reports.language.finding_sites import observed, side_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.analysed import Head
    from fvlm_data.reports.language.anatomy import AnatomyMention, Attachment
    from fvlm_data.reports.language.assertion import Asserted
    from fvlm_data.reports.language.finding_sites import HeadSpan
    from fvlm_data.reports.language.phrasebook import Phrasebook


_GENITIVE = 6
"""Words from "extension of" to what extends."""


def extension_words(words: Sequence[str], spans: Sequence[HeadSpan], book: Phrasebook) -> list[int]:
    """Tokens that tell of something that it extends, none of them within a head."""
    telling = book.grammar.extensions
    if telling.isdisjoint(words):
        return []
    return [
        i
        for i, word in enumerate(words)
        if word in telling and not any(span.start <= i < span.end for span in spans)
    ]


def not_reached(
    places: Sequence[int],
    spans: Sequence[HeadSpan],
    said: Sequence[Asserted],
    attachment: Attachment,
) -> list[AnatomyMention]:
    """Mentions in which nothing lies: "the thrombus does not extend into the portal vein".

    `said` tells of the spans, then of the places.
    """
    made: list[AnatomyMention] = []
    for place, told in zip(places, said[len(spans) :], strict=True):
        before = [one for span, one in zip(spans, said, strict=False) if span.end <= place]
        if told.status == "absent" and before and before[-1].status != "absent":
            made += attachment.reached(place + 1)
    return made


def with_extensions(
    heads: Sequence[Head],
    places: Sequence[int],
    said: Sequence[Asserted],
    attachment: Attachment,
    words: Sequence[str],
    book: Phrasebook,
) -> list[Head]:
    """Heads with one more for each vessel that one of them extends into, in order.

    `places` are the tokens that tell of extension, `said` what is asserted of each.
    """
    made = list(heads)
    for place, told in zip(places, said, strict=True):
        number = _extending(place, made, words, book)
        if number is None:
            continue
        source = made[number]
        behind = source.start > place
        reached = attachment.reached(max(place + 1, source.end) if behind else place + 1)
        added = _in_vessels(source, reached, words, book)
        if behind and told.status == "absent" and _placed_before(source, attachment):
            # "No extension of the portal vein thrombus": it is there.
            made[number] = replace(source, status="present", rule="stated", cue=None)
        if added:
            made.append(_extension(source, place, added, reached, told))
    made.sort(key=lambda head: (head.start, head.end))
    return made


def _extending(
    place: int, heads: Sequence[Head], words: Sequence[str], book: Phrasebook
) -> int | None:
    """Number of the head that extends: that behind "extension of the", else the one before."""
    if not book.grammar.of.isdisjoint(words[place + 1 : place + 2]):
        behind = (n for n, head in enumerate(heads) if 0 < head.start - place <= _GENITIVE)
        number = next(behind, None)
        if number is not None:
            return number
    before = [n for n, head in enumerate(heads) if head.end <= place]
    return before[-1] if before else None


def _in_vessels(
    source: Head, reached: Sequence[AnatomyMention], words: Sequence[str], book: Phrasebook
) -> tuple[tuple[str, str], ...]:
    """Findings (id, anatomy) that a head is in what it reaches, beside those that it is itself."""
    known = {term for term, _, _ in source.findings}
    names = {book.terms[term].extends_as for term in known} - {None}
    names |= {" ".join(words[source.start : source.end])}
    sites = [site for mention in reached for site in mention.sites]
    found = [one for name in sorted(filter(None, names)) for one in observed(name, sites, book)]
    return tuple(
        (term, anatomy)
        for term, anatomy in dict.fromkeys(found)
        if term not in known and book.terms[term].extends_as
    )


def _placed_before(source: Head, attachment: Attachment) -> bool:
    """Whether a head names its own vessel ("the portal vein thrombus")."""
    return attachment.stands_before(source.start, source.end)


def _extension(
    source: Head,
    place: int,
    findings: Sequence[tuple[str, str]],
    reached: Sequence[AnatomyMention],
    told: Asserted,
) -> Head:
    return replace(
        source,
        start=place,
        end=place + 1,
        status=told.status,
        findings=tuple((term, at, side_at(reached, (at,))) for term, at in findings),
        sites=tuple(dict.fromkeys(site for mention in reached for site in mention.sites)),
        observation="",
        side=None,
        severity=None,
        count=None,
        location=None,
        change=None,
        rule=told.rule,
        cue=told.cue,
        doubts=told.doubts,
    )
