"""A text in the one form in which names are compared, and the way back to its own characters.

Case, accents, width and ligatures go; every apostrophe, hyphen and blank is the same one; what is
not seen (soft hyphens, zero-width characters) is left out.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_LETTERS = {"\u0131": "i", "\u0142": "l", "\u00f8": "o", "\u0111": "d", "\u00e6": "a",
            "\u00fe": "t", "\u00f0": "d", "\u0153": "o"}  # fmt: skip
"""Letters of their own that are written without their mark where a keyboard has none."""
_APOSTROPHES = frozenset("'`\u00b4\u2018\u2019\u201b\u02b9\u02bb\u02bc\u02bd\u02c8\u2032\uff07")
_HYPHENS = frozenset("-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d")
_JAMO = re.compile(r"[\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]+")
"""Letters of which a Hangul syllable is made, where a text holds them one by one."""


@dataclass(frozen=True, slots=True)
class NormalForm:
    """A text in normal form; `places` are start and end of what each of its characters was.

    Without `places` the form is as long as the text.
    """

    text: str
    places: tuple[tuple[int, int], ...] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Characters of the text behind [start, end) of the form; end is after start."""
        if self.places is None:
            return start, end
        return self.places[start][0], self.places[end - 1][1]


def normal_form(text: str) -> NormalForm:
    """The normal form of a text."""
    if text.isascii():
        return NormalForm(text.lower().replace("`", "'"))
    shown: list[str] = []
    places: list[tuple[int, int]] = []
    position = 0
    while position < len(text):
        jamo = _JAMO.match(text, position)
        end = jamo.end() if jamo else position + 1
        normal = fold_character(unicodedata.normalize("NFC", text[position:end]))
        if not normal and places and unicodedata.combining(text[position]):
            places[-1] = (places[-1][0], end)  # an accent goes with its letter
        shown.append(normal)
        places += [(position, end)] * len(normal)
        position = end
    return NormalForm("".join(shown), tuple(places))


def fold(text: str) -> str:
    """The text of the normal form."""
    return normal_form(text).text


@lru_cache(maxsize=8192)
def fold_character(character: str) -> str:
    """A character in normal form: none, one or several (a ligature)."""
    if character in _APOSTROPHES:
        return "'"
    if character in _HYPHENS:
        return "-"
    if character.isspace():
        return character if character in "\t\n\r" else " "
    wide = unicodedata.normalize("NFKC", character).casefold()
    letters = "".join(_LETTERS.get(letter, letter) for letter in wide)
    bare = unicodedata.normalize("NFD", letters)
    kept = "".join(one for one in bare if unicodedata.category(one) not in ("Mn", "Cf"))
    return unicodedata.normalize("NFC", kept)
