"""Words of one piece taken apart into those that the vocabulary holds ("Nierenrindenzyste").

German writes an organ and what it has as one word. A list of all such words would never end, so
a word that the vocabulary does not hold is cut where it makes words of anatomies and findings,
each with or without an ending (the joining letters of "Lunge-n-rundherd" are one).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_LONGEST = 40
_LETTERS = re.compile(r"(?:[^\W\d_][\u0300-\u036f]*)+")
_SHORTEST_TAIL = 5
"""Letters of the shortest known part that may end a word whose beginning is not known."""
_SHORTEST_FRONT = 3
"""Letters of the shortest beginning that need not be known."""


class Forms(Protocol):
    """Other forms of a word."""

    def folded(self, word: str) -> str:
        """The word as the vocabulary spells it."""

    def singulars(self, word: str) -> list[str]:
        """What a word may be an inflected form of."""


class Compounds:
    """Takes the words of a language apart."""

    def __init__(
        self,
        whole: AbstractSet[str],
        parts: AbstractSet[str],
        organs: AbstractSet[str],
        forms: Forms,
        shortest: int,
    ) -> None:
        """Take words as folded: `whole` are never cut, words are cut into `parts`.

        Of the parts those count that are not made of others, so that all are cut as finely.
        A word may also be a part behind what is not known ("Spannungspneumothorax"), or one of
        `organs` before it ("Leberoberfläche").
        """
        self._whole = whole
        self._forms = forms
        self._shortest = shortest
        self._parts: set[str] = set()
        for part in sorted(parts, key=lambda part: (len(part), part)):
            if len(part) >= shortest and not (part.isalpha() and len(self._known(part)) > 1):
                self._parts.add(part)
        self._organs = {tuple(map(self._stem, self._known(organ))) for organ in organs} - {()}
        self.pieces = lru_cache(maxsize=100_000)(self._pieces)

    def _pieces(self, word: str) -> tuple[str, ...]:
        """The parts of a word as they are written; the word itself where it has none."""
        long = 2 * self._shortest <= len(word) <= _LONGEST
        if not (long and _LETTERS.fullmatch(word)) or self._is(word, self._whole):
            return (word,)
        rest, first = self._rests(word), range(_SHORTEST_FRONT, len(word) - _SHORTEST_TAIL + 1)
        whole = rest[0]
        if whole:
            return whole
        # What ends it is known: the longest such end.
        ends = ((word[:cut], *end) for cut in first if (end := rest[cut]))
        return next(ends, None) or self._of_organ(word) or (word,)

    def _is(self, piece: str, among: AbstractSet[str]) -> bool:
        folded = self._forms.folded(piece)
        return folded in among or not among.isdisjoint(self._forms.singulars(folded))

    def _stem(self, piece: str) -> str:
        """The part that a piece of a word is a form of."""
        folded = self._forms.folded(piece)
        forms = (folded, *self._forms.singulars(folded))
        return next((form for form in forms if form in self._parts), folded)

    def _known(self, word: str) -> tuple[str, ...]:
        """The fewest parts that make a word, of equally few those with the longest first."""
        return self._rests(word)[0] or ()

    def _rests(self, word: str) -> list[tuple[str, ...] | None]:
        """The same for what begins at each letter of a word; none where no parts make it."""
        best: list[tuple[str, ...] | None] = [None] * len(word) + [()]
        for start in range(len(word) - self._shortest, -1, -1):
            for end in range(len(word), start + self._shortest - 1, -1):
                rest, known = best[end], best[start]
                if rest is None or (known is not None and len(rest) + 1 >= len(known)):
                    continue
                if self._is(word[start:end], self._parts):
                    best[start] = (word[start:end], *rest)
        return best

    def _of_organ(self, word: str) -> tuple[str, ...]:
        """An organ, and what of it is not known."""
        for cut in range(len(word) - self._shortest, self._shortest - 1, -1):
            front = self._known(word[:cut])
            if front and tuple(map(self._stem, front)) in self._organs:
                return (*front, word[cut:])
        return ()
