"""Which finding a head is, by its words and by the anatomies that it is about."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from fvlm_data.reports.language.anatomy import joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fvlm_data.reports.language.anatomy import AnatomyMention, Attachment
    from fvlm_data.reports.language.phrasebook import Phrasebook
    from fvlm_data.reports.language.records import Side

_WEAK = frozenset({"soft_tissue", "vessel", "muscle", "mediastinum"})
"""Anatomies that give way to a later candidate which knows the observation."""


_NEAREST = 4
"""Candidates that may tell the side of a finding that is named outright."""


@dataclass(slots=True)
class HeadSpan:
    """A head before its status is known, in tokens."""

    start: int
    end: int
    kind: str
    terms: tuple[str, ...] = ()
    abnormal: bool = False
    observation: bool = False
    stands_for: str = ""
    """Words of the head before for which it stands ("one on the left")."""


def meant(
    span: HeadSpan, words: str, attachment: Attachment, book: Phrasebook
) -> tuple[tuple[AnatomyMention, ...], tuple[tuple[str, str], ...]]:
    """Mentions that a head is about, and findings (id, anatomy) that it is there.

    A phrase that names a finding by itself and another one by its site ("lymphoma", of the
    spleen) is the latter where it can be.
    """
    if span.observation:
        about = _about(attachment.of(span.start, span.end), words, book)
        terms = observed(words, _sites(about), book)
        if terms or span.kind == "observation":
            return about, terms
    if span.kind != "finding":
        return next(attachment.of(span.start, span.end), ()), ()
    about = _about_finding(span, attachment, book)
    return about, tuple(
        [(term, anatomy) for term in span.terms for anatomy in _lies_in(term, about, book)]
    )


def _sites(mentions: Sequence[AnatomyMention]) -> Sequence[str]:
    if len(mentions) == 1:
        return mentions[0].sites
    return [site for mention in mentions for site in mention.sites]


def _lies_in(term: str, about: Sequence[AnatomyMention], book: Phrasebook) -> tuple[str, ...]:
    """Anatomies that a finding named outright makes abnormal."""
    entry = book.terms[term]
    if entry.at_site:
        sites = book.own[term] if entry.sites else frozenset[str]()
        named = [a for m in about for a in m.anatomies if not sites or a in sites]
        if named:
            return tuple(dict.fromkeys(named))
    return (entry.anatomy,)


def kinds_named(span: HeadSpan, words: Sequence[str], book: Phrasebook) -> frozenset[str]:
    """Findings of which a head names one kind only, within it or right before it.

    Not the last of several before it: "no free or loculated effusion" denies any.
    """
    found: set[str] = set()
    for end in range(span.start, span.end + 1):
        for start in range(max(0, end - book.longest_kind), end):
            named = book.kinds.get(tuple(words[start:end]))
            if named and not (start < span.start and words[start - 1] in book.grammar.joints):
                found |= named
    return frozenset(found)


def side_at(about: Sequence[AnatomyMention], sites: Sequence[str]) -> Side | None:
    """Side of those mentions that are at the given sites."""
    if not about:
        return None
    anatomies = {site.split(".")[0] for site in sites}
    return joined([m.side for m in about if not anatomies.isdisjoint(m.anatomies)])


def observed(words: str, sites: Sequence[str], book: Phrasebook) -> tuple[tuple[str, str], ...]:
    """Findings (id, anatomy) that an observation is at the given sites, parts before wholes."""
    known = [(site, found) for site in sites if (found := _known_at(words, site, book))]
    if not known:
        return ()
    wholes = {book.within[site] for site, _ in known if site in book.within}
    made: dict[tuple[str, str], None] = {}
    for site, found in known:
        for term in found:
            entry = book.terms[term]
            if entry.at_site:
                made[term, site.split(".")[0]] = None
            elif site not in wholes:
                made[term, entry.anatomy] = None
    return tuple(made)


def _known_at(words: str, site: str, book: Phrasebook) -> tuple[str, ...]:
    found = book.observed_at.get((words, site))
    if found is None and "." in site:
        found = book.observed_at.get((words, site.split(".")[0]))
    # "small nodule" may be an observation at other sites only
    if found is None and " " in words:
        first, rest = words.split(" ", 1)
        return _known_at(rest, site, book) if first in book.openers else ()
    return found or ()


def _about(
    steps: Iterable[tuple[AnatomyMention, ...]], words: str, book: Phrasebook
) -> tuple[AnatomyMention, ...]:
    """The first candidates, unless they are weak and later ones know the observation."""
    first: tuple[AnatomyMention, ...] = ()
    for step in steps:
        if observed(words, _sites(step), book):
            return step
        first = first or step
        if not all(
            one in _WEAK or book.within.get(one) in _WEAK for m in step for one in m.anatomies
        ):
            break
    return first


def _about_finding(
    span: HeadSpan, attachment: Attachment, book: Phrasebook
) -> tuple[AnatomyMention, ...]:
    """Mentions of the finding's own anatomy that it is attached to; they tell its side."""
    steps = attachment.of(span.start, span.end)
    own: set[str] = set()
    for term in span.terms:
        if book.terms[term].at_site and not book.terms[term].sites:
            return next(steps, ())
        own |= book.own[term]
    for step in islice(steps, _NEAREST):
        kept = tuple([mention for mention in step if not own.isdisjoint(mention.anatomies)])
        if kept:
            return kept
    return ()
