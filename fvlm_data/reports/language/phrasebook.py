"""The vocabulary, expanded: what each word sequence means to the parser."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from fvlm_data.reports.language.function_words import FunctionWords, function_words
from fvlm_data.reports.language.meanings import Cue, Meaning
from fvlm_data.reports.language.tokens import Lexicon
from fvlm_data.vocabulary import Vocabulary
from fvlm_data.vocabulary.phrases import expand

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fvlm_data.reports.language.meanings import Kind
    from fvlm_data.vocabulary import FindingTerm
    from fvlm_data.vocabulary.entries import MeasuredFinding

_T = TypeVar("_T", bound=Any)

_MEDICAL: frozenset[Kind] = frozenset({"anatomy", "finding", "observation"})
"""Kinds whose misspelt words are mended; words of cues are not: a slip there may be a word."""


@dataclass(frozen=True, slots=True, eq=False)
class Phrasebook:
    """All phrases in canonical words, and the words that shape clauses."""

    lexicon: Lexicon
    targets: dict[tuple[str, ...], tuple[Meaning, ...]]
    cues: dict[tuple[str, ...], tuple[Cue, ...]]
    terms: dict[str, FindingTerm]
    observed_at: dict[tuple[str, str], tuple[str, ...]]
    """(observation, site) -> finding ids; an observation goes by its canonical words."""
    alone: dict[str, tuple[str, ...]]
    """Observation -> finding ids where nothing tells the site."""
    kinds: dict[tuple[str, ...], frozenset[str]]
    """Words for one kind of a finding -> the findings of which their denial says nothing."""
    longest_kind: int
    removed: dict[str, str]
    """Organ -> the finding that it is gone."""
    removals: frozenset[str]
    """Denials that tell of an organ that it is gone ("spleen: absent")."""
    own: dict[str, frozenset[str]]
    """Finding id -> the anatomy that it makes abnormal, and those where it may lie."""
    within: dict[str, str]
    """Anatomy -> the whole that it is a part of."""
    paired: frozenset[str]
    """Anatomies of which sides matter, and those that have such parts."""
    sided: frozenset[str]
    """Findings whose side counts, as of those that may lie in a paired anatomy."""
    predicates: frozenset[str]
    prepositions: frozenset[str]
    touching: frozenset[str]
    """Words that tell that something reaches an organ from outside."""
    touched: frozenset[str]
    """The same in the passive, before one of `touched_by`."""
    touched_by: frozenset[str]
    phrase_ends: frozenset[str]
    """Words and marks behind which another phrase begins."""
    conjunctions: frozenset[str]
    openers: frozenset[str]
    partial: frozenset[str]
    """Words of operations that leave a part of the organ."""
    carry: frozenset[tuple[str, ...]]
    carry_firsts: frozenset[str]
    """First words of `carry`."""
    carry_lengths: frozenset[int]
    """Numbers of words of `carry`."""
    described: dict[str, tuple[str, frozenset[str]]]
    """Anatomy -> the finding that a bare mention may be, and words before that make it one."""
    measured: dict[str, MeasuredFinding]
    """Finding -> what it is too from a size on."""
    lesser: dict[str, frozenset[str]]
    """Finding -> words for what it may be, and is not where it is denied beside them."""
    size_words: frozenset[str]
    """Words without one of which all sizes of a sentence are those of today."""
    grammar: FunctionWords
    header_words: frozenset[str]
    """Words that name no anatomy and may stand in a sub-header."""
    headers: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    """Words of a sub-header -> anatomy ids; a region's is the empty one."""

    def anywhere(self, observation: str) -> bool:
        """Whether an observation is its finding beside any organ that does not know it."""
        return any(self.terms[term].anywhere for term in self.alone.get(observation, ()))


