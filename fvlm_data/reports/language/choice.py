"""In which of the configured languages a report is, before it is scrubbed and read.

As `foreign` tells the language of a sentence: by function words, those by which a language knows
itself (grammar.yaml, `languages.own`) and those by which others know it (`foreign`). Where these
do not tell ("Lebermetastasen."), the words of anatomies, findings and cues do.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from fvlm_data.hashing import content_key
from fvlm_data.reports.language.phrasebook import phrasebook
from fvlm_data.reports.language.tokens import OTHER_WORD
from fvlm_data.vocabulary.phrases import expand
from fvlm_data.vocabulary.wording import lowered

if TYPE_CHECKING:
    from fvlm_data.vocabulary import Vocabularies, Vocabulary

_WORD = re.compile(r"[^\W\d_]{2,}")
"""A single letter is a word of no language: it may be an answer, a segment, a unit."""


class LanguageChoice:
    """Tells the language of a report among those that are configured."""

    def __init__(self, vocabularies: Vocabularies) -> None:
        """Take the vocabularies; without further ones every report is of the store's own."""
        self._own = vocabularies.own.language
        self._vocabularies = {one.language: one for one in vocabularies.all}
        units = frozenset(
            unit
            for one in vocabularies.all
            for words in (*one.grammar.sizes.mm, *one.grammar.sizes.cm)
            for unit in expand(words)
        )
        telling: dict[str, set[str]] = {}
        for one in vocabularies.all:
            words = one.grammar.languages
            telling.setdefault(one.language, set()).update(map(lowered, words.own))
            for code, listed in words.foreign.items():
                telling.setdefault(code, set()).update(map(lowered, listed))
        self._telling = {code: frozenset(words - units) for code, words in telling.items()}

    @property
    def sha256(self) -> str:
        """Hash of all that a choice rests on."""
        telling = {code: sorted(words) for code, words in self._telling.items()}
        known = {code: one.sha256("reading") for code, one in self._vocabularies.items()}
        return content_key(self._own, telling, known)

    def of(self, text: str) -> str | None:
        """Code of the further language that most words of a text are of; none: the store's own.

        A word of several languages counts for each. Of languages of as many, that of which the
        vocabulary knows the most words has it, then the store's own. A text in a language that is
        not configured is the store's own, which refuses it.
        """
        if len(self._vocabularies) == 1:
            return None
        words = Counter(_WORD.findall(unicodedata.normalize("NFC", text)))
        told = Counter({code: _number(words, telling) for code, telling in self._telling.items()})
        most = max(told.values())
        first = [code for code in self._vocabularies if told[code] == most]
        if len(first) > 1:
            known = {code: _known(words, self._vocabularies[code]) for code in first}
            first.sort(key=lambda code: (-known[code], code != self._own, code))
        return first[0] if first and first[0] != self._own else None


def _number(words: Counter[str], telling: frozenset[str]) -> int:
    return sum(number for word, number in words.items() if lowered(word) in telling)


def _known(words: Counter[str], vocabulary: Vocabulary) -> int:
    """Words that the phrases of a vocabulary hold, in any form."""
    canonical = phrasebook(vocabulary).lexicon.canonical
    return sum(number for word, number in words.items() if canonical(word) != OTHER_WORD)


@lru_cache(maxsize=2)
def language_choice(vocabularies: Vocabularies) -> LanguageChoice:
    """The choice between vocabularies, made once."""
    return LanguageChoice(vocabularies)
