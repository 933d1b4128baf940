"""Names of who read, wrote, signed or ordered, by the words around them, in any case and order.

"Dictated by: NAME", "signed on DATE by NAME", "Attending: NAME" (the name on the next line too),
"NAME, MD", "NAME, Radiologist".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fvlm_data.vocabulary import Vocabulary

CAPITAL = "[A-Z\u00c0-\u00d6\u00d8-\u00de\u0100-\U0003ffff]"
"""A letter that may begin a name; of other scripts any."""
_INNER = "[\\w'\u2019\u2018`\u00b4\u2010\u2011-]"
_INITIALS = rf"{CAPITAL}\.(?:[ ]?{CAPITAL}\.)?"
_LONGER = re.compile(r"[^\W\d_]{2,}")
_BLANKS = r"[ \t]*"
_LINE = rf"{_BLANKS}(?:\r?\n[ \t]*){{0,2}}"


@dataclass(frozen=True, slots=True)
class _Patterns:
    """What is looked for, each only where a text holds one of its words (in lower case)."""

    cued: re.Pattern[str]
    cues: tuple[str, ...]
    followed: re.Pattern[str]
    followers: tuple[str, ...]


def signed_names(
    text: str, vocabulary: Vocabulary, is_plain: Callable[[str], bool]
) -> Iterator[tuple[int, int]]:
    """Start and end of the names; `is_plain` says which words are those of a report."""
    patterns = _patterns(vocabulary)
    lowered = text.lower()
    if any(cue in lowered for cue in patterns.cues):
        for found in patterns.cued.finditer(text):
            group = found.lastgroup or "colon"
            start, end = found.span(group)
            across = "\n" in text[found.start() : start]
            words = _LONGER.findall(found[group])
            named = group == "colon" and not across and not found[group].islower()
            if named or not all(map(is_plain, words)):
                yield start, end
    if any(follower in lowered for follower in patterns.followers):
        for found in patterns.followed.finditer(text):
            words = _LONGER.findall(found["name"])
            if words and not all(map(is_plain, words)):
                yield found.span("name")


@lru_cache(maxsize=4)
def _patterns(vocabulary: Vocabulary) -> _Patterns:
    words = vocabulary.identities
    signs = words.signatures
    deeds, roles, by = map(_any, (signs.deeds, signs.roles, signs.by))
    done_by = _any((*signs.deeds, *signs.works))
    credentials = _any(signs.credentials, plain=False)
    titles = _any((*words.titles, *words.further_titles))
    none = _any((*signs.no_names, *words.no_names, *signs.roles, *signs.deeds, *signs.works))
    stop = rf"(?!(?i:{none}|{titles})(?![\w'\u2019-])|{credentials}(?!\w))"
    titled = rf"(?:(?i:{titles})\.?[ \t]+){{0,3}}"
    any_word = rf"(?:{_INITIALS}|{stop}[^\W\d_]{_INNER}*)"
    capital_word = rf"(?:{_INITIALS}|{stop}{CAPITAL}{_INNER}+)"
    join = r"(?:,[ \t]?|[ \t]{1,2})"
    in_any_case = rf"{titled}{any_word}(?:{join}{any_word}){{0,3}}(?![\w:])"
    in_capitals = rf"{titled}{capital_word}(?:{join}(?:{capital_word}|{CAPITAL}\b\.?)){{0,3}}(?![\w:])"
    deed_by = rf"(?i:\b(?:{done_by})\b[^\n:;]{{0,48}}?\b(?:{by})\b)"
    done = rf"(?:{deed_by}|(?i:\b(?:{deeds})\b|(?<!\d )\b(?:{roles})\b))"
    begun = rf"(?:^|(?<=\n)){_BLANKS}"
    cued = (
        rf"{done}{_BLANKS}(?:\([^)\n]{{0,20}}\){_BLANKS})?[:=]{_LINE}(?P<colon>{in_any_case})"
        rf"|(?:{deed_by}|{begun}(?i:\b(?:{deeds}|{roles})\b)){_LINE}(?P<capitals>{in_capitals})"
        rf"|{begun}{deed_by}{_LINE}(?P<line>{in_any_case})(?=[ \t.]*(?:\r?\n|$))"
    )
    named = rf"{capital_word}(?:{join}(?:{capital_word}|{CAPITAL}\b\.?)){{0,3}}"
    followed = (
        rf"(?<![\w.])(?P<name>{named})(?:,?[ \t]*\(?{credentials}(?!\w)"
        rf"|[ \t]*[,(\u2013-][ \t]*(?i:{roles})\b\)?[ \t.]*(?=\r?\n|$))"
    )
    return _Patterns(
        re.compile(cued),
        tuple(one.lower() for one in (*signs.deeds, *signs.works, *signs.roles)),
        re.compile(followed),
        tuple(one.lower() for one in (*signs.credentials, *signs.roles)),
    )


def _any(words: Iterable[str], *, plain: bool = True) -> str:
    """Any of the words, the longest first; a blank of theirs is any."""
    listed = sorted({re.escape(word) for word in words}, key=lambda one: (-len(one), one))
    joined = "|".join(listed) or r"(?!)"
    return joined.replace(r"\ ", r"[ \t]+") if plain else f"(?:{joined})"