@lru_cache(maxsize=4)
def phrasebook(vocabulary: Vocabulary) -> Phrasebook:
    """The phrasebook of a vocabulary; made once, since that takes a second."""
    targets = _target_phrases(vocabulary)
    cues = _cue_phrases(vocabulary)
    headers = _header_phrases(vocabulary)
    words, terms = vocabulary.cues, vocabulary.findings
    lexicon = Lexicon(
        [phrase for phrase, _ in (*targets, *cues, *headers)] + _clause_words(vocabulary),
        [phrase for phrase, meaning in targets if meaning.kind in _MEDICAL],
        vocabulary.grammar.spelling,
        [phrase for phrase, meaning in targets if meaning.kind == "anatomy"],
    )
    paired = frozenset(anatomy.id for anatomy in vocabulary.anatomies if anatomy.paired)
    paired |= {whole for part, whole in vocabulary.within.items() if part in paired}
    observed_at = _observations(lexicon, vocabulary)
    gathered = _gather(lexicon, cues)
    removed_at = {
        (observation, site): found[0]
        for (observation, site), found in observed_at.items()
        if tuple(observation.split()) in gathered
        and all(term.lasting and not term.at_site for term in terms if term.id in found)
    }
    kinds = _kinds(lexicon, vocabulary)
    carry = frozenset(lexicon.phrase_words(opener) for opener in words.carry.openers)
    return Phrasebook(
        lexicon=lexicon,
        targets=_gather(lexicon, targets),
        cues=gathered,
        terms={term.id: term for term in terms},
        observed_at=observed_at,
        kinds=kinds,
        longest_kind=max(map(len, kinds), default=0),
        removed={organ: finding for (_, organ), finding in removed_at.items()},
        removals=frozenset(observation for observation, _ in removed_at),
        alone=_alone(lexicon, vocabulary),
        own={
            term.id: frozenset(
                {term.anatomy, *(site.split(".")[0] for site in _sites(term, vocabulary))}
            )
            for term in terms
        },
        within=vocabulary.within,
        paired=paired,
        sided=frozenset(
            term.id
            for term in terms
            if term.sided or any(site.split(".")[0] in paired for site in term.sites)
        ),
        predicates=_words(lexicon, words.predicates),
        prepositions=_words(lexicon, words.prepositions),
        touching=_words(lexicon, words.touching),
        touched=_words(lexicon, words.touched),
        touched_by=_words(lexicon, words.touched_by),
        phrase_ends=_words(
            lexicon, (*words.predicates, *words.prepositions, *words.conjunctions)
        ).union(",;:.()"),
        conjunctions=_words(lexicon, words.conjunctions),
        openers=_words(lexicon, words.terminators.openers),
        partial=_words(lexicon, words.partial),
        carry=carry,
        carry_firsts=frozenset(opener[0] for opener in carry),
        carry_lengths=frozenset(map(len, carry)),
        described={
            term.anatomy: (term.id, _words(lexicon, term.described))
            for term in terms
            if term.described
        },
        measured={term.id: term.measured for term in terms if term.measured is not None},
        lesser={
            term.id: frozenset(
                " ".join(lexicon.phrase_words(one))
                for pattern in term.lesser
                for one in expand(pattern, vocabulary.macros)
            )
            for term in terms
            if term.lesser
        },
        size_words=_words(lexicon, _size_words(vocabulary)),
        header_words=_words(lexicon, vocabulary.header_words),
        grammar=function_words(vocabulary.grammar, lexicon.folded),
        headers=_gather(lexicon, headers),
    )


def _clause_words(vocabulary: Vocabulary) -> list[str]:
    """Words that the lexicon must hold beside those of phrases."""
    words, grammar = vocabulary.cues, vocabulary.grammar
    clauses = grammar.clauses
    return [
        *(word for rule in words.rules for word in (*rule.unless, *rule.unless_behind)),
        *words.predicates,
        *words.prepositions,
        *words.touching,
        *words.touched,
        *words.conjunctions,
        *words.terminators.openers,
        *words.partial,
        *vocabulary.header_words,
        *words.carry.openers,
        *(
            word
            for name in type(clauses).model_fields
            if name != "operations"
            for word in getattr(clauses, name)
        ),
        *grammar.places.words,
        *grammar.places.between_side_and_anatomy,
        *(word for one in grammar.places.landmarks for word in expand(one)),
        *(word for one in grammar.places.distances for word in expand(one)),
        *grammar.sizes.stops,
        *grammar.sizes.respectively,
        *grammar.titles.links,
        *(word for term in vocabulary.findings for word in term.described),
        *(phrase for term in vocabulary.findings for one in term.kinds for phrase in expand(one)),
        *_size_words(vocabulary),
    ]


def _size_words(vocabulary: Vocabulary) -> list[str]:
    """A word of each phrase that tells that a size is an earlier one, or not reached."""
    sizes = vocabulary.grammar.sizes
    before = (*sizes.prior, *sizes.past, *sizes.below, *sizes.range_to)
    first = {phrase.split()[0] for one in before for phrase in expand(one)}
    # "On the previous": the first word of these tells nothing.
    last = {
        phrase.split()[-1] for one in (*sizes.prior_behind, *sizes.ago) for phrase in expand(one)
    }
    return sorted(first | last)


def _header_phrases(vocabulary: Vocabulary) -> set[tuple[str, str]]:
    """Titles with the anatomy that they name; blank for a region."""
    made = {
        (phrase, anatomy.id)
        for anatomy in vocabulary.anatomies
        for header in anatomy.headers
        for phrase in expand(header)
    }
    return made | {
        (phrase, "") for header in vocabulary.region_headers for phrase in expand(header)
    }


def _words(lexicon: Lexicon, words: Iterable[str]) -> frozenset[str]:
    return frozenset(word for phrase in words for word in lexicon.phrase_words(phrase))


def _gather(
    lexicon: Lexicon, pairs: Iterable[tuple[str, _T]]
) -> dict[tuple[str, ...], tuple[_T, ...]]:
    made: dict[tuple[str, ...], set[_T]] = defaultdict(set)
    for phrase, meaning in pairs:
        made[lexicon.phrase_words(phrase)].add(meaning)
    return {words: tuple(sorted(made[words])) for words in sorted(made)}


