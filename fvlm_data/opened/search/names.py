"""What findings are called: the words of a query looked up in the vocabulary."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING

from fvlm_data.reports.language.tokens import OTHER_MARK, OTHER_WORD, Lexicon
from fvlm_data.vocabulary.phrases import expand

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fvlm_data.vocabulary import Vocabulary

CUTOFF = 0.6


class Names:
    """Findings by what they are called; plurals and British spelling are found too."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Use `names_of`, which keeps them."""
        self._ids = {one.id.replace("_", " "): one.id for one in vocabulary.findings}
        alone = _phrases(vocabulary, "synonyms")
        at_sites = _phrases(vocabulary, "observations", "alone")
        sites = {one.id: tuple(_expanded(one.phrases)) for one in vocabulary.anatomies}
        told = (*self._ids, *alone, *at_sites, *(p for some in sites.values() for p in some))
        self._lexicon = Lexicon(told, (), vocabulary.grammar.spelling)
        self._alone = self._by_words(alone)
        self._at_sites = self._by_words(at_sites)
        self._sites = self._by_words({p: {one} for one, some in sites.items() for p in some})
        self._anatomies = {
            one.id: {place.partition(".")[0] for place in (one.anatomy, *one.sites)}
            for one in vocabulary.findings
        }
        self._near = sorted({*self._ids, *alone, *at_sites})

    def of_id(self, words: str) -> str | None:
        """The finding whose id these words are."""
        return self._ids.get(words)

    def findings(self, words: str) -> tuple[str, ...]:
        """Ids of the findings that the words name, sorted; several where they do not tell which.

        An observation (cyst) names those of all organs, with an organ before it that organ's.
        """
        words = words.replace("_", " ")  # ids, as tables and pages show them
        if words in self._ids:
            return (self._ids[words],)
        key = self._lexicon.words(words)
        if not key or OTHER_WORD in key or OTHER_MARK in key:
            return ()
        found = self._alone.get(key) or self._at_sites.get(key)
        if found:
            return tuple(sorted(found))
        return tuple(sorted(self._of_site(key)))

    def nearest(self, words: str) -> str | None:
        """A known name that is written like these words."""
        near = get_close_matches(words, self._ids, n=1, cutoff=CUTOFF)
        near = near or get_close_matches(words, self._near, n=1, cutoff=CUTOFF)
        return near[0] if near else None

    def _of_site(self, key: tuple[str, ...]) -> set[str]:
        """Findings of an anatomy's words followed by an observation's."""
        for cut in range(1, len(key)):
            here = self._sites.get(key[:cut], set())
            seen = self._at_sites.get(key[cut:], set())
            both = {one for one in seen if self._anatomies[one] & here}
            if both:
                return both
        return set()

    def _by_words(self, named: Mapping[str, Iterable[str]]) -> dict[tuple[str, ...], set[str]]:
        made: dict[tuple[str, ...], set[str]] = {}
        for phrase, ids in named.items():
            made.setdefault(self._lexicon.words(phrase), set()).update(ids)
        return made


@lru_cache(maxsize=4)
def names_of(vocabulary: Vocabulary) -> Names:
    """The names of a vocabulary's findings."""
    return Names(vocabulary)


def _phrases(vocabulary: Vocabulary, *fields: str) -> dict[str, set[str]]:
    made: dict[str, set[str]] = {}
    for one in vocabulary.findings:
        for field in fields:
            for phrase in _expanded(getattr(one, field), vocabulary.macros):
                made.setdefault(phrase, set()).add(one.id)
    return made


def _expanded(
    phrases: Iterable[str], macros: Mapping[str, tuple[str, ...]] | None = None
) -> Iterable[str]:
    return (one for phrase in phrases for one in expand(phrase, macros))
