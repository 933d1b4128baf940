"""Whether a word that may be a plain one ("Stone", "Li") stands in a text as a name."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from fvlm_data.reports.scrubbing.name_forms import SHORT
from fvlm_data.reports.scrubbing.normal_form import fold

if TYPE_CHECKING:
    from fvlm_data.vocabulary import Vocabulary

_BEFORE, _AFTER = 60, 40
"""Characters on either side that are looked at."""
_GENITIVE = re.compile(r"['\u2019]s$")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


def stands_as_name(
    text: str, start: int, end: int, vocabulary: Vocabulary, *, several: bool
) -> bool:
    """Whether what was found at [start, end) is a name there, and not perhaps a plain word.

    A name that is no word of the language is one wherever it stands. Others are behind a title,
    with another part of the name, or (short ones) before what only people do. What a signature
    names is taken without this.
    """
    found = text[start:end]
    parts = _WORD.findall(fold(found))
    if several:
        return not all(_is_word(part, vocabulary) for part in parts) or _capitals(text, start, end)
    bare = _GENITIVE.sub("", found)
    short = sum(map(str.isalpha, bare)) <= SHORT
    if not short and not _is_word(fold(found), vocabulary):
        return True
    if _behind_title(text, start, end, vocabulary):
        return True
    titled = found[:1].isupper() and not found[1:2].isupper()
    acts = bare != found or _deed(vocabulary).match(fold(text[end : end + _AFTER]))
    return short and titled and bool(acts)


def stands_alone_as_name(text: str, start: int, end: int, vocabulary: Vocabulary) -> bool:
    """Whether a word of no meaning is told to be a name by what stands around it.

    That is a title, a genitive's s, or what only a person has or does.
    """
    before = fold(text[max(0, start - _BEFORE) : start])
    if _title(vocabulary).search(before) or _cue(vocabulary).search(before):
        return True
    found, behind = text[start:end], text[end : end + _AFTER]
    owns = re.match(r"['\u2019]s\b", behind)
    return found[:1].isupper() and bool(owns or _deed(vocabulary).match(fold(behind)))


def _behind_title(text: str, start: int, end: int, vocabulary: Vocabulary) -> bool:
    found = text[start:end]
    titled = found[:1].isupper() and not found[1:2].isupper()
    before = fold(text[max(0, start - _BEFORE) : start])
    return bool(_title(vocabulary).search(before) or (titled and _cue(vocabulary).search(before)))


def is_small_word(text: str, start: int, end: int) -> bool:
    """Whether a short name's letters stand there as a unit or an article ("5 ng", "an").

    That is without a capital, in a text that has some.
    """
    found = text[start:end]
    return found.islower() and len(found) <= SHORT and not text.islower()


def _capitals(text: str, start: int, end: int) -> bool:
    """Whether words begin with a capital, and in a text of capitals are not among such."""
    found = text[start:end]
    if not all(word[0].isupper() for word in re.findall(r"[^\W\d_]+", found)):
        return False
    around = text[max(0, start - _AFTER) : start] + text[end : end + _AFTER]
    return not found.isupper() or not around.isupper()


def is_plain_word(vocabulary: Vocabulary, word: str) -> bool:
    """Whether reports use a word of other things than people."""
    return _is_word(fold(word), vocabulary)


@lru_cache(maxsize=16384)
def _is_word(word: str, vocabulary: Vocabulary) -> bool:
    from fvlm_data.reports.language.phrasebook import phrasebook
    from fvlm_data.reports.language.tokens import OTHER_MARK, OTHER_WORD

    bare = word.removesuffix("'s")
    words = vocabulary.identities
    known = {*words.names_that_are_words, *words.words_of_medicine}
    if len(bare) <= SHORT or bare in known or bare.removesuffix("s") in known:
        return True
    return phrasebook(vocabulary).lexicon.canonical(bare) not in (OTHER_MARK, OTHER_WORD)


@lru_cache(maxsize=4)
def _title(vocabulary: Vocabulary) -> re.Pattern[str]:
    words = vocabulary.identities
    titles = _any((*words.titles, *(cue for cue in words.before_a_name if cue[-1] in ".:")))
    further = _any(words.further_titles)
    return re.compile(rf"(?<!\w)(?:{titles})\.?:?\s*(?:(?:{further})\.?\s*)*(?:[^\W\d_]\.\s?)*$")


@lru_cache(maxsize=4)
def _cue(vocabulary: Vocabulary) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{_any(vocabulary.identities.before_a_name)})[\s:]+$")


@lru_cache(maxsize=4)
def _deed(vocabulary: Vocabulary) -> re.Pattern[str]:
    """What a person has or does, behind a name."""
    return re.compile(rf"\s+(?:{_any(vocabulary.identities.after_a_name)})\b")


def _any(words: tuple[str, ...]) -> str:
    return "|".join(sorted({re.escape(fold(word)) for word in words}, key=len, reverse=True))
