"""Sentences of a stretch of report text, as offsets that cover every non-blank character."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from fvlm_data.reports.language.letters import LETTERS
from fvlm_data.vocabulary.wording import wording

if TYPE_CHECKING:
    from fvlm_data.vocabulary import Vocabulary

_END = re.compile(
    # The first character is one set for all ends, so that `re` skips all others.
    r"[.!?\r\n<](?:"
    r"(?<=[.!?])[.!?]*[)\"'\u201d\u2019\]]*(?=\s|\Z)"
    rf"|(?<=[{LETTERS})\d]\.)(?=[{LETTERS}]{{2}})"
    rf"|(?<=[{LETTERS})][!?])(?=[{LETTERS}])"
    r"|(?<=\n)"
    r"|(?<=\r)\n"
    r"|(?<=<)(?:br|/p|/li|/div|/tr)\s{0,4}/?>)",
    re.IGNORECASE | re.UNICODE,
)
_ITEM = re.compile(
    r"\s*(?:[-*\u2022\u00b7\u25cf\u25aa\u25e6\u25ba\u25b6\u2192\u27a2\u2023\u25a0\u2713\u25c6>+#\"\u201c|]\s"
    r"|[\u2610-\u2612\u2022\u25cf\"\u201c]|\[[ xX]?\]|\([ xX]\)"
    r"|\d{1,2}[.)](?:\s|[A-Z])|[a-z][)]\s|o\s(?=[A-Z])|\(\d{1,2}\)\s?)"
)
_NEAR = 200
"""Characters before a mark that are looked at."""
_LAST_WORDS = 24
"""Characters at the end of a line that may hold its last words."""
_LONGEST_ENTRY = 60
"""Characters of a line that is rather an entry of a list than a full line of running text."""
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_ONLY_NUMBER = re.compile(r"\s*[-*\u2022(]?\s*(?:\d{1,2}|[A-Za-z])\Z")
_WORD_BEFORE = re.compile(rf"([{LETTERS}](?:[{LETTERS}.]{{0,12}}[{LETTERS}])?)\Z")


@dataclass(frozen=True, slots=True)
class SentenceEnds:
    """Abbreviations whose dot ends no sentence, and words at a line's end that go on."""

    abbreviations: frozenset[str]
    ending_abbreviations: frozenset[str]
    longest_abbreviation: int
    joins: re.Pattern[str]
    answer: re.Pattern[str]
    """The answer to a field of a form, with what stands before it, at the end of a line."""
    answers: re.Pattern[str]
    closing: re.Pattern[str] | None = None
    """Abbreviations, less their last dot, behind which any capital begins a sentence."""
    starters: re.Pattern[str] | None = None
    """Words that begin a sentence behind an abbreviation; none: any with a capital does."""
    ordinals: re.Pattern[str] | None = None
    """What follows the dot of a number that counts ("7. Rippe"); none: nothing does."""


@lru_cache(maxsize=4)
def sentence_ends(vocabulary: Vocabulary) -> SentenceEnds:
    """What tells the ends of sentences in the language of a vocabulary, made once."""
    words = vocabulary.grammar.sentences
    answers = wording(words.answers)
    return SentenceEnds(
        frozenset(words.abbreviations),
        frozenset(words.ending_abbreviations),
        max(map(len, words.abbreviations), default=0),
        re.compile(rf"(?:,|\b(?:{wording(words.line_joins)}))\s*\Z", re.IGNORECASE),
        re.compile(rf"[:=?\t|-]\s{{0,3}}(?:{answers})[\s,;|]{{0,4}}\Z", re.IGNORECASE),
        re.compile(rf"[ \t]{{0,3}}(?:{answers})", re.IGNORECASE),
        re.compile(rf"\b(?:{wording(words.closing_abbreviations)})\Z", re.IGNORECASE)
        if words.closing_abbreviations
        else None,
        re.compile(wording(words.starters), re.IGNORECASE) if words.starters else None,
        re.compile(wording(words.ordinal_nouns), re.IGNORECASE) if words.ordinal_nouns else None,
    )


def sentence_spans(
    text: str, start: int, end: int, max_chars: int, ends: SentenceEnds
) -> list[tuple[int, int]]:
    """Sentences in text[start:end] as (start, end), blanks trimmed, none empty.

    A sentence longer than `max_chars` is cut at a blank (or anywhere, if there is none).
    """
    spans: list[tuple[int, int]] = []
    begin = start
    for found in _END.finditer(text, start, end):
        stop = found.end()
        if found.start() < begin:
            continue
        if _ends(text, begin, found, end, ends):
            _add(text, begin, stop, max_chars, spans)
            begin = stop
    _add(text, begin, end, max_chars, spans)
    return spans


