"""Names of who read, wrote, signed or ordered, by the words around them, in any case and order.

"Dictated by: NAME", "signed on DATE by NAME", "Attending: NAME" (the name on the next line too),
"NAME, MD", "NAME, Radiologist", and a name that alone ends a report.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from fvlm_data.vocabulary import Vocabulary
    from fvlm_data.vocabulary.text_entries import IdentityWords

CAPITAL = (
    "[A-Z\u00c0-\u00d6\u00d8-\u00de\u0100-\u1fff\u3040-\ud7ff\uf900-\ufdff\U00010000-\U0003ffff]"
)
"""A letter that may begin a name; of other scripts any."""
_INNER = "[\\w'\u2019\u2018`\u00b4\u2010\u2011-]"
_LETTERS = re.compile(r"[^\W\d_]+")
_LONGER = re.compile(r"[^\W\d_]{2,}")
_BLANKS = r"[ \t]*"
_LINE = rf"{_BLANKS}(?:\r?\n[ \t]*){{0,2}}"
_JOIN = r"(?:,[ \t]?|\^|[ \t]{1,2})"
_DATE = r"[\d/.,:()[\] \t-]"
_OPENS = re.compile(r"(?:^|\n)[ \t*_]*(?:[^\W\d_]+[ \t]+)?$")
_FOOT = re.compile(r"(?:^|[\n/|;,]|\d)[ \t]*$")
"""What stands before the letters by which the foot of a report tells who wrote it."""
_ENDS = re.compile(r"\)?[ \t.]*(?:\r?\n|$)")
_BEFORE, _LAST = 80, 80
"""Characters that are looked at before a cue, and at a report's end."""
_END = rf"(?={_BLANKS}[.*_]*{_BLANKS}(?:\r?\n|$))"


@dataclass(frozen=True, slots=True)
class _Names:
    """Expressions for what may be a name: in any case, in capitals, without titles, in none."""

    any_case: str
    capitals: str
    bare: str
    lower: str
    stop: str


@dataclass(frozen=True, slots=True)
class _Patterns:
    """What is looked for at each place of a cue, which is found first: that takes no time.

    `by_first` are words in lower case with their kind, by their first letters. `after` match behind
    a cue of a kind, `opening` too where it opens a line; `before` end at a cue and the name before.
    """

    by_first: dict[str, list[tuple[str, str]]]
    after: dict[str, tuple[re.Pattern[str], ...]]
    opening: dict[str, tuple[re.Pattern[str], ...]]
    before: dict[str, tuple[re.Pattern[str], ...]]
    credentials: re.Pattern[str]
    last: re.Pattern[str]


def signed_names(
    text: str, vocabulary: Vocabulary, is_plain: Callable[[str], bool]
) -> Iterator[tuple[int, int]]:
    """Start and end of the names; `is_plain` says which words are those of a report."""
    patterns = _patterns(vocabulary)
    names = frozenset(vocabulary.identities.names_that_are_words)
    for kind, start, end in _cues(text, patterns):
        for found in _around(text, patterns, kind, start, end):
            group = found.lastgroup or "name"
            low, high = found.span(group)
            one_line = "\n" not in text[end:low]
            named = group == "colon" and one_line and not found[group].islower()
            words = _LONGER.findall(found[group])
            if words and (named or not all(map(is_plain, words)) or _signs(words, group, names)):
                yield low, high
    ending = patterns.last.search(text, max(0, len(text) - _LAST))
    if ending and not any(map(is_plain, _LONGER.findall(ending["name"]))):
        yield ending.span("name")


def _signs(words: Iterable[str], group: str, names: frozenset[str]) -> bool:
    """Whether plain words are a name: behind "signed by" or before a degree, one that is known."""
    others = ("colon", "opening", "line", "told", "lower", "letter")
    return group not in others and any(word.lower() in names for word in words)


def _cues(text: str, patterns: _Patterns) -> Iterator[tuple[str, int, int]]:
    """Kind, start and end of each cue that is a word of the text, the longer of two at one end."""
    lowered = text.lower()
    if len(lowered) != len(text):  # of a few letters the small one is two
        lowered = "".join(one.lower()[:1] for one in text)
    longest: dict[tuple[int, str], int] = {}
    # A cue stands only where its first letters are all those of a word: most are not in a text.
    written = {"", *_LETTERS.findall(lowered)}
    for cue, kind in (
        one for first in patterns.by_first.keys() & written for one in patterns.by_first[first]
    ):
        start = lowered.find(cue)
        while start >= 0:
            end = start + len(cue)
            inside = text[start - 1 : start].isalnum() or text[end : end + 1].isalpha()
            if not inside or not cue[0].isalnum():
                longest[end, kind] = min(start, longest.get((end, kind), start))
            start = lowered.find(cue, end)
    for (end, kind), start in sorted(longest.items()):
        yield kind, start, end


def _around(
    text: str, patterns: _Patterns, kind: str, start: int, end: int
) -> Iterator[re.Match[str]]:
    """What matches behind a cue, and before it."""
    behind = patterns.after.get(kind, ())
    if kind in patterns.opening and _OPENS.search(text, max(0, start - _BEFORE), start):
        behind += patterns.opening[kind]
    if kind == "letter" and not _FOOT.search(text, max(0, start - _BEFORE), start):
        return
    yield from filter(None, (pattern.match(text, end) for pattern in behind))
    if kind == "role" and not _ENDS.match(text, end):
        return
    if kind == "credential" and not patterns.credentials.match(text, start):
        return
    for pattern in patterns.before.get(kind, ()):
        found = pattern.search(text, max(0, start - _BEFORE), start)
        if found:
            yield found


