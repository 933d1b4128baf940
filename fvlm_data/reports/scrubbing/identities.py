"""Where what is known of a patient stands in a text: names, ids, dates and places.

Texts are compared in normal form. A name is found inflected ("Mustermanns", "Yilmaz'in"), broken
over lines, hyphenated, letter-spaced and, if it is long, misspelt (misspelt.py); an id with other
separators; a date in every usual notation. What may be a plain word is a name only where it stands
as one (standing.py).
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.identity.readings import reread
from fvlm_data.reports.scrubbing import worded_dates
from fvlm_data.reports.scrubbing.misspelt import misspelt_places
from fvlm_data.reports.scrubbing.name_forms import name_forms, skeleton
from fvlm_data.reports.scrubbing.normal_form import fold, normal_form
from fvlm_data.reports.scrubbing.standing import is_small_word, stands_as_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fvlm_data.vocabulary import Vocabulary
    from fvlm_data.vocabulary.text_entries import IdentityWords

NAME, ID, DATE = "[NAME]", "[ID]", "[DATE]"
DOT = r"\."
FOREIGN_MONTH = r"(?:[^\W\d_]{1,3}\s)?[^\W\d_]{3,12}\.?(?:\s[^\W\d_]{1,3})?"
"""A word between the day and the year of a known date ("29 de febrero de 1944")."""

_SEPARATOR = r"[\s./_-]?"
_AROUND = {
    "date": r"(?<![^\W_])(?:{})(?:(?![^\W_])|(?=t\d))",
    "id": r"(?<![^\W_])(?:{})(?![^\W_])",
    "within": r"(?:{})",
    "whole": r"(?<![^\W\d_])(?:{})(?![^\W\d_])",
    "word": r"(?<![^\W\d_])(?:{})(?![^\W\d_])",
}
"""What stands around each kind of form, in the order in which they are looked for."""
_PLACEHOLDERS = {"date": DATE, "id": ID}


class _Form(NamedTuple):
    """A regular expression for one spelling of an identity, over the text in normal form.

    No text matches it that lacks one of the `needed` in each of its groups, looked for in what
    `skeleton` leaves of the text (names and ids) or in the normal form (dates).
    """

    kind: str
    pattern: str
    needed: tuple[tuple[str, ...], ...]


class Known(NamedTuple):
    """A place of a text where an identity stands, or may stand: then it is `doubtful`."""

    start: int
    end: int
    placeholder: str
    doubtful: bool


def known_spans(
    text: str, identities: Iterable[str], vocabulary: Vocabulary
) -> Iterator[tuple[int, int, str]]:
    """Start, end and placeholder of identities, dates before ids before names, longest first."""
    for one in known_places(text, identities, vocabulary):
        if not one.doubtful:
            yield one.start, one.end, one.placeholder


def known_places(text: str, identities: Iterable[str], vocabulary: Vocabulary) -> Iterator[Known]:
    """As `known_spans`, with the places too where a plain word may be a name."""
    known = set(identities)
    forms = {form for identity in known for form in _forms(identity, vocabulary)}
    if not forms:
        return
    normal = normal_form(text)
    bare = skeleton(normal.text)
    kept = [form for form in forms if _may_stand(form, normal.text, bare)]
    for kind in _AROUND:
        mine = frozenset(form.pattern for form in kept if form.kind == kind)
        if not mine:
            continue
        for found in _compiled(kind, mine).finditer(normal.text):
            start, end = normal.span(*found.span())
            doubtful = kind in ("word", "whole") and not stands_as_name(
                text, start, end, vocabulary, several=kind == "whole"
            )
            if doubtful and is_small_word(text, start, end):
                continue
            yield Known(start, end, _PLACEHOLDERS.get(kind, NAME), doubtful)
    for start, end, doubtful in misspelt_places(text, normal, known, vocabulary):
        yield Known(start, end, NAME, doubtful)


def _may_stand(form: _Form, folded: str, bare: str) -> bool:
    """Whether a text may match: to compile a patient's patterns takes longer than to parse."""
    where = folded if form.kind == "date" else bare
    return all(any(map(where.__contains__, group)) for group in form.needed)


