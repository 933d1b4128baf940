"""Identities taken out of report texts, before anything else reads them.

A pure function; it logs nothing. What the patient's own headers tell (names, ids, dates) goes
first, then what has the form of an identity: titled names, dates, phone numbers, mail addresses,
web addresses, long numbers.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NAME, ID, DATE, PHONE, MAIL = "[NAME]", "[ID]", "[DATE]", "[PHONE]", "[MAIL]"

_MONTHS = (
    ("jan", "january"), ("feb", "february"), ("mar", "march"), ("apr", "april"),
    ("may", "may"), ("jun", "june"), ("jul", "july"), ("aug", "august"),
    ("sep", "september"), ("oct", "october"), ("nov", "november"), ("dec", "december"),
)  # fmt: skip
_MONTH = "(?:" + "|".join(rf"{short}(?:{full[3:]}|t)?" for short, full in _MONTHS) + r")\.?"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_PLACEHOLDER = re.compile(r"(\[(?:NAME|ID|DATE|PHONE|MAIL)\])")

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}\b"), MAIL),
    (re.compile(r"\bhttps?://\S{1,200}", re.IGNORECASE), ID),
    (
        re.compile(
            r"\b(?:[Dd][Rr]|[Pp]rof|PROF|Doz|Priv\.-Doz|[Uu]zm|M[rs]s?|Herr|Frau)\b\.?"
            r"(?:\s?(?:med|Dr|dr|rer|nat|habil|h\.c)\b\.?)*"
            r"(?:[ \t]+(?:[A-Z\u00c0-\u00de]\.|(?:van|von|de|der|den|di|al|el|le|la)\b"
            r"|[A-Z\u00c0-\u00de][\w\u00c0-\u024f'\u2019-]+)){1,4}"
        ),
        NAME,
    ),
    (
        re.compile(
            r"\b(?:electronically signed by|signed by|dictated by|reported by|referred by|"
            r"radiologist|referring physician|patient name|name)\s?:?[ \t]+"
            r"((?:(?:[A-Z]\.|[A-Z][\w'\u2019-]+),?[ \t]{1,2}){1,3}[A-Z][\w'\u2019-]+)"
        ),
        NAME,
    ),
    (re.compile(r"\b(?:19|20)\d{2}[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])\b"), DATE),
    (re.compile(rf"\b{_DAY}[-/.]{_DAY}[-/.](?:19|20)?\d{{2}}\b"), DATE),
    (
        re.compile(
            rf"\b{_DAY}(?:st|nd|rd|th|\.)?[ -](?:of )?{_MONTH},?[ -](?:19|20)?\d{{2}}\b",
            re.IGNORECASE,
        ),
        DATE,
    ),
    (
        re.compile(rf"\b{_MONTH} {_DAY}(?:st|nd|rd|th)?,? (?:19|20)\d{{2}}\b", re.IGNORECASE),
        DATE,
    ),
    (re.compile(r"(?<![\w.])\+\d{1,3}[ \d()/-]{6,18}\d\b"), PHONE),
    (re.compile(r"(?<![\w.])\(?\d{3,5}\)?[ /-]\d{3,4}[ -]\d{2,4}(?:[ -]\d{2,4})?\b"), PHONE),
    (re.compile(r"(?<![\d.,])\d{7,}(?![\d])"), ID),
    (re.compile(r"\b(?:[A-Z]{1,4}[-/]?\d{6,}|\d{1,3}(?:\.\d{1,15}){5,})\b"), ID),
)  # fmt: skip


def scrub(text: str, identities: Sequence[str]) -> str:
    """Replace identities in a text by placeholders ([NAME], [ID], [DATE], [PHONE], [MAIL]).

    `identities` are names, ids and dates (ISO, or YYYYMMDD) of the report's patient and study.
    A name is found whole and in its parts of at least three letters, whatever the case, also
    with a genitive's s; a date in every usual notation. The result does not depend on the order
    of `identities`, and scrubbing it again changes nothing.
    """
    for pattern, placeholder in _known(identities):
        text = _replaced(text, pattern, placeholder)
    for pattern, placeholder in _PATTERNS:
        text = _replaced(text, pattern, placeholder)
    return text


def _replaced(text: str, pattern: re.Pattern[str], placeholder: str) -> str:
    """Replace outside placeholders; where a pattern has a group, only the group goes."""
    pieces = _PLACEHOLDER.split(text)
    for i in range(0, len(pieces), 2):
        pieces[i] = pattern.sub(lambda found: _put(found, placeholder), pieces[i])
    return "".join(pieces)


def _put(found: re.Match[str], placeholder: str) -> str:
    if not found.re.groups:
        return placeholder
    start, end = found.start(1) - found.start(), found.end(1) - found.start()
    return found[0][:start] + placeholder + found[0][end:]


def _known(identities: Iterable[str]) -> list[tuple[re.Pattern[str], str]]:
    """Patterns of what is known of the patient, dates before ids before names, longest first."""
    dates: set[str] = set()
    numbers: set[str] = set()
    names: set[str] = set()
    for identity in identities:
        plain = " ".join(identity.replace("^", " ").split())
        day = _date(plain)
        if day is not None:
            dates |= _notations(day)
        elif any(character.isdigit() for character in plain):
            if len(plain) >= 4:
                numbers.add(re.escape(plain))
        else:
            names |= _name_forms(plain)
    made = []
    for forms, placeholder in ((dates, DATE), (numbers, ID), (names, NAME)):
        if forms:
            ordered = sorted(forms, key=lambda form: (-len(form), form))
            joined = "|".join(ordered)
            made.append((re.compile(rf"(?<!\w)(?:{joined})(?!\w)", re.IGNORECASE), placeholder))
    return made


def _name_forms(name: str) -> set[str]:
    parts = [part for part in re.split(r"[\s,.;=]+", name) if part]
    forms = {part for part in parts if sum(map(str.isalpha, part)) >= 3}
    forms |= {half for part in parts for half in part.split("-") if len(half) >= 4}
    made = {re.escape(form) + r"(?:['\u2019]?s)?" for form in forms}
    if len(parts) > 1:
        gap = r"[\s,.^]{1,3}"
        made.add(gap.join(map(re.escape, parts)))
        made.add(gap.join(map(re.escape, reversed(parts))))
    return made


def _date(value: str) -> dt.date | None:
    for form in ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y"):
        try:
            return dt.datetime.strptime(value, form).replace(tzinfo=dt.UTC).date()
        except ValueError:
            continue
    return None


def _notations(day: dt.date) -> set[str]:
    """Regular expressions for the usual notations of a date."""
    year, short = f"{day.year:04d}", f"{day.year % 100:02d}"
    d, m = f"0?{day.day}", f"0?{day.month}"
    brief, full = _MONTHS[day.month - 1]
    month = rf"{brief}(?:{full[3:]}|t)?\.?" if full != brief else brief
    separator = r"\s?[-/.]\s?"
    years = f"(?:{year}|{short})"
    ordinal = r"(?:st|nd|rd|th|\.)?"
    return {
        f"{year}{day.month:02d}{day.day:02d}",
        separator.join((year, m, d)),
        separator.join((d, m, years)),
        separator.join((m, d, years)),
        rf"{d}{ordinal}[\s-](?:of\s)?{month},?[\s-]{years}",
        rf"{month}\s{d}{ordinal},?\s{years}",
        rf"{d}{ordinal}[\s-](?:of\s)?{month}",
        rf"{month}\s{d}{ordinal}",
    }
