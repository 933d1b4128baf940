"""Postal addresses of practices and people, as they stand in heads and feet of reports."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fvlm_data.reports.scrubbing.signatures import CAPITAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fvlm_data.vocabulary.text_entries import IdentityWords

_Hint = tuple[str, ...] | re.Pattern[str]
_NUMBERED = re.compile(r"\d[A-Za-z]?[ \t]+[A-Z]")
_WORD = rf"{CAPITAL}[\w'\u2019.-]*"
_NUMBER = r"\d{1,5}[A-Za-z]?"


def address_patterns(words: IdentityWords) -> tuple[tuple[_Hint, re.Pattern[str]], ...]:
    """Streets with a number before or behind the name, and what goes on behind them.

    Each behind a hint, as in scrub.py: what a text must hold for there to be one.

    That is a suite, a town, a state and a postal code, on the same line or the next two.
    """
    audit = words.audit
    streets, rooms, boxes = _written(audit.streets), _any(audit.rooms), _any(audit.boxes)
    ending = _any(audit.streets_before_number)
    town = (
        rf"(?:,?[ \t]*\n?[ \t]*(?i:{rooms}|{boxes})\b\.?[ \t]*[\w-]{{1,6}})?"
        rf"(?:,?[ \t]*\n?[ \t]*(?:\d{{5}}[ \t]+)?{_WORD}(?:[ \t]{_WORD}){{0,2}},?[ \t]+"
        rf"(?:[A-Z]{{2}}[ \t]+\d{{5}}(?:-\d{{4}})?|[A-Z]{{1,2}}\d[A-Z\d]?[ \t]\d[A-Z]{{2}})"
        rf"|,[ \t]*\n?[ \t]*\d{{5}}[ \t]+{_WORD})?"
    )
    before = rf"{_NUMBER}[ \t]+(?:{_WORD}[ \t]+){{1,4}}?(?:{streets})\b\.?(?![ \t]*[a-z])"
    behind = rf"(?:{_WORD}[ \t]+){{0,3}}?{CAPITAL}[\w-]*[ \t]?(?:{ending})[ \t]*{_NUMBER}\b"
    box = rf"(?i:{boxes})[ \t]+\d{{1,6}}\b"
    boxed = tuple(form for one in audit.boxes for form in (one, one.upper(), one.title()))
    pairs = ((_NUMBERED, before), (audit.streets_before_number, behind), (boxed, box))
    return tuple((hint, re.compile(rf"(?<![\w.,/])(?:{one}){town}")) for hint, one in pairs)


def _any(words: Iterable[str]) -> str:
    listed = sorted(map(re.escape, words), key=lambda one: (-len(one), one))
    return "|".join(listed) or r"(?!)"


def _written(streets: Iterable[str]) -> str:
    """Words of streets as addresses have them: with a capital, or in capitals but for short ones.

    "12 Lead ST elevation" names no street.
    """
    long = [one for one in streets if len(one) > 3]
    forms = [one.capitalize() for one in streets] + [one.upper() for one in long]
    return "|".join(sorted(map(re.escape, forms), key=lambda one: (-len(one), one)))
