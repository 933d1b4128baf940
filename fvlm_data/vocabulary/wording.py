"""Phrases of a vocabulary as regular expressions, where a text is searched as it stands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fvlm_data.vocabulary.phrases import expand

if TYPE_CHECKING:
    from collections.abc import Iterable

_MORE = " ..."


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
