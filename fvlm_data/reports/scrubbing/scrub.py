"""Identities taken out of report texts, before anything else reads them.

A pure function; it logs nothing. What the patient's own headers tell (identities.py) goes first,
then what has the form of an identity: titled names, dates, phone numbers, mail addresses, web
addresses, long numbers.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.reports.scrubbing.identities import DATE, ID, MONTHS, NAME, known_spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PHONE, MAIL = "[PHONE]", "[MAIL]"

_MONTH = "(?:" + "|".join(rf"{short}(?:{full[3:]}|t)?" for short, full in MONTHS) + r")\.?"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_PLACEHOLDER = re.compile(r"(\[(?:NAME|ID|DATE|PHONE|MAIL)\])")

_TITLES = ("Dr", "dr", "DR", "dR", "rof", "PROF", "Doz", "zm", "Mr", "Ms", "Herr", "Frau")
_SIGNED = (
    "signed by", "dictated by", "reported by", "referred by", "radiologist",
    "referring physician", "name",
)  # fmt: skip
_MONTH_AFTER_DAY = re.compile(
    rf"\d(?:st|nd|rd|th|\.)?[ -](?:of )?(?:{'|'.join(short for short, _ in MONTHS)})", re.IGNORECASE
)

_Hint = tuple[str, ...] | re.Pattern[str]
_PATTERNS: tuple[tuple[_Hint, re.Pattern[str], str], ...] = (
    (("@",), re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}\b"), MAIL),
    (("://",), re.compile(r"\bhttps?://\S{1,200}", re.IGNORECASE), ID),
    (
        _TITLES,
        re.compile(
            r"\b(?:[Dd][Rr]|[Pp]rof|PROF|Doz|Priv\.-Doz|[Uu]zm|M[rs]s?|Herr|Frau)\b\.?"
            r"(?:\s?(?:med|Dr|dr|rer|nat|habil|h\.c)\b\.?)*"
            r"(?:[ \t]+(?:[A-Z\u00c0-\u00de]\.|(?:van|von|de|der|den|di|al|el|le|la)\b"
            r"|[A-Z\u00c0-\u00de][\w\u00c0-\u024f'\u2019-]+)){1,4}"
        ),
        NAME,
    ),
    (
        _SIGNED,
        re.compile(
            r"\b(?:electronically signed by|signed by|dictated by|reported by|referred by|"
            r"radiologist|referring physician|patient name|name)\s?:?[ \t]+"
            r"((?:(?:[A-Z]\.|[A-Z][\w'\u2019-]+),?[ \t]{1,2}){1,3}[A-Z][\w'\u2019-]+)"
        ),
        NAME,
    ),
    (
        ("Dr.", "dr.", "rof."),
        re.compile(
            r"\b(?:[Dd]r|[Pp]rof)\.[ \t]+"
            r"(?!(?:and|at|by|in|of|on|or|the|to|who|with)\b)[a-z][a-z'\u2019-]{2,}"
        ),
        NAME,
    ),
    (
        re.compile(r"(?:19|20)\d{2}[-/.]\d"),
        re.compile(r"\b(?:19|20)\d{2}[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])\b"),
        DATE,
    ),
    (
        re.compile(r"\d[-/.]\d{1,2}[-/.]\d"),
        re.compile(rf"\b{_DAY}[-/.]{_DAY}[-/.](?:19|20)?\d{{2}}\b"),
        DATE,
    ),
    (
        _MONTH_AFTER_DAY,
        re.compile(
            rf"\b{_DAY}(?:st|nd|rd|th|\.)?[ -](?:of )?{_MONTH},?[ -](?:19|20)?\d{{2}}\b",
            re.IGNORECASE,
        ),
        DATE,
    ),
    (
        re.compile(r"\d(?:st|nd|rd|th)?,? (?:19|20)\d{2}", re.IGNORECASE),
        re.compile(rf"\b{_MONTH} {_DAY}(?:st|nd|rd|th)?,? (?:19|20)\d{{2}}\b", re.IGNORECASE),
        DATE,
    ),
    (("+",), re.compile(r"(?<![\w.])\+\d{1,3}[ \d()/-]{6,18}\d\b"), PHONE),
    (
        re.compile(r"\d{3}\)?[ /-]\d{3,4}[ -]\d{2}"),
        re.compile(r"(?<![\w.])\(?\d{3,5}\)?[ /-]\d{3,4}[ -]\d{2,4}(?:[ -]\d{2,4})?\b"),
        PHONE,
    ),
    (re.compile(r"\d{7}"), re.compile(r"(?<![\d.,])\d{7,}(?![\d])"), ID),
    (
        re.compile(r"\d{6}|\d(?:\.\d{1,15}){5}"),
        re.compile(r"\b(?:[A-Z]{1,4}[-/]?\d{6,}|\d{1,3}(?:\.\d{1,15}){5,})\b"),
        ID,
    ),
)
"""What is taken, with a hint before each pattern: words of which a text must hold one, or a
pattern that it must hold, for there to be anything to take. Hints are told in a fraction of the
time: most reports hold no date and no mail address.
"""


@dataclass(frozen=True, slots=True)
class Cut:
    """Characters [start, end) of the original, replaced by `placeholder`."""

    start: int
    end: int
    placeholder: str


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A text without identities, and the way back: `cuts` in order, which only the vault keeps."""

    text: str
    cuts: tuple[Cut, ...]

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


def scrub(text: str, identities: Iterable[str]) -> Scrubbed:
    """Replace identities in a text by placeholders ([NAME], [ID], [DATE], [PHONE], [MAIL]).

    `identities` are names, ids, dates (ISO, or YYYYMMDD) and places of the report's patient,
    study and columns; their order does not matter. Placeholders that a text already holds stay.
    """
    taken = _Taken(text)
    for start, end, placeholder in known_spans(text, identities):
        taken.add(start, end, placeholder)
    for hint, pattern, placeholder in _PATTERNS:
        if not _may_hold(text, hint):
            continue
        for low, high in taken.free():
            for found in pattern.finditer(text, low, high):
                taken.add(*found.span(1 if found.re.groups else 0), placeholder)
    return taken.scrubbed()


def _may_hold(text: str, hint: _Hint) -> bool:
    if isinstance(hint, tuple):
        return any(word in text for word in hint)
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
        place = bisect.bisect_left(self._starts, start)
        before = place and self._cuts[place - 1].end > start
        after = place < len(self._cuts) and self._starts[place] < end
        if start < end and not before and not after:
            self._starts.insert(place, start)
            self._cuts.insert(place, Cut(start, end, placeholder))

    def free(self) -> Iterator[tuple[int, int]]:
        """Stretches between the cuts, as they are now."""
        begin = 0
        for cut in tuple(self._cuts):
            yield begin, cut.start
            begin = cut.end
        yield begin, len(self._text)

    def scrubbed(self) -> Scrubbed:
        """The text with its cuts made."""
        pieces: list[str] = []
        begin = 0
        for cut in self._cuts:
            pieces += (self._text[begin : cut.start], cut.placeholder)
            begin = cut.end
        pieces.append(self._text[begin:])
        return Scrubbed("".join(pieces), tuple(self._cuts))
