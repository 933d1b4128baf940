"""Identities taken out of report texts, before anything else reads them.

A pure function; it logs nothing. What the patient's own headers tell (identities.py) goes first,
then what has the form of an identity: titled names, dates, phone numbers, mail addresses, web
addresses, long numbers.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from fvlm_data.reports.scrubbing.addresses import address_patterns
from fvlm_data.reports.scrubbing.identities import (
    DATE,
    ID,
    NAME,
    any_of,
    known_places,
    month_form,
)
from fvlm_data.reports.scrubbing.normal_form import fold
from fvlm_data.reports.scrubbing.signatures import CAPITAL, signed_names
from fvlm_data.reports.scrubbing.standing import is_plain_word
from fvlm_data.reports.scrubbing.worded_dates import worded_date, worded_date_hint

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from fvlm_data.vocabulary import Vocabulary
    from fvlm_data.vocabulary.text_entries import IdentityWords

PHONE, MAIL, ADDRESS = "[PHONE]", "[MAIL]", "[ADDRESS]"

_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_LONGER = re.compile(r"[^\W\d_]{4,}")
_WORDS = re.compile(r"\w(?:.*\w)?\.?", re.DOTALL)
_PLACEHOLDER = re.compile(r"(\[(?:NAME|ID|DATE|PHONE|MAIL|ADDRESS)\])")

_Hint = tuple[str, ...] | re.Pattern[str]
_Looked = tuple[_Hint, re.Pattern[str], str]
"""What is looked for and its placeholder, behind a hint: words of which a text must hold one, or a
pattern that it must hold, for there to be anything to take. Hints are told in a fraction of the
time: most reports hold no date and no mail address."""


@lru_cache(maxsize=4)
def _addresses(vocabulary: Vocabulary) -> tuple[_Looked, ...]:
    """What is taken before any name in it is: the rest of an address tells as much."""
    words = vocabulary.identities
    return (
        (("@",), re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}\b"), MAIL),
        (("://",), re.compile(r"\bhttps?://\S{1,200}", re.IGNORECASE), ID),
        *((hint, one, ADDRESS) for hint, one in address_patterns(words)),
    )


@lru_cache(maxsize=4)
def _names(vocabulary: Vocabulary) -> tuple[_Looked, ...]:
    """What has the form of a name, in the order in which it is looked for."""
    patterns = _name_patterns(vocabulary.identities)
    return tuple((hint, pattern, NAME) for hint, pattern in patterns)


@lru_cache(maxsize=4)
def _worded(vocabulary: Vocabulary) -> tuple[_Looked, ...]:
    """Dates in words."""
    words = vocabulary.identities
    if not words.days_in_words:
        return ()
    found = re.compile(rf"\b{worded_date(words)}\b", re.IGNORECASE)
    return ((re.compile(worded_date_hint(words)), found, DATE),)


@lru_cache(maxsize=4)
def _numbers(vocabulary: Vocabulary) -> tuple[_Looked, ...]:
    """What has the form of a date, a phone number or another number, in that order."""
    return (
        *((hint, one, DATE) for hint, one in _date_patterns(vocabulary.identities)),
        (("+",), re.compile(r"(?<![\w.])\+\d{1,3}[ \d()/-]{6,18}\d\b"), PHONE),
        (
            re.compile(r"\d{3}\)?[ /-]\d{3,4}[ -]\d{2}"),
            re.compile(r"(?<![\w.])\(?\d{3,5}\)?[ /-]\d{3,4}[ -]\d{2,4}(?:[ -]\d{2,4})?\b"),
            PHONE,
        ),
        (re.compile(r"\d{7}"), re.compile(r"(?<![\d.,])\d{7,}(?![\d])"), ID),
        (
            re.compile(r"\d{6}|\d(?:\.\d{1,64}){5}"),
            # a UID has up to 64 characters, those made of a UUID (2.25.) 39 in one component
            re.compile(
                r"\b(?:[A-Z]{1,4}[-/]?\d{6,}"
                r"|\d{1,3}(?:\.\d{1,64}){5,}|\d(?:\.\d{1,9}){1,4}\.\d{10,64})\b"
            ),
            ID,
        ),
    )


@lru_cache(maxsize=4)
def _number_hint(vocabulary: Vocabulary) -> re.Pattern[str]:
    """What a text holds that one of the hints of `_numbers` finds: one look in place of nine.

    A digit or plus comes first, so that `re` skips all else; a size in mm holds none of the rest.
    """
    words = vocabulary.identities
    months = any_of(name for names in words.months.values() for name in names)
    ordinals = any_of(words.ordinals)
    return re.compile(
        r"[\d+](?:(?<=\+)|\d{3}[-/.]\d|[-/.]\d{1,2}[-/.]\d|\d{2}\)?[ /-]\d{3,4}[ -]\d{2}|\d{5}"
        rf"|(?:\.\d{{1,64}}){{5}}|(?:{ordinals})?,? (?:19|20)\d{{2}}"
        rf"|(?:{ordinals}|\.)?[ -](?:(?:{any_of(words.day_of_month)}) )?(?:{months}))",
        re.IGNORECASE,
    )


def _word_hint(words: Sequence[str]) -> _Hint:
    """A pattern for words that stand alone ("dr" and not "adrenal"), the first letter first."""
    if not all(word[:1].isalnum() for word in words):
        return tuple(words)
    return re.compile("|".join(rf"{word[0]}(?<!\w.){re.escape(word[1:])}\b" for word in words))


def _name_patterns(words: IdentityWords) -> Iterator[tuple[_Hint, re.Pattern[str]]]:
    """Names behind a title, a signature's words, or a title with a dot in lower case."""
    titled = re.compile(
        rf"\b(?:{any_of(words.titles)})\b\.?"
        rf"(?:\s?(?:{any_of(words.further_titles)})\b\.?){{0,4}}"
        rf"(?:[ \t]+(?:{CAPITAL}\.|(?:{any_of(words.particles)})\b"
        rf"|{CAPITAL}[\w'\u2019\u2018`\u00b4-]*)(?:{CAPITAL}\.)*){{1,4}}"
    )
    yield _word_hint(words.titles), titled
    signed = re.compile(
        rf"\b(?:{any_of(words.signed_by)})\s?:?[ \t]+"
        r"((?:(?:[A-Z]\.|[A-Z][\w'\u2019-]+),?[ \t]{1,2}){1,3}[A-Z][\w'\u2019-]+)"
    )
    yield words.signed_by, signed
    # a relative bears a name that no header tells
    related = re.compile(
        rf"\b(?:{any_of(words.relatives)}),?[ \t]+"
        rf"((?!(?:{any_of(words.relatives_no_names)})\b){CAPITAL}[^\W\d_A-Z][\w'\u2019-]*"
        rf"(?:[ \t]+{CAPITAL}[^\W\d_A-Z][\w'\u2019-]*){{0,2}})"
    )
    yield words.relatives, related
    in_lower_case = re.compile(
        rf"\b(?:{any_of(words.titles_before_lower_case)})\.[ \t]+"
        rf"(?!(?:{any_of(words.no_names)})\b)[a-z][a-z'\u2019-]{{2,}}"
    )
    yield tuple(f"{title}." for title in words.titles_before_lower_case), in_lower_case