def _target_phrases(vocabulary: Vocabulary) -> list[tuple[str, Meaning]]:
    made = _anatomy_phrases(vocabulary)
    macros = vocabulary.macros
    for term in vocabulary.findings:
        made += _meant("finding", term.id, term.synonyms, macros=macros)
        made += [
            (phrase, Meaning("observation", ""))
            for pattern in (*term.observations, *term.alone)
            for phrase in expand(pattern, macros)
        ]
    words = vocabulary.cues
    made += _meant("normal", "", words.normal)
    made += _meant("neutral", "", words.neutral)
    made += _meant("abnormal", "", words.abnormal)
    made += _meant("terminator", "", words.terminators.words)
    for severity, phrases in words.severities.items():
        made += _meant("severity", severity, phrases)
    for change, phrases in words.changes.items():
        made += _meant("change", change, phrases, macros=words.macros)
    for count, phrases in words.counts.items():
        made += _meant("count", count, phrases)
    return made


def _anatomy_phrases(vocabulary: Vocabulary) -> list[tuple[str, Meaning]]:
    made: list[tuple[str, Meaning]] = []
    for anatomy in vocabulary.anatomies:
        for named in _with_whole(anatomy.id, vocabulary):
            made += _meant("anatomy", named, anatomy.phrases)
            made += _meant("anatomy", named, anatomy.left, side="left")
            made += _meant("anatomy", named, anatomy.right, side="right")
        for part, phrases in anatomy.parts.items():
            made += _meant("anatomy", f"{anatomy.id}.{part}", phrases)
        made += _meant("compound", anatomy.id, anatomy.compound)
    for group in vocabulary.groups:
        for part in group.anatomies:
            for named in _with_whole(part, vocabulary):
                made += _meant("anatomy", named, group.phrases)
    made += _meant("generic", "", vocabulary.generic_parts)
    for side, phrases in vocabulary.sides.items():
        made += _meant("side", side, phrases)
    return made


def _with_whole(anatomy: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    """An anatomy, and what it is a part of."""
    whole = vocabulary.within.get(anatomy)
    return (anatomy,) if whole is None else (anatomy, whole)


def _sites(term: FindingTerm, vocabulary: Vocabulary) -> tuple[str, ...]:
    """Where a finding may lie; one that is about its site also in the parts of its sites."""
    sites = term.sites or (term.anatomy,)
    if not term.at_site:
        return sites
    return (*sites, *(part for part, whole in vocabulary.within.items() if whole in sites))


def _meant(
    kind: Kind,
    value: str,
    phrases: Iterable[str],
    *,
    side: str = "",
    macros: Mapping[str, tuple[str, ...]] | None = None,
) -> list[tuple[str, Meaning]]:
    meaning = Meaning(kind, value, side)
    return [(phrase, meaning) for pattern in phrases for phrase in expand(pattern, macros)]


def _cue_phrases(vocabulary: Vocabulary) -> list[tuple[str, Cue]]:
    words = vocabulary.cues
    return [
        (
            phrase,
            Cue(
                rule.category,
                rule.direction,
                rule.at_end,
                rule.at_start,
                rule.reach or 0,
                rule.local,
                rule.across,
                rule.overrules,
                rule.unless,
                rule.turns,
                rule.without_company,
                rule.of_lasting,
                rule.unless_behind,
            ),
        )
        for rule in words.rules
        for pattern in rule.phrases
        for phrase in expand(pattern, words.macros)
    ]


def _observations(
    lexicon: Lexicon, vocabulary: Vocabulary
) -> dict[tuple[str, str], tuple[str, ...]]:
    macros = vocabulary.macros
    made: dict[tuple[str, str], set[str]] = defaultdict(set)
    for term in vocabulary.findings:
        for pattern in (*term.observations, *term.alone):
            for phrase in expand(pattern, macros):
                for site in _sites(term, vocabulary):
                    made[" ".join(lexicon.phrase_words(phrase)), site].add(term.id)
    return {key: tuple(sorted(ids)) for key, ids in sorted(made.items())}


def _kinds(lexicon: Lexicon, vocabulary: Vocabulary) -> dict[tuple[str, ...], frozenset[str]]:
    made: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for term in vocabulary.findings:
        for pattern in term.kinds:
            for phrase in expand(pattern, vocabulary.macros):
                made[lexicon.phrase_words(phrase)].add(term.id)
    return {words: frozenset(made[words]) for words in sorted(made)}


def _alone(lexicon: Lexicon, vocabulary: Vocabulary) -> dict[str, tuple[str, ...]]:
    macros = vocabulary.macros
    made: dict[str, set[str]] = defaultdict(set)
    for term in vocabulary.findings:
        for pattern in term.alone:
            for phrase in expand(pattern, macros):
                made[" ".join(lexicon.phrase_words(phrase))].add(term.id)
    return {words: tuple(sorted(made[words])) for words in sorted(made)}
