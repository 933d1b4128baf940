"""Dates whose day or year is in words: "the third of May nineteen sixty", "May third, 1960"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fvlm_data.reports.scrubbing.normal_form import fold

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator

    from fvlm_data.vocabulary.text_entries import IdentityWords

_BLANKS = r"[\s-]{1,3}"
_MOST_WORDS = 6
"""Words that a year may go on with: hundred and twenty-one, in German all of them in one."""


def worded_date(words: IdentityWords) -> str:
    """An expression for any date whose day is in words, with its year; none without such words.

    A day and month alone may be no date ("the third may be a node").
    """
    days = any_word(form for forms in words.days_in_words.values() for form in forms)
    months = any_word(name for names in words.months.values() for name in names)
    return _forms(
        words, f"(?:{days})", f"(?:{months})", rf"(?:{year_in_words(words)}|(?:19|20)\d\d)"
    )


def worded_date_hint(words: IdentityWords) -> str:
    """An expression that is found in every text with such a date, fast: a month as a noun has it.

    That is behind "of", with a capital before a word, or before a century in words.
    """
    months = {name for names in words.months.values() for name in names}
    titled = any_word(form for one in months for form in (one.title(), one.upper()))
    small = any_word(months)
    begins = words.years_in_words.begins
    centuries = any_word(form for one in begins for form in (one, one.title(), one.upper()))
    of_month = any_word(form for one in words.day_of_month for form in (one, one.upper()))
    return (
        rf"(?:{titled})\b\W{{1,3}}(?:[^\W\d_]|(?:19|20)\d)|(?:{centuries})|"
        rf"\b(?:{of_month}){_BLANKS}(?:{small}|{titled})\b"
    )


def notations(day: dt.date, words: IdentityWords) -> Iterator[str]:
    """Expressions for a known date with day or year in words, over texts in lower case."""
    month = f"(?:{any_word(words.months[day.month])})"
    spelt = f"(?:{any_word(words.days_in_words.get(day.day, ()))})"
    year = rf"(?:{year_in_words(words)}|{day.year:04d}|'?{day.year % 100:02d})"
    yield _forms(words, spelt, month, year)
    ordinal = f"(?:{any_word(words.ordinals)})?"
    yield _forms(words, rf"0?{day.day}{ordinal}", month, f"(?:{year_in_words(words)})")
    if words.day_of_month:
        yield rf"{spelt}{_BLANKS}(?:{any_word(words.day_of_month)}){_BLANKS}{month}"


def needed(day: dt.date, words: IdentityWords) -> tuple[tuple[str, ...], ...]:
    """What a text holds that holds the date in words: its month, and its day or a century."""
    told = (*words.days_in_words.get(day.day, ()), *words.years_in_words.begins)
    return tuple(map(fold, words.months[day.month])), tuple(map(fold, told))


def year_in_words(words: IdentityWords) -> str:
    """An expression for a year in words; for nothing where the language has none here."""
    parts = words.years_in_words
    goes_on = rf"(?:[\s-]?(?:{any_word(parts.goes_on)}))"
    return rf"(?:{any_word(parts.begins)}){goes_on}{{0,{_MOST_WORDS}}}"


def any_word(words: Iterable[str]) -> str:
    """An expression for any of the words, also in normal form, the longest first."""
    listed = sorted(
        {form for word in words for form in (word, fold(word))}, key=lambda word: (-len(word), word)
    )
    return "|".join(map(re.escape, listed)) or r"(?!)"


def _forms(words: IdentityWords, day: str, month: str, year: str) -> str:
    of_month = rf"(?:(?:{any_word(words.day_of_month)}){_BLANKS})?"
    before = any_word(words.years_in_words.before)
    between = rf"(?:,?\s{{0,2}}(?:(?:{before})\s)?|[\s-]{{1,2}})"
    day_first = rf"{day}{_BLANKS}{of_month}{month}\.?{between}{year}"
    article = rf"(?:(?:{any_word(words.years_in_words.articles)})\s)?"
    month_first = rf"{month}\.?{_BLANKS}{article}{day}{between}{year}"
    return f"(?:{day_first}|{month_first})"