@lru_cache(maxsize=4)
def _patterns(vocabulary: Vocabulary) -> _Patterns:
    words = vocabulary.identities
    signs = words.signatures
    names = _names(words)
    by = rf"[^\n;]{{0,48}}?\b(?i:{_any(signs.by)})\b"
    between = rf"(?:(?i:{_any(signs.between)})\b|{_DATE}){{0,40}}?"
    colon = rf"{between}[:=]{_LINE}(?P<colon>{names.any_case})"
    done_by = rf"{by}(?:{_BLANKS}[\u2013-]{_BLANKS}|{_LINE})(?P<by>{names.capitals})"
    alone = rf"{between}(?:{_BLANKS}[,\u2013-]{_LINE}|{_LINE})(?P<opening>{names.capitals}){_END}"
    line = rf"{by.replace(';', ';.')}{_LINE}(?P<line>{names.any_case}){_END}"
    by_or_colon = (rf"(?:{by})?{colon}", done_by)
    after = {
        "deed": by_or_colon,
        "work": (by + colon, done_by),
        "role": (colon,),
        "told": (rf"[ \t]+(?P<told>{names.capitals})",),
        "title": (rf"\.?[ \t]+(?P<lower>{names.lower})",),
    }
    after["letter"] = (rf"[ \t]*(?P<letter>{names.capitals})(?={_BLANKS}(?:[/|;,\n\d]|$))",)
    opening = {"deed": (alone, line), "work": (line,), "role": (alone,)}
    before = {
        "credential": (rf"(?<![\w.])(?P<name>{names.bare}),?[ \t]*\(?$",),
        "role": (rf"(?<![\w.])(?P<name>{names.bare})[ \t]*[,(\u2013-][ \t]*$",),
    }
    capital = rf"{names.stop}{CAPITAL}[^\W\d_]{{2,}}"
    return _Patterns(
        _by_first_letters(_kinds(words)),
        _compiled(after),
        _compiled(opening),
        _compiled(before),
        re.compile(rf"{_any(signs.credentials, plain=False)}(?!\w)"),
        re.compile(
            rf"(?:^|(?<=\n)|(?<=\. )){_BLANKS}(?P<name>{capital}(?:{_JOIN}{capital}){{1,2}})"
            rf"{_BLANKS}\.?\s*$"
        ),
    )


def _compiled(of: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[re.Pattern[str], ...]]:
    return {kind: tuple(map(re.compile, patterns)) for kind, patterns in of.items()}


def _kinds(words: IdentityWords) -> tuple[tuple[str, str], ...]:
    signs = words.signatures
    kinds = {
        "deed": signs.deeds,
        "work": signs.works,
        "role": signs.roles,
        "letter": tuple(f"{letter}:" for letter in signs.letters),
        "told": signs.told,
        "title": words.titles_before_lower_case,
        "credential": signs.credentials,
    }
    return tuple(sorted({(one.lower(), kind) for kind, of in kinds.items() for one in of}))


def _by_first_letters(cues: Iterable[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    made: dict[str, list[tuple[str, str]]] = {}
    for cue, kind in cues:
        first = _LETTERS.match(cue)
        made.setdefault(first[0] if first else "", []).append((cue, kind))
    return made


def _names(words: IdentityWords) -> _Names:
    signs = words.signatures
    titles = (*words.titles, *words.further_titles)
    deeds = (*signs.deeds, *signs.works, *signs.told)
    none = _any((*signs.no_names, *words.no_names, *signs.roles, *deeds, *titles))
    credentials = _any(signs.credentials, plain=False)
    stop = rf"(?!(?i:{none})(?![\w'\u2019-])|{credentials}(?!\w))"
    titled = rf"(?:(?i:{_any((*titles, *signs.roles))})(?!\w)\.?:?[ \t]+){{0,4}}"
    initials = rf"{CAPITAL}\.(?:[ ]?{CAPITAL}\.)?"
    in_any_case = rf"(?:[^\W\d_]\.|{initials}|{stop}[^\W\d_]{_INNER}*)"
    in_capitals = rf"(?:{initials}|{stop}{CAPITAL}{_INNER}+)"
    more = rf"(?:{_JOIN}(?:{in_capitals}|{CAPITAL}\b\.?)){{0,3}}"
    return _Names(
        any_case=rf"{titled}{in_any_case}(?:{_JOIN}{in_any_case}){{0,3}}(?![\w:])",
        capitals=rf"{titled}{in_capitals}{more}(?![\w:])",
        bare=in_capitals + more,
        stop=stop,
        lower=rf"{stop}(?!{CAPITAL})[^\W\d_]{{3}}{_INNER}*",
    )


def _any(words: Iterable[str], *, plain: bool = True) -> str:
    """Any of the words, the longest first; a blank of theirs is any."""
    listed = sorted({re.escape(word) for word in words}, key=lambda one: (-len(one), one))
    joined = "|".join(listed) or r"(?!)"
    return joined.replace(r"\ ", r"[ \t]+") if plain else f"(?:{joined})"