@lru_cache(maxsize=256)
def _compiled(kind: str, patterns: frozenset[str]) -> re.Pattern[str]:
    joined = "|".join(sorted(patterns, key=lambda pattern: (-len(pattern), pattern)))
    return re.compile(_AROUND[kind].format(joined))


@lru_cache(maxsize=4096)
def _forms(identity: str, vocabulary: Vocabulary) -> tuple[_Form, ...]:
    plain = " ".join(identity.replace("^", " ").split())
    day = _date(plain)
    if day is not None:
        return _date_forms(day, vocabulary.identities)
    if any(character.isdigit() for character in plain):
        return _number_forms(plain)
    words = vocabulary.identities
    return tuple(_Form(*form) for name in reread(plain) for form in name_forms(name, words))


def _date_forms(day: dt.date, words: IdentityWords) -> tuple[_Form, ...]:
    """Every notation has the day, and the year's last two digits or the month's name."""
    month = tuple(map(fold, words.months[day.month]))
    needed = ((str(day.day),), (f"{day.year % 100:02d}", *month))
    worded = worded_dates.needed(day, words)
    return (
        *(_Form("date", notation, needed) for notation in _notations(day, words)),
        *(_Form("date", notation, worded) for notation in worded_dates.notations(day, words)),
    )


def _number_forms(value: str) -> tuple[_Form, ...]:
    """An id with any separators; with none of its leading zeros where five digits remain."""
    characters = [character for character in fold(value) if character.isalnum()]
    if len(characters) < 4:
        return ()
    forms = {_SEPARATOR.join(characters)}  # letters and digits mean themselves
    stripped = "".join(characters).lstrip("0")
    if len(stripped) >= 5:
        forms.add("0*" + _SEPARATOR.join(stripped))
    needed = ((skeleton(stripped),),)
    return tuple(_Form("id", form, needed) for form in forms)


def month_form(brief: str, full: str) -> str:
    """A month's name, short or full, or short with a t ("Sept")."""
    if not full.startswith(brief):
        return f"(?:{any_of((full, brief))})"
    return rf"{re.escape(brief)}(?:{re.escape(full.removeprefix(brief))}|t)?"


def any_of(words: Iterable[str]) -> str:
    """An expression for any of the words, as they are written; for none where there is none."""
    return "|".join(map(re.escape, words)) or r"(?!)"


def _date(value: str) -> dt.date | None:
    if not (6 <= len(value) <= 10 and value[0].isdigit()):  # most ids: spare four attempts
        return None
    if len(value) == len("YYYYMMDD") and value.isdecimal() and value.isascii():
        try:
            return dt.date(int(value[:4]), int(value[4:6]), int(value[6:]))
        except ValueError:
            return None
    for form in ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y"):
        try:
            return dt.datetime.strptime(value, form).replace(tzinfo=dt.UTC).date()
        except ValueError:
            continue
    return None


def _notations(day: dt.date, words: IdentityWords) -> set[str]:
    """Regular expressions for the usual notations of a date."""
    year, short = f"{day.year:04d}", f"{day.year % 100:02d}"
    d, m = f"0?{day.day}", f"0?{day.month}"
    brief, full = map(fold, words.months[day.month])
    month = brief if full == brief else month_form(brief, full) + r"\.?"
    separator = r"\s?[-/.]\s?"
    years = f"(?:{year}|{short})"
    ordinal = f"(?:{'|'.join((*map(re.escape, words.ordinals), DOT))})?"
    of_month = rf"(?:(?:{any_of(words.day_of_month)})\s)?"
    return {
        f"{year}{day.month:02d}{day.day:02d}",
        separator.join((year, m, d)),
        separator.join((d, m, years)),
        separator.join((m, d, years)),
        rf"{d}{ordinal}[\s-]{of_month}{month},?[\s-]{years}",
        rf"{month}\s{d}{ordinal},?\s{years}",
        # a month in another language, which day and year give away
        rf"{d}{ordinal}[\s-]{FOREIGN_MONTH},?[\s-]{year}",
        rf"{d}{ordinal}[\s-]{of_month}{month}",
        rf"{month}\s{d}{ordinal}",
    }
