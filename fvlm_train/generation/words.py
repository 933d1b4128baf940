"""Texts as words, and back; the words that a decoder knows."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WORD = re.compile(r"\d+(?:\.\d+)?|\w+|[^\w\s]")
PAD, BEGIN, END, UNKNOWN = "<pad>", "<begin>", "<end>", "<unknown>"
MARKS = (PAD, BEGIN, END, UNKNOWN)


def words(text: str) -> list[str]:
    """Words, numbers and punctuation of a text in small letters."""
    return WORD.findall(text.lower())


def as_text(told: Sequence[str]) -> str:
    """A text of words: no blank before punctuation, a capital after a full stop."""
    joined = re.sub(r" ([.,;:!?)%])", r"\1", " ".join(told))
    joined = re.sub(r"([(]) ", r"\1", joined)
    joined = re.sub(r" ?([-/]) ?", r"\1", joined)
    return re.sub(r"(^|\. )(\w)", lambda found: found[1] + found[2].upper(), joined)


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Numbers of words; those that training texts have too rarely are one."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]], least: int = 2) -> Lexicon:
        """The words that texts have at least so often, most frequent first, then by letter."""
        counts = Counter(word for text in texts for word in text)
        kept = sorted((word for word, n in counts.items() if n >= least and word not in MARKS),
                      key=lambda word: (-counts[word], word))  # fmt: skip
        return cls((*MARKS, *kept))

    def numbers(self, told: Iterable[str]) -> list[int]:
        """Numbers of words."""
        place = {word: number for number, word in enumerate(self.words)}
        return [place.get(word, place[UNKNOWN]) for word in told]

    def told(self, numbers: Iterable[int]) -> list[str]:
        """Words of numbers, up to the end, marks left out."""
        found = []
        for number in numbers:
            word = self.words[number]
            if word == END:
                break
            if word not in MARKS:
                found.append(word)
        return found
