"""Phrases of a vocabulary as regular expressions, where a text is searched as it stands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fvlm_data.vocabulary.phrases import expand

if TYPE_CHECKING:
    from collections.abc import Iterable

_MORE = " ..."
_DOTLESS, _DOTTED_CAPITAL = "\u0131", "\u0130"


def lowered(text: str) -> str:
    """A text in lower case, as long as it is: what re.IGNORECASE takes for equal is equal.

    Turkish has two letters i, and either case of both (i, \u0131, I, \u0130) is one letter here. To
    lower() the dotted capital is two characters, and the capital of the dotless i is a dotted one.
    """
    if text.isascii():
        return text.lower()
    return text.replace(_DOTTED_CAPITAL, "i").lower().replace(_DOTLESS, "i")


def wording(phrases: Iterable[str], blank: str = " ") -> str:
    r"""An expression for any of the phrases, the longest first; for use with re.IGNORECASE.

    `blank` stands between words. A phrase ends at the end of a word; with `*` the last word may go
    on; with ` ...` another word must follow.
    """
    made: list[tuple[int, str]] = []
    for phrase in phrases:
        words, ending = phrase, r"\b"
        if phrase.endswith(_MORE):
            words, ending = phrase.removesuffix(_MORE), blank
        elif phrase.endswith("*"):
            words, ending = phrase.removesuffix("*"), ""
        for one in expand(words):
            text = blank.join(map(re.escape, one.split()))
            made.append((len(one), text + ending))
    # longest first: an alternation takes the first match, not the longest
    ordered = sorted(set(made), key=lambda pair: (-pair[0], pair[1]))
    return "|".join(text for _, text in ordered) or r"(?!)"
