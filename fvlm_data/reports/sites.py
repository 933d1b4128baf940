"""Which finding a head is, by its words and by the anatomies that it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.reports.anatomy import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.anatomy import AnatomyMention
    from fvlm_data.reports.phrasebook import Phrasebook
    from fvlm_data.reports.records import Laterality

_WEAK = frozenset({"soft_tissue", "vessel", "muscle", "mediastinum"})
"""Anatomies that give way to a later candidate which knows the observation."""


@dataclass(frozen=True, slots=True)
class HeadSpan:
    """A head before its status is known, in tokens."""

    start: int
    end: int
    kind: str
    terms: tuple[str, ...] = ()
    abnormal: bool = False
    observation: bool = False


def meant(
    span: HeadSpan, words: str, steps: Sequence[tuple[AnatomyMention, ...]], book: Phrasebook
) -> tuple[tuple[AnatomyMention, ...], tuple[tuple[str, str], ...]]:
    """Mentions that a head is about, and findings (id, anatomy) that it is there.

    A phrase that names a finding by itself and another one by its site ("lymphoma", of the
    spleen) is the latter where it can be.
    """
    if span.observation:
        about = _about(steps, words, book)
        terms = observed(words, [site for m in about for site in m.sites], book)
        if terms or span.kind == "observation":
            return about, terms
    if span.kind != "finding":
        return _about(steps, None, book), ()
    about = _about_finding(span, steps, book)
    return about, tuple(
        (term, anatomy) for term in span.terms for anatomy in _lies_in(term, about, book)
    )


def _lies_in(term: str, about: Sequence[AnatomyMention], book: Phrasebook) -> tuple[str, ...]:
    """Anatomies that a finding named outright makes abnormal."""
    entry = book.terms[term]
    if entry.at_site:
        sites = {site.split(".")[0] for site in entry.sites}
        named = [a for m in about for a in m.anatomies if not sites or a in sites]
        if named:
            return tuple(dict.fromkeys(named))
    return (entry.anatomy,)


def side_at(about: Sequence[AnatomyMention], sites: Sequence[str]) -> Laterality | None:
    """Side of those mentions that are at the given sites."""
    anatomies = {site.split(".")[0] for site in sites}
    return joined([mention.side for mention in about if anatomies & set(mention.anatomies)])


def observed(words: str, sites: Sequence[str], book: Phrasebook) -> tuple[tuple[str, str], ...]:
    """Findings (id, anatomy) that an observation is at the given sites, parts before wholes."""
    made: dict[str, str] = {}
    for site in sites:
        found = book.observed_at.get((words, site)) or (
            book.observed_at.get((words, site.split(".")[0]), ()) if "." in site else ()
        )
        for term in found:
            made[term] = (
                site.split(".")[0] if book.terms[term].at_site else book.terms[term].anatomy
            )
    return tuple(made.items())


def _about(
    steps: Sequence[tuple[AnatomyMention, ...]], words: str | None, book: Phrasebook
) -> tuple[AnatomyMention, ...]:
    """The first candidates, unless they are weak and later ones know the observation."""
    if not steps:
        return ()
    if words is not None:
        for step in steps:
            if observed(words, [site for m in step for site in m.sites], book):
                return step
            if not all(a in _WEAK for m in step for a in m.anatomies):
                break
    return steps[0]


def _about_finding(
    span: HeadSpan, steps: Sequence[tuple[AnatomyMention, ...]], book: Phrasebook
) -> tuple[AnatomyMention, ...]:
    """Mentions of the finding's own anatomy that it is attached to; they tell its side."""
    own = {site.split(".")[0] for t in span.terms for site in (book.terms[t].sites or ())}
    own |= {book.terms[term].anatomy for term in span.terms}
    anywhere = any(book.terms[t].at_site and not book.terms[t].sites for t in span.terms)
    if anywhere and steps:
        return steps[0]
    for step in steps[:4]:
        kept = tuple(m for m in step if own & set(m.anatomies))
        if kept:
            return kept
    return ()
