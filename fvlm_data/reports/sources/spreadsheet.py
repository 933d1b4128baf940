"""What spreadsheets do to numbers and texts, and how much of it can be undone."""

from __future__ import annotations

import re

_ERRORS = re.compile(r"#{2,}|#(?:N/A|NAME\?|REF!|VALUE!|DIV/0!|NUM!|NULL!|SPILL!|CALC!)")
_FORMULA = re.compile(r"=\s*\"(?P<text>[^\"]*)\"")
_SCIENTIFIC = re.compile(r"([+-]?)(\d)(?:[.,](\d*))?[eE]([+-]\d{1,3})")
_WHOLE = re.compile(r"(\d+)[.,]0+")
MOST_DIGITS = 15
"""Digits of a number that a spreadsheet, or a float, keeps for sure."""
CELL_CHARS = 32_767
"""Most characters that a cell of a spreadsheet holds: a text of this length has been cut."""


def is_error(text: str) -> bool:
    """Whether a spreadsheet shows an error in place of the cell's content (#NAME?, ####)."""
    return _ERRORS.fullmatch(text.strip()) is not None


def text_as_typed(value: str) -> str | None:
    """The text behind a cell that was to stay one: ="1.2" and '1.2 are 1.2; None: an error."""
    text = value.strip()
    formula = _FORMULA.fullmatch(text)
    if formula:
        return formula["text"].strip()
    if re.fullmatch(r"'\w[^']*", text):  # the mark that keeps a number a text
        return text[1:]
    return None if is_error(text) else text


def number_as_typed(value: str) -> str | None:
    """The number or name behind a cell: ="00123" is 00123, 12345.0 and 1.2345E+04 are 12345.

    None: it has lost digits that cannot be told (1.67683E+15, ####).
    """
    text = text_as_typed(value)
    if text is None or text != value.strip():
        return text
    whole = _WHOLE.fullmatch(text)
    if whole:
        return whole[1] if len(whole[1]) <= MOST_DIGITS else None
    scientific = _SCIENTIFIC.fullmatch(text)
    if scientific is None:
        return text
    sign, first, rest, power = scientific.groups()
    digits = first + (rest or "")
    shift = int(power)
    return None if sign or len(digits) != shift + 1 else digits
