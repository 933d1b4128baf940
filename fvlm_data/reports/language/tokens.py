"""Tokens: words of a sentence in the vocabulary's own spelling, and their place in the text.

Only words that the vocabulary uses reach spaCy; every other word is the same placeholder. So
nothing of a report can remain in spaCy's string store, whose size stays what the vocabulary
makes it, however many reports are read.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

OTHER_WORD = "_"
OTHER_MARK = "."
NUMBER = "0"

_TOKEN = re.compile(
    # "nondilated" is two words, as "non-dilated" is.
    r"\d+(?:[.,]\d+)*|[Nn][Oo][Nn](?=[^\W\d_]{5})(?![Ee]the|ETHE)"
    r"|[^\W\d_]+(?:['\u2019][^\W\d_]+)?\d*|[^\w\s\u2010\u2011-]|_"
    # A hyphen within a word is passed over: a letter or digit stands on either side.
    r"|[\u2010\u2011-](?:(?<![^\W_].)|(?![^\W_]))",
    re.UNICODE,
)
_SPAN = re.Match.span
_BRITISH = (("oe", "e"), ("ae", "e"), ("isation", "ization"), ("ised", "ized"), ("yse", "yze"))
_LONGEST_WORD = 40
_SHORTEST_MISSPELT = 7
_SAFE_PREFIX = 3
_REAL_WORDS = frozenset({
    "contract", "contracted", "charges", "prevent", "prevents", "dilution", "rejected",
    "respected", "literal", "displayed",
    "internal", "thinking", "confusion", "inflated", "inflation", "imagine", "charged", "fraction",
    "slicing", "relaxed", "multiply", "alternation", "regional", "mediation", "operating",
})  # fmt: skip
"""Words of other meaning one letter away from a word of the vocabulary."""


Spans = list[tuple[int, int]]
"""Start and end of each token of a text, in characters."""


def split(text: str) -> list[str]:
    """Words of a text as they stand; a hyphen within a word (ground-glass) is no token."""
    return _TOKEN.findall(text)


def token_spans(text: str) -> Spans:
    """Where the words of `split` stand."""
    return list(map(_SPAN, _TOKEN.finditer(text)))


def _plain(word: str) -> str:
    return word.lower().replace("\u2019", "'")


class Lexicon:
    """The words of all phrases, and the way from a word of a report to one of them."""

    def __init__(self, phrases: Iterable[str], medical: Iterable[str] = ()) -> None:
        """Take the words of the given phrases, which name no macro.

        Misspelt words of the `medical` phrases, a part of them, are mended.
        """
        raw = {_plain(word) for phrase in phrases for word in split(phrase)}
        self._raw = frozenset(word for word in raw if not word[0].isdigit())
        known = {_plain(word) for phrase in medical for word in split(phrase)}
        self._near = _deletions(known)
        self.canonical = lru_cache(maxsize=100_000)(self._canonical)

    def words(self, text: str) -> tuple[str, ...]:
        """Canonical words of a text."""
        return tuple(map(self.canonical, split(text)))

    def _canonical(self, word: str) -> str:
        word = _plain(word)
        if word[0].isdigit():
            return NUMBER
        if not word[0].isalpha():
            return word if word in self._raw else OTHER_MARK
        if len(word) > _LONGEST_WORD:
            return OTHER_WORD
        if word.endswith("'s"):
            word = word if word in self._raw else word[:-2]
        for spelling in _spellings(word):
            for form in (*_singulars(spelling), spelling):
                if form in self._raw:
                    return form
        return self._corrected(word)

    def _corrected(self, word: str) -> str:
        """The one word of the vocabulary that a long word misspells by one letter."""
        if word in _REAL_WORDS:
            return OTHER_WORD
        for form in (word, *_singulars(word)):
            if len(form) < _SHORTEST_MISSPELT:
                continue
            near = {
                known
                for shorter in (form, *_shortened(form))
                for known in self._near.get(shorter, ())
                if _is_misspelling(form, known)
            }
            # Forms of one word (atelectasis, atelectases) may both be near, other words not.
            if near and len({known[: len(form) - 3] for known in near}) == 1:
                return min(near)
        return OTHER_WORD


def _deletions(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Each long word under itself and under what it is with one letter left out."""
    made: dict[str, set[str]] = {}
    for word in words:
        if len(word) >= _SHORTEST_MISSPELT and word.isalpha():
            for key in (word, *_shortened(word)):
                made.setdefault(key, set()).add(word)
    return {key: tuple(sorted(made[key])) for key in sorted(made)}


def _shortened(word: str) -> set[str]:
    return {word[:i] + word[i + 1 :] for i in range(1, len(word))}


def _is_misspelling(word: str, known: str) -> bool:
    """One letter wrong past the prefix, a doubled letter missed or made, or two swapped.

    Prefixes tell words apart (intrarenal, infrarenal), so other slips there are not mended.
    """
    if word[-1] != known[-1]:
        return word[-2:] == known[-2:][::-1] and word[:-2] == known[:-2]
    first = next((i for i, (a, b) in enumerate(zip(word, known, strict=False)) if a != b), None)
    if first is None:
        return len(word) != len(known)
    if len(word) == len(known):
        swapped = (
            word[first : first + 2] == known[first : first + 2][::-1]
            and word[first + 2 :] == known[first + 2 :]
        )
        return swapped or (first >= _SAFE_PREFIX and word[first + 1 :] == known[first + 1 :])
    longer, shorter = (word, known) if len(word) > len(known) else (known, word)
    one_more = longer[first + 1 :] == shorter[first:]
    return one_more and (first >= _SAFE_PREFIX or longer[first] == longer[first - 1])


def _spellings(word: str) -> list[str]:
    """The word, and what it is in American spelling."""
    american = word
    for british, plain in _BRITISH:
        american = american.replace(british, plain)
    if len(american) > 5:
        american = american.replace("our", "or")
        if american.endswith("re"):
            american = american[:-2] + "er"
    return [word] if american == word else [word, american]


def _singulars(word: str) -> list[str]:
    if len(word) < 4 or not word.endswith("s") or word.endswith("ss"):
        return []
    forms = [word[:-1]]
    if word.endswith("es"):
        forms.append(word[:-2])
    if word.endswith("ies"):
        forms.append(word[:-3] + "y")
    return forms
