"""Whether a text is a report of a CT in the language of the vocabulary, before it is used."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.sections import unblank
from fvlm_data.vocabulary.wording import wording

if TYPE_CHECKING:
    from fvlm_data.reports.language.parsed import ParsedReport
    from fvlm_data.vocabulary import Vocabulary

LONGEST_CHARS = 1_000_000
"""A longer text is no report; one of this length is read within ten seconds."""
_LONGEST_NOTE = 200
"""Characters of a note that stands in the place of a report."""
_LETTER = re.compile(r"[^\W\d_]")
_OPEN = (":", "=", "?")
"""Last characters of a field that nobody has filled."""
_TITLE_END = re.compile(r"[.;](?=\s|\Z)|\n")


class Unread(NamedTuple):
    """Why a text is no report of ours: a reason code, and a sentence that a person can act on."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Words:
    no_report: re.Pattern[str]
    other: re.Pattern[str]
    ours: re.Pattern[str]
    aside: re.Pattern[str]
    """Where a title ends to speak of something else."""
    told: re.Pattern[str]
    """What follows an examination of which something is said, so that it is no title."""
    blank: re.Pattern[str]


@lru_cache(maxsize=4)
def _words(vocabulary: Vocabulary) -> _Words:
    words = vocabulary.grammar.unread
    return _Words(
        re.compile(rf"\W{{0,8}}(?:{wording(words.no_report)})\W{{0,8}}", re.IGNORECASE),
        re.compile(rf"\b(?:{wording(words.other_examinations)})", re.IGNORECASE),
        re.compile(rf"\b(?:{wording(words.ours)})", re.IGNORECASE),
        re.compile(rf"\b(?:{wording(words.title_ends)})", re.IGNORECASE),
        re.compile(
            rf"\w*(?:[ \t]+[^\s.;:]+){{0,2}}?[ \t]+(?:{wording(words.no_title)})", re.IGNORECASE
        ),
        re.compile(
            rf"\W{{0,8}}(?:{wording((*words.no_report, *words.blank))})\W{{0,8}}", re.IGNORECASE
        ),
    )


def too_long(text: str) -> Unread | None:
    """Why a text is not read at all."""
    if len(text) <= LONGEST_CHARS:
        return None
    return Unread(
        "too_long",
        f"{len(text)} characters, at most {LONGEST_CHARS} are read; expected one report: look "
        "whether the file holds several, or an attachment",
    )


def unread(text: str, parsed: ParsedReport) -> Unread | None:
    """Why a text that was taken apart is no report of a CT in the vocabulary's language."""
    words = _words(parsed.vocabulary)
    if not parsed.findings and not parsed.normal and _says_nothing(text, parsed, words):
        return Unread("no_report", "its text only says that there is no report, or is a test")
    other = _other_examination(text, parsed, words)
    if other:
        return Unread("other_examination", f"its title speaks of {other.lower()!r} and not of a CT")
    return _other_language(parsed)


def _says_nothing(text: str, parsed: ParsedReport, words: _Words) -> bool:
    """Whether a text is a note in the place of a report, or headers with nothing below."""
    if len(text) <= _LONGEST_NOTE and words.no_report.match(text):
        return True
    said = [one.text.strip() for one in parsed.sentences]
    filled = [one for one in said if _LETTER.search(one) and one[-1] not in _OPEN]
    return all(words.blank.fullmatch(one) for one in filled)


def _other_examination(text: str, parsed: ParsedReport, words: _Words) -> str | None:
    """What examination other than a CT the titles of a text name, where none names a CT."""
    others: list[str] = []
    for start, end in _titles(text, parsed):
        aside = words.aside.search(text, start, end)
        stop = aside.start() if aside else end
        if words.ours.search(text, start, stop):
            return None
        line = _TITLE_END.search(text, start, stop)
        other = words.other.search(text, start, line.start() if line else stop)
        if other is None or words.told.match(text, other.end()):
            continue
        if not any(start <= mention.start < other.start() for mention in parsed.findings):
            others.append(other[0])
    return others[0] if others else None


def _titles(text: str, parsed: ParsedReport) -> list[tuple[int, int]]:
    """Where a text may name its examination: before all headers, and in its technique."""
    first = min((header.start for header in parsed.headers if header.section), default=None)
    start = unblank(text, 0, len(text))
    if first is None:
        line = _TITLE_END.search(text, start)
        first = line.end() if line else len(text)
    named = [(one.start, one.end) for one in parsed.sections if one.name == "technique"]
    return [(start, max(start, first)), *named]


def _other_language(parsed: ParsedReport) -> Unread | None:
    if all(sentence.language is None for sentence in parsed.sentences):
        return None
    lengths: Counter[str | None] = Counter()
    for sentence in parsed.sentences:
        if any(character.isalpha() for character in sentence.text):
            lengths[sentence.language] += sentence.end - sentence.start
    foreign = {code: length for code, length in lengths.items() if code is not None}
    if not foreign or 2 * sum(foreign.values()) < sum(lengths.values()):
        return None
    guess = min(foreign, key=lambda code: (-foreign[code], code))
    return Unread(
        "language_not_covered",
        f"most of it is in another language than the vocabulary's, by its words {guess}; give a "
        "vocabulary of that language by vocabulary.language or vocabulary.languages and "
        "vocabulary.overlay",
    )
