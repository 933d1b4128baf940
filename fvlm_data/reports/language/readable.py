"""Whether a text is a report of a CT in the language of the vocabulary, before it is used."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.vocabulary.wording import wording

if TYPE_CHECKING:
    from fvlm_data.reports.language.parsed import ParsedReport
    from fvlm_data.vocabulary import Vocabulary

LONGEST_CHARS = 1_000_000
"""A longer text is no report; one of this length is read within ten seconds."""
_BEGINNING = 400
"""Characters in which a report tells its examination."""
_LONGEST_NOTE = 200
"""Characters of a note that stands in the place of a report."""


class Unread(NamedTuple):
    """Why a text is no report of ours: a reason code, and a sentence that a person can act on."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Words:
    no_report: re.Pattern[str]
    other: re.Pattern[str]
    ours: re.Pattern[str]


@lru_cache(maxsize=4)
def _words(vocabulary: Vocabulary) -> _Words:
    words = vocabulary.grammar.unread
    return _Words(
        re.compile(rf"\W{{0,8}}(?:{wording(words.no_report)})\W{{0,8}}", re.IGNORECASE),
        re.compile(rf"\b(?:{wording(words.other_examinations)})", re.IGNORECASE),
        re.compile(rf"\b(?:{wording(words.ours)})", re.IGNORECASE),
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
    note = words.no_report.match(text) if len(text) <= _LONGEST_NOTE else None
    if note and not parsed.findings and not parsed.normal:
        return Unread("no_report", "its text only says that there is no report, or is a test")
    beginning = text[:_BEGINNING]
    other = words.other.search(beginning)
    if other and not words.ours.search(text):
        return Unread(
            "other_examination",
            f"it speaks of {other[0].lower()!r} at its beginning and nowhere of a CT",
        )
    return _other_language(parsed)


def _other_language(parsed: ParsedReport) -> Unread | None:
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
        "vocabulary of that language by vocabulary.language and vocabulary.overlay",
    )