def _date_patterns(words: IdentityWords) -> Iterator[tuple[_Hint, re.Pattern[str]]]:
    """Dates in digits, and with a month's name."""
    months = [names for _, names in sorted(words.months.items())]
    month = f"(?:{'|'.join(month_form(*names) for names in months)})" + r"\.?"
    named = any_of(name for names in months for name in names)
    ordinals = any_of(words.ordinals)
    of_month = f"(?:(?:{any_of(words.day_of_month)}) )?"
    yield (
        re.compile(r"(?:19|20)\d{2}[-/.]\d"),
        re.compile(r"\b(?:19|20)\d{2}[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])\b"),
    )
    yield (
        re.compile(r"\d[-/.]\d{1,2}[-/.]\d"),
        re.compile(rf"\b{_DAY}[-/.]{_DAY}[-/.](?:19|20)?\d{{2}}\b"),
    )
    yield (
        re.compile(rf"\d(?:{ordinals}|\.)?[ -]{of_month}(?:{named})", re.IGNORECASE),
        re.compile(
            rf"\b{_DAY}(?:{ordinals}|\.)?[ -]{of_month}{month},?[ -](?:19|20)?\d{{2}}\b",
            re.IGNORECASE,
        ),
    )
    yield (
        re.compile(rf"\d(?:{ordinals})?,? (?:19|20)\d{{2}}", re.IGNORECASE),
        re.compile(rf"\b{month} {_DAY}(?:{ordinals})?,? (?:19|20)\d{{2}}\b", re.IGNORECASE),
    )


