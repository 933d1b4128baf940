"""Names of the patient with one letter wrong: dropped, added, changed, or two exchanged.

Only long names, and only words that neither a report nor medicine uses ("Fleischner" is no misspelt
Fleischer). Such a word is a name where a text shows that it stands as one; else it is doubtful.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING

from fvlm_data.identity.readings import reread
from fvlm_data.reports.scrubbing.normal_form import fold
from fvlm_data.reports.scrubbing.standing import is_plain_word, stands_alone_as_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fvlm_data.reports.scrubbing.normal_form import NormalForm
    from fvlm_data.vocabulary import Vocabulary

SHORTEST = 6
"""Letters of a name that is looked for with a fault: a shorter one is too near to plain words."""
_WORD = re.compile(rf"[^\W\d_]{{{SHORTEST - 1},}}")
_LETTERS = re.compile(r"[^\W\d_]+")
_OPENS = re.compile(r"(?:^|[.:;!?*\u2022\n-])\s*$")


def misspelt_places(
    text: str, normal: NormalForm, identities: Iterable[str], vocabulary: Vocabulary
) -> Iterator[tuple[int, int, bool]]:
    """Start and end, in the text, of what may be a misspelt name; whether that is doubtful."""
    names = {name for one in identities for name in _names(one, vocabulary)}
    if not names:
        return
    words: dict[str, set[str]] = defaultdict(set)
    for word in set(_WORD.findall(normal.text)):
        words[word[0]].add(word)
    meant = {
        word
        for name in names
        for word in words[name[0]]
        if one_letter_apart(word, name) and not _has_a_meaning(word, vocabulary)
    }
    for word in sorted(meant):
        for found in re.finditer(rf"(?<![^\W\d_]){word}(?![^\W\d_])", normal.text):
            start, end = normal.span(*found.span())
            yield start, end, not _is_name(text, start, end, vocabulary)


def one_letter_apart(one: str, other: str) -> bool:
    """Whether one letter less, more or other makes the words the same, or two exchanged do."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    if len(one) > len(other):
        one, other = other, one
    at = 0
    while at < len(one) and one[at] == other[at]:
        at += 1
    if len(one) < len(other):
        return one[at:] == other[at + 1 :]
    exchanged = one[at : at + 2][::-1] == other[at : at + 2] and one[at + 2 :] == other[at + 2 :]
    return exchanged or one[at + 1 :] == other[at + 1 :]


@lru_cache(maxsize=4096)
def _names(identity: str, vocabulary: Vocabulary) -> frozenset[str]:
    """The parts of an identity that are names long enough; none of an id or an address."""
    if any(map(str.isdigit, identity)):
        return frozenset()
    written = (part for text in reread(identity) for part in _LETTERS.findall(text))
    parts = {fold(part) for part in written if len(part) >= SHORTEST - 1}
    return frozenset(
        one
        for one in parts - _no_names(vocabulary)
        if len(one) >= SHORTEST and not is_plain_word(vocabulary, one)
    )


@lru_cache(maxsize=4)
def _no_names(vocabulary: Vocabulary) -> frozenset[str]:
    words = vocabulary.identities
    return frozenset(map(fold, (*words.common_words, *words.name_suffixes)))


@lru_cache(maxsize=16384)
def _has_a_meaning(word: str, vocabulary: Vocabulary) -> bool:
    """Whether reports use the word, or medicine calls something after somebody of that name."""
    bare = word.removesuffix("s")
    return bool({word, bare} & _eponyms(vocabulary)) or is_plain_word(vocabulary, word)


@lru_cache(maxsize=4)
def _eponyms(vocabulary: Vocabulary) -> frozenset[str]:
    words = vocabulary.identities
    months = (name for names in words.months.values() for name in names)
    listed = (*words.eponyms, *words.relatives_no_names, *words.common_words, *months)
    return frozenset(map(fold, listed))


def _is_name(text: str, start: int, end: int, vocabulary: Vocabulary) -> bool:
    """Whether a word stands as a name: behind a title, or with a capital within a sentence."""
    if stands_alone_as_name(text, start, end, vocabulary):
        return True
    found = text[start:end]
    capital = found[0].isupper() and found[1:].islower()
    return capital and not _OPENS.search(text[max(0, start - 8) : start])
