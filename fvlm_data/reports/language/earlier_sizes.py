"""Earlier sizes that have no unit of their own, or that only a date tells.

"61 mm (prev 56)", "16 mm (was 12 in 3/24)", "5.2 cm (2021: 4.8)", "now 34 mm (21)": of the unit
of the size before. "4.4 cm (4.2 cm in 2022)": of two sizes the dated one is the earlier.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.vocabulary.wording import wording

if TYPE_CHECKING:
    from fvlm_data.vocabulary.grammar_entries import SizeWords

_NUMBER = r"\d{1,3}(?:[.,]\d{1,2})?"
_NUMBERS = rf"{_NUMBER}(?:[ ]?[x\u00d7][ ]?{_NUMBER}){{0,2}}(?!\d|[.,]\d|[ ]?[/%x\u00d7])"
_DATE = (
    r"(?:\[date\]|(?:19|20)\d\d(?:-\d\d){0,2}|\d{1,2}[/.](?:19|20)\d\d"
    r"|\d{1,2}[/.]\d{1,2}[/.](?:19|20)?\d\d|\d{1,2}\.[ ]?\d{1,2}\.)(?![\d/])"
)
"""A date as it is written, or what stands for one in a text without identities.

"3/24" may be series and image, and is a date only behind a word for an earlier size.
"""
_YEAR = r"(?:19|20)\d\d"
_SHORT_DATE = r"\d{1,2}/\d\d(?![\d/])"
_ASIDE = r"[^\d()\[\];.]{0,40}?[(\[][ ]?"
"""What a bracket behind a size may stand behind."""
_END = r"[ ]?(?:[)\],;.]|\Z)"
_MOST = 5.0
"""Times by which a thing may have grown or shrunk; what differs by more is no size of it."""
_OF_NEXT = re.compile(r"[^\d,;.()]{0,30}")
"""What stands between a date and the size that is of it."""
_FAR = 48
"""Characters before a size in which its date may stand."""
_NEAR = 24
"""Characters before a size that may tell that it is today's."""


@dataclass(frozen=True, slots=True)
class EarlierPatterns:
    """Earlier sizes in the words of a language, from the end of a size on."""

    named: re.Pattern[str]
    """Behind a word for what was before: "(prev 56)", ", previously 56"."""
    dated: re.Pattern[str]
    """In brackets with a date, or before a word for what was before: "(56 in 2022)"."""
    alone: re.Pattern[str]
    """A number in brackets, and nothing else."""
    date_behind: re.Pattern[str]
    date_before: re.Pattern[str]
    now: re.Pattern[str]


def earlier_patterns(words: SizeWords, links: str) -> EarlierPatterns:
    """The patterns of a grammar; `links` may stand between a word for earlier and a size."""
    prior, past = wording(words.prior), wording(words.past)
    names = wording(words.months)
    months = rf"(?:(?:{names})\.?[ ,]{{1,2}})?"
    dated = wording(words.dated)
    day = r"(?:\d{1,2}[^\W\d_]{0,2}\.?[ ])?"
    on_date = rf"(?:{dated})[ ](?:{months}{_DATE}|{day}(?:{names})\b(?:[ ]{_YEAR})?)"
    behind = rf"(?:{wording(words.prior_behind)}|{on_date}|{months}{_DATE})"
    return EarlierPatterns(
        re.compile(
            rf"(?:{_ASIDE}(?:{prior}|{past}){links}{{0,4}}|[ ]?[,;][ ]?(?:{prior}){links}{{0,4}}"
            rf"|[^\d;.]{{0,40}}?\b(?:{prior}){links}{{0,4}}|[ ]?,[ ](?:{past}))[ ,.:(=]{{1,3}}"
            rf"(?P<number>{_NUMBERS})(?={_END}|[ ]{behind}|[ ](?:{dated})[ ]{_SHORT_DATE})",
            re.IGNORECASE,
        ),
        re.compile(
            rf"{_ASIDE}(?:{months}{_DATE}[ ]?[:=,-]?[ ]?(?P<first>{_NUMBERS})(?={_END})"
            rf"|(?P<number>{_NUMBERS})[ ]{behind})",
            re.IGNORECASE,
        ),
        re.compile(rf"[ ]?\((?P<number>{_NUMBERS})\)", re.IGNORECASE),
        re.compile(rf"[ ,]{{0,2}}\b{on_date}|[ ]?{months}{_DATE}[ ]?\)", re.IGNORECASE),
        re.compile(
            rf"(?:{months}{_DATE}[ ]?[:=]|[,;(][ ]?{on_date}[^\d,;.()]{{0,24}})[ ]{{0,2}}\Z",
            re.IGNORECASE,
        ),
        re.compile(rf"\b(?:{wording(words.now)})", re.IGNORECASE),
    )


def without_unit(
    text: str, start: int, end: int, following: int, patterns: EarlierPatterns
) -> tuple[int, int, str] | None:
    """Characters and words of an earlier size behind the size at [start, end)."""
    made = None
    if found := patterns.named.match(text, end):
        made = (found.start("number"), found.end("number"), found["number"])
    elif found := patterns.dated.match(text, end):
        name = "first" if found["first"] else "number"
        made = (found.start(name), found.end(name), found[name])
    elif found := patterns.alone.match(text, end):
        # "(87)" may be the number of an image.
        today = patterns.now.search(text, max(0, start - _NEAR), start) is not None
        if today or not found["number"].isdigit():
            made = (found.start("number"), found.end("number"), found["number"])
    return made if made is not None and made[1] <= following else None


def plausible(mm: float, earlier_mm: float) -> bool:
    """Whether one thing may have both sizes."""
    return earlier_mm > 0 and 1 / _MOST <= mm / earlier_mm <= _MOST


def is_dated(
    text: str, start: int, end: int, following: int | None, patterns: EarlierPatterns
) -> bool:
    """Whether a date tells of when the size at [start, end) was; another one may be `following`.

    "52 mm, in 2021 it measured 47 mm": a date behind a comma is of what follows it.
    """
    if patterns.date_before.search(text, max(0, start - _FAR), start):
        return True
    found = patterns.date_behind.match(text, end)
    if found is None or "," not in found[0] or following is None:
        return found is not None
    return not _OF_NEXT.fullmatch(text, found.end(), following)
