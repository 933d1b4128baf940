"""Anatomy texts as the text encoder sees them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?])\s+")
_SIDES = re.compile(r"\b(left|right)\b", re.IGNORECASE)


def normal_sentence(anatomy: str, template: str) -> str:
    """The sentence of a normal anatomy, its id's underscores read as blanks."""
    return template.format(anatomy=anatomy.replace("_", " "))


def encoder_text(text: str, anatomy: str, template: str) -> str:
    """What goes to BERT: a normal text that says more loses every copy of the template.

    The bare template stays, and stands for an empty text (public code's behaviour).
    """
    sentence = normal_sentence(anatomy, template)
    text = text.strip()
    if not text.lower().startswith(sentence.lower()):
        return text or sentence
    rest = re.sub(re.escape(sentence), "", text, flags=re.IGNORECASE)
    return re.sub(r"\s+", " ", rest).strip() or sentence


def permuted(text: str, order: Callable[[int], Sequence[int]]) -> str:
    """`text` with its sentences in the order of their numbers that `order` gives for so many."""
    sentences = _BETWEEN_SENTENCES.split(text)
    return " ".join(sentences[number] for number in order(len(sentences)))


def mirrored(text: str) -> str:
    """`text` with left and right exchanged, letter case kept."""

    def other_side(match: re.Match[str]) -> str:
        word = match.group(0)
        swapped = "right" if word.lower() == "left" else "left"
        if word.isupper():
            return swapped.upper()
        return swapped.capitalize() if word[0].isupper() else swapped

    return _SIDES.sub(other_side, text)
