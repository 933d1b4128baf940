"""Words of a language that says with endings in a row what others say with small words.

Turkish "lobundaki" is lob-un-da-ki: "that in its lobe". The rows that there are come from a few
places, each with its endings (grammar.yaml, `spelling.suffixes`); a list of all forms of all words
would never end.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_APOSTROPHES = "'\u2019"
_SHORTEST_STEM = 3
"""Letters that a word keeps, unless an apostrophe parts it from its endings ("mm'dir")."""


class Suffixes:
    """Takes endings off a word."""

    def __init__(
        self, places: Sequence[Sequence[str]], softened: Mapping[str, str], vowels: Sequence[str]
    ) -> None:
        """Take endings as words of reports are folded: of each place one or none, in their order.

        `softened` are letters at the end of a stem before an ending that begins with one of
        `vowels`, with what they are without it (Turkish "plağı" is of "plak").
        """
        rows = itertools.product(*(("", *place) for place in places))
        self._rows = frozenset("".join(row) for row in rows) - {""}
        self._softened = dict(softened)
        self._vowels = tuple(vowels)
        self._longest = max(map(len, self._rows), default=0)

    def __bool__(self) -> bool:
        """Whether the language has any."""
        return bool(self._rows)

    def stems(self, word: str) -> list[str]:
        """What a word may be a form of, the longest first: the fewest endings taken off."""
        for mark in _APOSTROPHES:
            stem, marked, ending = word.partition(mark)
            if marked and stem and ending in self._rows:
                return [stem]
        made: list[str] = []
        for cut in range(len(word) - 1, max(_SHORTEST_STEM, len(word) - self._longest) - 1, -1):
            if word[cut:] not in self._rows:
                continue
            made.append(word[:cut])
            hard = self._softened.get(word[cut - 1])
            if hard is not None and word.startswith(self._vowels, cut):
                made.append(word[: cut - 1] + hard)
        return made