@dataclass(frozen=True, slots=True)
class Cut:
    """Characters [start, end) of the original, replaced by `placeholder`."""

    start: int
    end: int
    placeholder: str


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A text without identities, and the way back: `cuts` in order, which only the vault keeps.

    `doubtful` are start and end, in the original, of words that may be names and were left.
    """

    text: str
    cuts: tuple[Cut, ...]
    doubtful: tuple[tuple[int, int], ...] = ()

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """Characters of the original behind [start, end) of the text.

        An offset within a placeholder stands for the whole of what was cut.
        """
        return self._original(start, last=False), self._original(end, last=True)

    def _original(self, offset: int, *, last: bool) -> int:
        shift = 0
        for cut in self.cuts:
            begin = cut.start + shift
            stop = begin + len(cut.placeholder)
            if offset < begin or (offset == begin and last):
                break
            if offset < stop or (offset == stop and last):
                at_start = offset == begin
                return cut.start if at_start or not last else cut.end
            shift = stop - cut.end
        return offset - shift


def scrub(
    text: str,
    identities: Iterable[str],
    vocabulary: Vocabulary,
    *,
    remove_doubtful: bool = False,
) -> Scrubbed:
    """Replace identities in a text by placeholders.

    They are [NAME], [ID], [DATE], [PHONE], [MAIL] and [ADDRESS].

    `identities` are names, ids, dates (ISO, or YYYYMMDD) and places of the report's patient,
    study and columns; their order does not matter. Placeholders that a text already holds stay.
    `vocabulary` gives titles, months and the like, and the terms that are no names. A part of a
    name that is a plain word too, or as short as a unit, is taken where it stands as a name;
    elsewhere it is told as doubtful, or taken with `remove_doubtful`.
    """
    identities = set(identities)
    taken = _Taken(text)
    _take(taken, text, _addresses(vocabulary))
    doubtful = []
    for one in known_places(text, identities, vocabulary):
        if one.doubtful and not remove_doubtful:
            doubtful.append((one.start, one.end))
        else:
            taken.add(one.start, one.end, one.placeholder)

    @cache
    def named() -> set[str]:  # most reports hold no signature, and nobody asks
        return {part for one in identities for part in fold(one).replace("^", " ").split()}

    def is_plain(word: str) -> bool:
        return fold(word) not in named() and is_plain_word(vocabulary, word)

    signed = set()
    for start, end in signed_names(text, vocabulary, is_plain):
        taken.add_rest(start, end, NAME)
        signed |= {word for word in _LONGER.findall(text[start:end]) if not is_plain(word)}
    for found in _take(taken, text, _names(vocabulary)):
        signed |= {word for word in _LONGER.findall(found) if not is_plain(word)}
    _take(taken, text, _worded(vocabulary))
    if _may_hold(text, _number_hint(vocabulary)):
        _take(taken, text, _numbers(vocabulary))
    for start, end in _said_again(text, signed, vocabulary):
        taken.add(start, end, NAME)
    return taken.scrubbed(doubtful)


def _said_again(
    text: str, signed: Collection[str], vocabulary: Vocabulary
) -> Iterator[tuple[int, int]]:
    """Where a name that a signature or title tells stands once more ("W: SMITH" in a foot)."""
    if not signed:
        return
    words = vocabulary.identities
    none = {*words.common_words, *words.no_names, *words.titles, *words.names_that_are_words}
    none |= {*words.signatures.roles, *words.signatures.credentials, *words.signatures.no_names}
    names = {word for word in signed if fold(word) not in none and word not in none}
    if not names:
        return
    for form in sorted({form for name in names for form in (name, name.upper(), name.title())}):
        start = text.find(form)
        while start >= 0:
            end = start + len(form)
            if not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()):
                yield start, end
            start = text.find(form, end)


def _take(taken: _Taken, text: str, patterns: Iterable[_Looked]) -> list[str]:
    """Take what the patterns find; what that was."""
    made = []
    for hint, pattern, placeholder in patterns:
        if not _may_hold(text, hint):
            continue
        for low, high in taken.free():
            for found in pattern.finditer(text, low, high):
                group = 1 if found.re.groups else 0
                taken.add(*found.span(group), placeholder)
                made.append(found[group])
    return made


def _may_hold(text: str, hint: _Hint) -> bool:
    if isinstance(hint, tuple):
        return any(map(text.__contains__, hint))
    return hint.search(text) is not None


class _Taken:
    """Cuts of a text that do not overlap; what comes first keeps its place."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._cuts: list[Cut] = []
        self._starts: list[int] = []
        for found in _PLACEHOLDER.finditer(text):
            self.add(*found.span(), found[0])

    def add(self, start: int, end: int, placeholder: str) -> None:
        """Take [start, end) unless some of it is taken."""
        if start < end and not self._touched(start, end):
            place = bisect.bisect_left(self._starts, start)
            self._starts.insert(place, start)
            self._cuts.insert(place, Cut(start, end, placeholder))

    def _touched(self, start: int, end: int) -> bool:
        place = bisect.bisect_left(self._starts, start)
        before = place > 0 and self._cuts[place - 1].end > start
        return before or (place < len(self._cuts) and self._starts[place] < end)

    def add_rest(self, start: int, end: int, placeholder: str) -> None:
        """Take what is free of [start, end), less blanks and marks at its ends."""
        for low, high in self.free():
            found = _WORDS.search(self._text, max(low, start), max(start, min(high, end)))
            if found:
                self.add(*found.span(), placeholder)

    def free(self) -> Iterator[tuple[int, int]]:
        """Stretches between the cuts, as they are now."""
        begin = 0
        for cut in tuple(self._cuts):
            yield begin, cut.start
            begin = cut.end
        yield begin, len(self._text)

    def scrubbed(self, doubtful: Iterable[tuple[int, int]]) -> Scrubbed:
        """The text with its cuts made; of the `doubtful` places those that no cut has taken."""
        pieces: list[str] = []
        begin = 0
        for cut in self._cuts:
            pieces += (self._text[begin : cut.start], cut.placeholder)
            begin = cut.end
        pieces.append(self._text[begin:])
        left = sorted({place for place in doubtful if not self._touched(*place)})
        return Scrubbed("".join(pieces), tuple(self._cuts), tuple(left))
