"""Function words of a language as sets, as the parts of the parser ask for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.reports.language.sizes import SizePatterns, size_patterns
from fvlm_data.vocabulary.phrases import expand
from fvlm_data.vocabulary.wording import wording

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fvlm_data.vocabulary.entries import Grammar

OTHER = "_"
"""A word that no phrase of the vocabulary holds (tokens.OTHER_WORD)."""


@dataclass(frozen=True, slots=True, eq=False)
class FunctionWords:
    """See grammar.yaml for what each set is for; marks that count with them are added here."""

    articles: frozenset[str]
    of: frozenset[str]
    joints: frozenset[str]
    breaks: frozenset[str]
    """Words at which a clause may end: joints, and what names company."""
    indefinite: frozenset[str]
    extensions: frozenset[str]
    relatives: frozenset[str]
    relative_pronouns: frozenset[str]
    aftermath: frozenset[str]
    preambles: frozenset[str]
    attributes: frozenset[str]
    of_or_for: frozenset[str]
    purpose: frozenset[str]
    denying_answers: frozenset[str]
    stand_ins: frozenset[str]
    participles: frozenset[str]
    alternatives: frozenset[str]
    denials: frozenset[str]
    organ_denials: frozenset[str]
    noun_denials: frozenset[str]
    distributives: frozenset[str]
    comparisons: frozenset[str]
    company: frozenset[str]
    supposed_company: frozenset[str]
    complements: frozenset[str]
    known: frozenset[str]
    before_known: frozenset[str]
    elisions: frozenset[str]
    now: frozenset[str]
    today: frozenset[str]
    conclusions: frozenset[tuple[str, ...]]
    not_large: frozenset[str]
    persistence: frozenset[str]
    company_links: frozenset[str]
    alongside: frozenset[str]
    bounds: frozenset[str]
    within: frozenset[str]
    beside: frozenset[str]
    operations: tuple[str, ...]
    places: frozenset[str]
    places_and_numbers: frozenset[str]
    landmarks: frozenset[tuple[str, ...]]
    """Words before an organ that only tells where something lies."""
    distances: frozenset[tuple[str, ...]]
    """The same behind a distance."""
    near: frozenset[str]
    """First words of `landmarks` and `distances`."""
    light: frozenset[str]
    prefixes: frozenset[str]
    size_stops: frozenset[str]
    of_organ: frozenset[str]
    sizes: SizePatterns
    units: frozenset[str]
    """Units of length, each one word."""
    title_links: frozenset[str]
    never_last: re.Pattern[str]
    never_before_stop: re.Pattern[str]


def _sequences(patterns: Iterable[str]) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(phrase.split()) for one in patterns for phrase in expand(one))


def function_words(grammar: Grammar) -> FunctionWords:
    """The sets of a grammar."""
    clauses, places, titles = grammar.clauses, grammar.places, grammar.titles
    units = [(words, 1.0) for words in grammar.sizes.mm]
    units += [(words, 10.0) for words in grammar.sizes.cm]
    of_unit = {one: length for words, length in units for one in expand(words)}
    return FunctionWords(
        articles=frozenset(clauses.articles),
        of=frozenset(clauses.of),
        joints=frozenset({",", *clauses.joints}),
        breaks=frozenset({",", *clauses.joints, *clauses.company}),
        indefinite=frozenset(clauses.indefinite),
        extensions=frozenset(clauses.extensions),
        relatives=frozenset(clauses.relatives),
        relative_pronouns=frozenset(clauses.relative_pronouns),
        aftermath=frozenset(clauses.aftermath),
        preambles=frozenset(clauses.preambles),
        attributes=frozenset(clauses.attributes),
        denying_answers=frozenset(clauses.denying_answers),
        purpose=frozenset(clauses.purpose),
        of_or_for=frozenset({*clauses.of, *clauses.purpose}),
        stand_ins=frozenset(clauses.stand_ins),
        participles=frozenset(clauses.participles),
        alternatives=frozenset(clauses.alternatives),
        denials=frozenset(clauses.denials),
        organ_denials=frozenset(clauses.organ_denials),
        noun_denials=frozenset(clauses.noun_denials),
        distributives=frozenset({OTHER, *clauses.distributives}),
        comparisons=frozenset(clauses.comparisons),
        company=frozenset(clauses.company),
        supposed_company=frozenset({OTHER, *clauses.supposed_company}),
        complements=frozenset(clauses.complements),
        known=frozenset(clauses.known),
        before_known=frozenset(clauses.before_known),
        elisions=frozenset({",", *clauses.elisions}),
        now=frozenset(clauses.now),
        today=frozenset(clauses.today),
        conclusions=frozenset(tuple(one.split()) for one in clauses.conclusions),
        not_large=frozenset(clauses.not_large),
        persistence=frozenset(clauses.persistence),
        company_links=frozenset(clauses.company_links),
        alongside=frozenset(clauses.alongside),
        bounds=frozenset(clauses.bounds),
        within=frozenset(clauses.within),
        beside=frozenset(clauses.beside),
        operations=clauses.operations,
        places=frozenset(places.words),
        places_and_numbers=frozenset({"0", *places.words}),
        landmarks=_sequences(places.landmarks),
        distances=_sequences(places.distances),
        near=frozenset(one[0] for one in _sequences((*places.landmarks, *places.distances))),
        light=frozenset({OTHER, "/", "0", *places.between_side_and_anatomy}),
        prefixes=frozenset(grammar.spelling.prefixes),
        size_stops=frozenset({",", ".", "(", ")", ";", *grammar.sizes.stops}),
        of_organ=frozenset(grammar.sizes.of_organ),
        units=frozenset(of_unit),
        sizes=size_patterns(
            grammar.sizes,
            (*clauses.articles, *clauses.indefinite),
            {unit: of_unit[unit] for unit in sorted(of_unit, key=lambda u: (-len(u), u))},
        ),
        title_links=frozenset({",", "/", "&", "+", "(", ")", "-", *titles.links}),
        never_last=re.compile(rf"(?:[,&/(+-]|\b(?:{wording(titles.never_last)}))\s*\Z"),
        never_before_stop=re.compile(rf"\b(?:{wording(titles.never_before_stop)})"),
    )