def _ends(text: str, begin: int, found: re.Match[str], end: int, ends: SentenceEnds) -> bool:
    mark = found[0]
    if mark == ".":
        return _stop_ends(text, begin, found.start(), found.end(), end, ends)
    if mark[0] == "<":
        return True
    if mark in ("\n", "\r\n"):
        return _line_ends(text, begin, found, end, ends)
    if mark[0] == "?" and ends.answers.match(text, found.end(), end):
        return False
    if mark[-1] == ")" and text[found.end() : found.end() + 2].strip()[:1].islower():
        return False  # "a lesion (cyst?) was observed"
    if mark[0] != ".":
        near = max(begin, found.start() - _NEAR)
        return _LETTER_OR_DIGIT.search(text, near, found.start()) is not None
    return _stop_ends(text, begin, found.start(), found.end(), end, ends)


def _stop_ends(text: str, begin: int, stop: int, behind: int, end: int, ends: SentenceEnds) -> bool:
    """Whether a full stop ends a sentence, which it does not in a number or an abbreviation."""
    if stop - begin <= 6 and _ONLY_NUMBER.match(text[begin:stop]):
        return False
    word = _word_before(text[max(begin, stop - 16) : stop])
    if word is not None and len(word) > ends.longest_abbreviation:
        return True
    if word is not None and len(word) > 1 and word.lower() not in ends.abbreviations:
        return True
    after = text[behind : min(end, behind + 24)].lstrip()
    if word is None:
        # "Fraktur der 7. Rippe"
        counted = ends.ordinals if text[stop - 1 : stop].isdigit() else None
        return not (after[:1].islower() or (counted is not None and counted.match(after)))
    if word.lower() in ends.abbreviations:
        if ends.closing is not None and ends.closing.search(text, max(begin, stop - 16), stop):
            return not after or after[0].isupper()
        may_end = word.lower() in ends.ending_abbreviations
        return not after or (may_end and after[0].isupper() and _starts(after, ends))
    return not (word.isupper() and after[:1].isupper())


def _starts(text: str, ends: SentenceEnds) -> bool:
    """Whether a capital may begin a sentence, and not only a noun."""
    return ends.starters is None or ends.starters.match(text) is not None


def _word_before(text: str) -> str | None:
    """Word, or letters with dots between (e.g), at the end of a short text."""
    word = text[text.rfind(" ") + 1 :]
    if word.isalpha():
        return word
    found = _WORD_BEFORE.search(text)
    return found[1] if found else None


def _line_ends(text: str, begin: int, found: re.Match[str], end: int, ends: SentenceEnds) -> bool:
    """Whether a line break ends a sentence, or the next line visibly goes on with it."""
    line = text[max(begin, found.start() - _NEAR) : found.start()].rstrip()
    following = text[found.end() : min(end, found.end() + 40)]
    if not line or line[-1] in ".!?:;" or not following.strip():
        return True
    if following.lstrip(" \t").startswith(("\n", "\r")) or _ITEM.match(following):
        return True
    last = line[-_LAST_WORDS:]
    if ends.answer.search(last):
        return True
    first = following.lstrip()[0]
    if first in ",;)(" or ends.joins.search(last):
        return False
    if first.isdigit() or (first.islower() and text[begin : begin + 1].islower()):
        # A line of its own, unless the one before it was full: "no effusion" over "small nodule".
        return len(line) - line.rfind("\n") <= _LONGEST_ENTRY
    return not first.islower()


def _add(text: str, begin: int, end: int, max_chars: int, spans: list[tuple[int, int]]) -> None:
    while begin < end:
        piece = text[begin:end].rstrip()
        stop = begin + len(piece)
        begin = stop - len(piece.lstrip())
        if begin >= stop:
            return
        if stop - begin <= max_chars:
            spans.append((begin, stop))
            return
        cut = begin + max_chars
        for place in range(cut, begin + max_chars // 2, -1):
            if text[place - 1].isspace():
                cut = place
                break
        last = cut
        while last > begin and text[last - 1].isspace():
            last -= 1
        spans.append((begin, last))
        begin = cut
