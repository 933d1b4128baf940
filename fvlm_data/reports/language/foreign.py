"""Sentences of another language than the vocabulary's: they are not read.

"Kein Pneumothorax" holds a word that the vocabulary knows and a denial that it does not. What tells
a language is its function words, of which even short sentences have some (grammar.yaml); a detector
by n-grams of letters takes "No pneumothorax" for Latin.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from fvlm_data.vocabulary.wording import lowered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.vocabulary import Vocabulary

_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("zh", re.compile(r"[\u3400-\u9fff]")),
    ("ko", re.compile(r"[\u1100-\u11ff\uac00-\ud7af]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("el", re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
)
"""Languages by their script, the commonest of each; kana tells Japanese, which has Chinese too."""
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Languages:
    """Words that tell a language from others."""

    own: frozenset[str]
    foreign: dict[str, tuple[str, ...]]
    """Word -> codes of the languages that it stands in."""
    weak: frozenset[str]
    told: frozenset[str]
    """All words of other languages."""

    def other_than_own(self, text: str, words: Sequence[str]) -> str | None:
        """Code of the language that a sentence is in, none where it is the vocabulary's.

        The one with the most words of its own; of equals the first by its code. `words` are those
        of the text as it stands.
        """
        if not text.isascii():
            script = _script(text)
            if script is not None:
                return script
        words = list(map(str.lower if text.isascii() else lowered, words))
        if self.told.isdisjoint(words):
            return None
        strong = [word for word in words if word in self.foreign]
        weak = sum(word in self.weak for word in words)
        if not strong and weak < 2:
            return None
        own = sum(word in self.own for word in words)
        if not strong:
            return None if own else _UNKNOWN
        if len(strong) + weak <= own:
            return None
        counts = Counter(code for word in strong for code in self.foreign[word])
        return min(counts, key=lambda code: (-counts[code], code))


_UNKNOWN = "und"
"""Code of a language that cannot be told (ISO 639-2)."""


def _script(text: str) -> str | None:
    """Language of a text most letters of which are of another script."""
    letters = len(_LETTER.findall(text))
    for code, script in _SCRIPTS:
        found = len(script.findall(text))
        if found and (2 * found > letters or (code == "ja" and 2 * found > letters // 2)):
            return code
    return None


@lru_cache(maxsize=4)
def languages(vocabulary: Vocabulary) -> Languages:
    """What tells the language of a vocabulary from others, made once."""
    words = vocabulary.grammar.languages
    foreign: dict[str, tuple[str, ...]] = {}
    for code, listed in sorted(words.foreign.items()):
        for word in map(lowered, listed):
            foreign[word] = (*foreign.get(word, ()), code)
    weak, own = frozenset(map(lowered, words.weak)), frozenset(map(lowered, words.own))
    return Languages(own, foreign, weak, weak | foreign.keys())
