"""In which of the configured languages a report is, before it is scrubbed and read.

As `foreign` tells the language of a sentence: by function words, those by which a language knows
itself (grammar.yaml, `languages.own`) and those by which the others know it (`foreign`).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from fvlm_data.hashing import content_key
from fvlm_data.vocabulary.wording import lowered

if TYPE_CHECKING:
    from fvlm_data.vocabulary import Vocabularies

_WORD = re.compile(r"[^\W\d_]+")


class LanguageChoice:
    """Tells the language of a report among those that are configured."""

    def __init__(self, vocabularies: Vocabularies) -> None:
        """Take the vocabularies; without further ones every report is of the store's own."""
        told = [one.grammar.languages for one in vocabularies.all]
        self._own = vocabularies.own.language
        self._words = {
            one.language: frozenset(
                map(
                    lowered,
                    (
                        *one.grammar.languages.own,
                        *(word for other in told for word in other.foreign.get(one.language, ())),
                    ),
                )
            )
            for one in vocabularies.all
        }

    @property
    def sha256(self) -> str:
        """Hash of all that a choice rests on."""
        return content_key(self._own, {code: sorted(w) for code, w in self._words.items()})

    def of(self, text: str) -> str | None:
        """Code of the further language that most words of a text are of; none: the store's own.

        A word of several languages counts for each; of equals the store's own comes first, then
        the first by its code. What is in none of them is the store's own: it is refused there.
        """
        if len(self._words) == 1:
            return None
        words = _WORD.findall(unicodedata.normalize("NFC", text))
        counts = Counter(map(lowered, words))
        told = {
            code: sum(number for word, number in counts.items() if word in known)
            for code, known in self._words.items()
        }
        best = min(told, key=lambda code: (-told[code], code != self._own, code))
        return None if best == self._own else best


@lru_cache(maxsize=2)
def language_choice(vocabularies: Vocabularies) -> LanguageChoice:
    """The choice between vocabularies, made once."""
    return LanguageChoice(vocabularies)
