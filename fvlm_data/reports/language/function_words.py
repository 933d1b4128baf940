"""Function words of a language as sets, as the parts of the parser ask for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.reports.language.sizes import SizePatterns, size_patterns
from fvlm_data.vocabulary.phrases import expand
from fvlm_data.vocabulary.wording import wording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fvlm_data.vocabulary.grammar_entries import Grammar

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
    signs: frozenset[str]
    of_or_for: frozenset[str]
    purpose: frozenset[str]
    denying_answers: frozenset[str]
    affirming_answers: frozenset[str]
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
    pronouns: frozenset[str]
    now: frozenset[str]
    today: frozenset[str]
    conclusions: frozenset[tuple[str, ...]]
    not_large: frozenset[str]
    persistence: frozenset[str]
    company_links: frozenset[str]
    ties: frozenset[str]
    """Links of company, and words between a finding and its cause."""
    alongside: frozenset[str]
    bounds: frozenset[str]
    within: frozenset[str]
    beside: frozenset[str]
    operations: tuple[str, ...]
    verb_last: bool
    """Whether verbs, denials and sides stand behind what they are told of."""
    places: frozenset[str]
    places_and_numbers: frozenset[str]
    landmarks: frozenset[tuple[str, ...]]
    """Words before an organ that only tells where something lies."""
    distances: frozenset[tuple[str, ...]]
    """The same behind a distance."""
    near: frozenset[str]
    """First words of `landmarks` and `distances`."""
    light: frozenset[str]
    numbering: frozenset[str]
    """Words of a list or range of numbers."""
    prefixes: frozenset[str]
    size_stops: frozenset[str]
    of_organ: frozenset[str]
    respectively: frozenset[str]
    sizes: SizePatterns
    units: frozenset[str]
    """Units of length, each one word."""
    title_links: frozenset[str]
    never_last: re.Pattern[str]
    never_before_stop: re.Pattern[str]


def _sequences(patterns: Iterable[str], folded: Callable[[str], str]) -> frozenset[tuple[str, ...]]:
    phrases = (phrase for one in patterns for phrase in expand(one))
    return frozenset(tuple(map(folded, phrase.split())) for phrase in phrases)


def function_words(grammar: Grammar, folded: Callable[[str], str] = str) -> FunctionWords:
    """The sets of a grammar; `folded` spells a word as words of reports are."""

    def words_of(*words: str) -> frozenset[str]:
        return frozenset(map(folded, words))

    clauses, places, titles = grammar.clauses, grammar.places, grammar.titles
    units = [(words, 1.0) for words in grammar.sizes.mm]
    units += [(words, 10.0) for words in grammar.sizes.cm]
    of_unit = {one: length for words, length in units for one in expand(words)}
    return FunctionWords(
        articles=words_of(*clauses.articles),
        of=words_of(*clauses.of),
        joints=words_of(",", *clauses.joints),
        breaks=words_of(",", *clauses.joints, *clauses.company),
        indefinite=words_of(*clauses.indefinite),
        extensions=words_of(*clauses.extensions),
        relatives=words_of(*clauses.relatives),
        relative_pronouns=words_of(*clauses.relative_pronouns),
        aftermath=words_of(*clauses.aftermath),
        preambles=words_of(*clauses.preambles),
        attributes=words_of(*clauses.attributes),
        signs=words_of(*clauses.signs),
        denying_answers=words_of(*clauses.denying_answers),
        affirming_answers=words_of(*grammar.sentences.affirming_answers),
        purpose=words_of(*clauses.purpose),
        of_or_for=words_of(*clauses.of, *clauses.purpose),
        stand_ins=words_of(*clauses.stand_ins),
        participles=words_of(*clauses.participles),
        alternatives=words_of(*clauses.alternatives),
        denials=words_of(*clauses.denials),
        organ_denials=words_of(*clauses.organ_denials),
        noun_denials=words_of(*clauses.noun_denials),
        distributives=words_of(OTHER, *clauses.distributives),
        comparisons=words_of(*clauses.comparisons),
        company=words_of(*clauses.company),
        supposed_company=words_of(OTHER, *clauses.supposed_company),
        complements=words_of(*clauses.complements),
        known=words_of(*clauses.known),
        before_known=words_of(*clauses.before_known),
        elisions=words_of(",", *clauses.elisions),
        pronouns=words_of(*clauses.pronouns),
        now=words_of(*clauses.now),
        today=words_of(*clauses.today),
        conclusions=frozenset(tuple(map(folded, one.split())) for one in clauses.conclusions),
        not_large=words_of(*clauses.not_large),
        persistence=words_of(*clauses.persistence),
        company_links=words_of(*clauses.company_links),
        ties=words_of(*clauses.company_links, *clauses.causes),
        alongside=words_of(*clauses.alongside),
        bounds=words_of(*clauses.bounds),
        within=words_of(*clauses.within),
        beside=words_of(*clauses.beside),
        operations=clauses.operations,
        verb_last=grammar.order.verb_last,
        places=words_of(*places.words),
        places_and_numbers=words_of("0", *places.words),
        landmarks=_sequences(places.landmarks, folded),
        distances=_sequences(places.distances, folded),
        near=frozenset(
            one[0] for one in _sequences((*places.landmarks, *places.distances), folded)
        ),
        numbering=words_of("0", ",", "-", *clauses.joints, *grammar.sizes.range_to),
        light=words_of(OTHER, "/", "0", *places.between_side_and_anatomy),
        prefixes=words_of(*grammar.spelling.prefixes),
        size_stops=words_of(",", ".", "(", ")", ";", *grammar.sizes.stops),
        respectively=words_of(*grammar.sizes.respectively),
        of_organ=words_of(*grammar.sizes.of_organ),
        units=frozenset(of_unit),
        sizes=size_patterns(
            grammar.sizes,
            (*clauses.articles, *clauses.indefinite),
            {unit: of_unit[unit] for unit in sorted(of_unit, key=lambda u: (-len(u), u))},
            clauses.joints,
        ),
        title_links=words_of(",", "/", "&", "+", "(", ")", "-", *titles.links),
        never_last=re.compile(rf"(?:[,&/(+-]|\b(?:{wording(titles.never_last)}))\s*\Z"),
        never_before_stop=re.compile(rf"\b(?:{wording(titles.never_before_stop)})"),
    )
