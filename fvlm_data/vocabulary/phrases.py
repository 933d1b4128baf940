"""The small language in which the vocabulary's phrases are written.

    small (bowel|intestine)     a choice; a choice may hold several words
    (urinary)? bladder wall     a group or word with ? may be left out
    {seen}                      a list that the file gives under `macros`

A phrase stands for a finite set of word sequences, so that all phrases of the vocabulary can be
looked up at once, whatever their number.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PIECE = re.compile(
    r"\(\s(?P<literal>[^\s()]+)\s\)|\((?P<choice>[^()]+)\)(?P<o1>\??)|(?P<word>\S+)"
)
_LITERAL = re.compile(r"\(\s[^\s()]+\s\)")
_NESTED = re.compile(r"\([^()]*\(")
_MACRO = re.compile(r"\{(\w+)\}")

MAX_EXPANSIONS = 4000
"""A phrase that stands for more is a slip of the pen and is refused."""


def expand(phrase: str, macros: Mapping[str, Sequence[str]] | None = None) -> tuple[str, ...]:
    """All word sequences that a phrase stands for, sorted, lower case, single blanks.

    Raises:
        ConfigError: a macro is unknown, or the phrase stands for nothing or for far too much.
    """
    text = _MACRO.sub(lambda found: _macro(found[1], phrase, macros or {}), phrase.lower())
    pieces = [_alternatives(found) for found in _PIECE.finditer(text)]
    if _NESTED.search(_LITERAL.sub("", text)):
        raise ConfigError(f"vocabulary: phrase {phrase!r} has a choice within a choice; split it")
    count = 1
    for piece in pieces:
        count *= len(piece)
    if count > MAX_EXPANSIONS:
        raise ConfigError(
            f"vocabulary: phrase {phrase!r} stands for {count} word sequences, at most "
            f"{MAX_EXPANSIONS} are meant; split it"
        )
    made = {" ".join(" ".join(words).split()) for words in itertools.product(*pieces)} - {""}
    if not made:
        raise ConfigError(f"vocabulary: phrase {phrase!r} is empty")
    return tuple(sorted(made))


def _macro(name: str, phrase: str, macros: Mapping[str, Sequence[str]]) -> str:
    if name not in macros:
        raise ConfigError(
            f"vocabulary: phrase {phrase!r} uses {{{name}}}; known are {', '.join(sorted(macros))}"
        )
    choices = [word for item in macros[name] for word in expand(item)]
    # Within a choice the list stands without brackets of its own.
    before = phrase.lower().split("{" + name + "}")[0]
    inside = before.count("(") > before.count(")")
    return "|".join(choices) if inside else "(" + "|".join(choices) + ")"


def _alternatives(found: re.Match[str]) -> list[str]:
    if found["literal"]:
        return [f"( {found['literal']} )"]
    if found["choice"] is not None:
        choices = [choice.strip() for choice in found["choice"].split("|")]
        choices = [made for choice in choices for made in _optional_words(choice)]
        return [*choices, ""] if found["o1"] else choices
    return _optional_words(found["word"])


def _optional_words(words: str) -> list[str]:
    options = [
        [word[:-1], ""] if word.endswith("?") and len(word) > 1 else [word]
        for word in words.split() or [""]
    ]
    return [" ".join(" ".join(made).split()) for made in itertools.product(*options)]
