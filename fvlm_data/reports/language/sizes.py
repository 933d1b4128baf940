"""Sizes that a sentence states, in mm, those of today apart from earlier ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.earlier_sizes import (
    EarlierPatterns,
    earlier_patterns,
    is_dated,
    plausible,
    without_unit,
)
from fvlm_data.vocabulary.wording import lowered, wording

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.reports.language.records import Change
    from fvlm_data.vocabulary.grammar_entries import SizeWords

_NUMBER = r"(?:\d{1,4}(?:[.,]\d{1,3})?|\.\d{1,2})"
_LARGEST_MM = 1000.0
_LEAST_CHANGE_MM = 2.0
_LEAST_CHANGE = 0.05
_ONE_NUMBER = re.compile(_NUMBER)
_SEVERAL = 2
_BEFORE = 60
"""Characters before and behind a size that may tell that it is an earlier one."""


class Size(NamedTuple):
    """A size at characters [start, end): the largest of up to three dimensions."""

    start: int
    end: int
    mm: float
    prior: bool = False
    """Whether it is that of an earlier examination."""
    below: bool = False
    """Whether what it is said of is smaller ("below 1 cm")."""
    beside: bool = False
    """Whether it is of what the size before it is of."""


@dataclass(frozen=True, slots=True)
class SizePatterns:
    """Sizes in the words of a language."""

    units_mm: Mapping[str, float]
    size: re.Pattern[str]
    """Up to three numbers, each with or without a unit."""
    fraction: re.Pattern[str]
    before: re.Pattern[str]
    """What stands before an earlier size ("previously")."""
    behind: re.Pattern[str]
    """What stands behind an earlier size ("12 mm on the prior CT")."""
    past: re.Pattern[str]
    """What may stand before an earlier size: "was"; `now` follows, or a bracket is before."""
    now: re.Pattern[str]
    start_of_range: re.Pattern[str]
    came_from: re.Pattern[str]
    """What may stand before the earlier of two sizes: "shrank to 12 mm from 31 mm"."""
    distance: re.Pattern[str]
    """What stands behind a distance."""
    below: re.Pattern[str]
    extent: re.Pattern[str]
    """What stands before a length along which something of another size goes on."""
    aside: re.Pattern[str]
    """What stands between a size and an earlier one that is all of a bracket."""
    ago: re.Pattern[str]
    earlier: EarlierPatterns
    beside: re.Pattern[str]
    """What stands between the sizes of one thing: a bracket, or a verb without a subject."""
    respectively: re.Pattern[str]
    """The first of two sizes with one unit, where a word tells that two lists go together."""
    one_unit: re.Pattern[str]
    """A size and an earlier one in a bracket before their unit: "5.6 (prev 5.2) cm"."""
    changed: re.Pattern[str]
    """Words that make of "from 5 to 7 mm" a growth, and not a range."""


def change_of_sizes(mm: float, prior_mm: float) -> Change | None:
    """What two sizes of one thing tell; less than 5 % or 2 mm may be the measuring: none."""
    if mm == prior_mm:
        return "stable"
    change = mm - prior_mm
    if abs(change) < max(_LEAST_CHANGE_MM, _LEAST_CHANGE * prior_mm):
        return None
    return "increased" if change > 0 else "decreased"


def size_patterns(
    words: SizeWords,
    articles: tuple[str, ...],
    units_mm: Mapping[str, float],
    joints: tuple[str, ...] = (),
) -> SizePatterns:
    """The patterns of a grammar; `units_mm` holds the longest word first."""
    article = rf"(?:(?:{wording(articles)})[ ])?"
    unit = "(?:" + ("|".join(map(re.escape, units_mm)) or r"(?!)") + ")"
    times = rf"\s?(?:[x\u00d7*]|{wording(words.times)})\s?"
    # "in the previous control of March measured"
    links = rf"(?:[ ,:(]{{1,3}}(?:{wording((*words.prior_links, *words.months))}))"
    prior = wording(words.prior)
    return SizePatterns(
        units_mm,
        # The first digit comes first, so that `re` skips all else; no digit, dot, comma before it.
        re.compile(
            rf"(\d(?<![\d.,]\d)\d{{0,3}}(?:[.,]\d{{1,3}})?|(?<![\w.,])\.\d{{1,2}})\s?({unit})?"
            rf"(?:{times}({_NUMBER})\s?({unit})?)?"
            rf"(?:{times}({_NUMBER})\s?({unit})?)?(?:\s|-)?({unit})?\b",
            re.IGNORECASE,
        ),
        re.compile(
            rf"(\d(?<![\d.,/]\d)\d?[ -])?([1-7](?<![\d.,/].))/([2-8])[\s-]?({unit})\b",
            re.IGNORECASE,
        ),
        re.compile(
            rf"\b(?:{prior}){links}{{0,4}}[ ,.:(=]{{0,3}}"
            rf"(?:{_NUMBER}[ ]?(?:/|{wording(joints)})[ ]?)?\Z",  # "formerly 45 and 20 mm"
            re.IGNORECASE,
        ),
        re.compile(
            rf"(?:[ ]?(?:{wording(words.prior_between)})){{0,2}}"
            rf"[ (]{{0,2}}\b(?:{wording(words.prior_behind)})"
            # "22 mm, on prior 31 mm", but "31 mm on prior, 22 mm today"
            rf"(?!(?:[ :(]{{1,3}}(?:{wording(words.prior_links)})){{0,4}}[ :(=]{{0,3}}\d)",
            re.IGNORECASE,
        ),
        re.compile(rf"(\([ ]?)?\b(?:{wording(words.past)})[ ]\Z", re.IGNORECASE),
        re.compile(rf"\b(?:{wording(words.now)})", re.IGNORECASE),
        re.compile(
            rf"(?:\b(?:{wording(words.range_from)})[ ])?(?P<first>{_NUMBER})\s?(?P<unit>{unit})?"
            rf"(?P<arrow>[ ]?(?:->|\u2192)[ ]?|[ ](?:{wording(words.range_to)})[ ])\Z",
            re.IGNORECASE,
        ),
        re.compile(rf"\b(?:{wording(words.range_from)})[ ]\Z", re.IGNORECASE),
        re.compile(
            rf"[ ]?\b(?:{wording(words.distance)})(?![ ]{article}(?:\d|{prior}))",
            re.IGNORECASE,
        ),
        re.compile(rf"(?:<|\b(?:{wording(words.below)}))[ ]?\Z", re.IGNORECASE),
        re.compile(rf"\b(?:{wording(words.extents)})[ ]\Z", re.IGNORECASE),
        re.compile(rf"[ ,]{{0,2}}(?:{wording(words.prior_between)})?[ ]?\([ ]?", re.IGNORECASE),
        re.compile(rf"[ ]?\b(?:[\w/]{{1,12}}[ ]){{0,3}}(?:{wording(words.ago)})", re.IGNORECASE),
        earlier_patterns(words, links),
        re.compile(rf"[(\[]|,[ ](?:{wording(words.past)})[ ]\Z", re.IGNORECASE),
        re.compile(
            rf"\b(?P<first>{_NUMBER})(?=\s?(?:,|/|{wording(joints)})\s?{_NUMBER}\s?(?P<unit>{unit})\b"
            rf".*\b(?:{wording(words.respectively)})\b)",
            re.IGNORECASE,
        ),
        re.compile(
            rf"\b(?P<size_now>{_NUMBER})[ ]?\((?:{prior}){links}{{0,4}}[ ,.:=]{{0,3}}"
            rf"(?P<size_then>{_NUMBER})\)[ ]?(?P<unit>{unit})\b",
            re.IGNORECASE,
        ),
        re.compile(rf"\b(?:{wording(words.changed)})", re.IGNORECASE),
    )


def stated_sizes(text: str, patterns: SizePatterns, *, compared: bool = True) -> list[Size]:
    """Sizes stated in a text, in order; all are of today where nothing is `compared`."""
    made = _fractions(text, patterns) if "/" in text else []
    taken = [(size.start, size.end) for size in made]
    for found in patterns.size.finditer(text):
        size = _stated(found, patterns.units_mm)
        if size is None or patterns.distance.match(text, size.end):
            continue
        # "wall thickening 8 mm over 12 cm"
        if made and patterns.extent.search(text, made[-1].end, size.start):
            continue
        if not any(a < size.end and size.start < b for a, b in taken):
            made.append(size)
    for found in patterns.one_unit.finditer(text) if "(" in text else ():
        for name in ("size_now", "size_then"):
            mm = float(found[name].replace(",", ".")) * _length_mm(found["unit"], patterns.units_mm)
            made.append(Size(found.start(name), found.end(name), mm))
    for found in patterns.respectively.finditer(text) if made else ():
        mm = float(found["first"].replace(",", ".")) * _length_mm(found["unit"], patterns.units_mm)
        made.append(Size(found.start(), found.end("first"), mm))
    made.sort()
    if not made or not (compared or len(made) > 1):
        return made
    return _with_priors(text, made, patterns)


def _stated(found: re.Match[str], units_mm: Mapping[str, float]) -> Size | None:
    groups = found.groups()
    units = [unit for unit in (groups[6], groups[5], groups[3], groups[1]) if unit]
    if not units:
        return None
    value = max(
        float(number.replace(",", ".")) * _length_mm(unit or units[0], units_mm)
        for number, unit in (
            (groups[0], groups[1]),
            (groups[2], groups[3]),
            (groups[4], groups[5]),
        )
        if number
    )
    return Size(found.start(), found.end(), value) if 0 < value <= _LARGEST_MM else None


def _fractions(text: str, patterns: SizePatterns) -> list[Size]:
    """Sizes such as "1/2 cm" and "1 1/2 cm"."""
    return [
        Size(
            found.start(),
            found.end(),
            (float(found[1] or 0) + int(found[2]) / int(found[3]))
            * _length_mm(found[4], patterns.units_mm),
        )
        for found in patterns.fraction.finditer(text)
    ]


def _with_priors(text: str, sizes: Sequence[Size], patterns: SizePatterns) -> list[Size]:
    """The sizes, each told whether it is an earlier one; "from 5 to 7 mm" gives two."""
    made: list[Size] = []
    done = told = 0
    for i, size in enumerate(sizes):
        following = sizes[i + 1].start if i + 1 < len(sizes) else len(text)
        begun = patterns.start_of_range.search(text, max(done, size.start - _BEFORE), size.start)
        first = _first_of_range(begun, text, size, patterns) if begun else 0.0
        grown = begun and (
            not begun["arrow"].strip(" ->\u2192")
            or patterns.changed.search(text, 0, size.start)
            or first > size.mm  # no range falls
        )
        if begun and grown:
            if made and begun["unit"] and made[-1].end >= begun.end("unit"):
                made.pop()
            made.append(Size(begun.start("first"), begun.end("first"), first, prior=True))
            made.append(size)
        else:
            low = max(made[-1].end if made else 0, told, size.start - _BEFORE)
            behind = patterns.behind.match(text, size.end)
            told = behind.end() if behind else told
            prior = _is_prior(text, low, size, following, patterns) or (
                bool(made)
                and patterns.came_from.search(text, low, size.start) is not None
                and patterns.changed.search(text, 0, size.start) is not None
            )
            prior = prior or _alone_in_bracket(text, made, size, patterns)
            below = patterns.below.search(text, low, size.start) is not None
            beside = prior and patterns.beside.search(text, low, size.start) is not None
            made.append(size._replace(prior=prior, below=below, beside=beside))
            if not prior and (earlier := _without_unit(text, size, following, patterns)):
                made.append(earlier)
        done = size.start
    return _by_date(text, made, patterns.earlier)


def _alone_in_bracket(
    text: str, before: Sequence[Size], size: Size, patterns: SizePatterns
) -> bool:
    """Whether a size is all of a bracket behind another one: "19 mm short axis (12 mm)".

    "24 mm (2.4 cm)" is one size in two units.
    """
    return (
        bool(before)
        and not before[-1].prior
        and (
            before[-1].mm != size.mm
            or _unit_of(text, before[-1], patterns) == _unit_of(text, size, patterns)
        )
        and plausible(before[-1].mm, size.mm)
        and patterns.aside.fullmatch(text, before[-1].end, size.start) is not None
        and text[size.end :].lstrip().startswith(")")
    )


def _first_of_range(begun: re.Match[str], text: str, size: Size, patterns: SizePatterns) -> float:
    """The size before "to" in mm, of its own unit or of that of the size behind it."""
    unit = begun["unit"]
    length = _length_mm(unit, patterns.units_mm) if unit else _unit_of(text, size, patterns)
    return float(begun["first"].replace(",", ".")) * length


def _without_unit(text: str, size: Size, following: int, patterns: SizePatterns) -> Size | None:
    """An earlier size that stands behind one of today, in its unit."""
    found = without_unit(text, size.start, size.end, following, patterns.earlier)
    if found is None:
        return None
    start, end, numbers = found
    length = _unit_of(text, size, patterns)
    mm = max(float(one.replace(",", ".")) * length for one in _ONE_NUMBER.findall(numbers))
    made = Size(start, end, mm, prior=True, beside=True)
    return made if plausible(size.mm, mm) else None


def _by_date(text: str, sizes: list[Size], patterns: EarlierPatterns) -> list[Size]:
    """Of several sizes those that have a date are earlier ones, unless all have."""
    if len(sizes) < _SEVERAL:
        return sizes
    behind = [*(one.start for one in sizes[1:]), None]
    dated = [
        one.prior or is_dated(text, one.start, one.end, following, patterns)
        for one, following in zip(sizes, behind, strict=True)
    ]
    if all(dated):
        return sizes
    return [
        one._replace(prior=prior, beside=one.beside or (prior and text[one.start - 1] in "(["))
        if prior and not one.prior
        else one
        for one, prior in zip(sizes, dated, strict=True)
    ]


def _unit_of(text: str, size: Size, patterns: SizePatterns) -> float:
    """Length of the unit that a size ends in."""
    written = lowered(text[size.start : size.end]).rstrip()
    return next((mm for unit, mm in patterns.units_mm.items() if written.endswith(unit)), 1.0)


def _is_prior(text: str, low: int, size: Size, following: int, patterns: SizePatterns) -> bool:
    before, behind = text[low : size.start], text[size.end : size.end + _BEFORE]
    if patterns.before.search(before) or patterns.behind.match(behind):
        return True
    if patterns.ago.match(behind):
        return True
    if before.strip() == "(" and behind.lstrip().startswith(")") and low > 0:
        # "now 14 mm (22 mm)", "decreased to 14 mm (22 mm)"
        return bool(patterns.now.search(text, max(0, low - _BEFORE // 2), low)) or bool(
            patterns.changed.search(text, 0, low)
        )
    now = following < len(text) and patterns.now.search(text, size.end, following)
    if now and patterns.came_from.search(before):  # "doubled from 6 mm and is now 12 mm"
        return True
    past = patterns.past.search(before)
    if past is None:
        return False
    # "9 mm (was 6 mm)", "9 mm, was 6 mm"
    bracketed = low > 0 and (past[1] is not None or before[: past.start()].strip() == ",")
    return bracketed or bool(now)


def _length_mm(unit: str, units_mm: Mapping[str, float]) -> float:
    """Length of a unit as written; `re` takes a few letters for equal that lower() keeps."""
    known = units_mm.get(unit.lower())
    if known is not None:
        return known
    return next(
        length for word, length in units_mm.items() if re.fullmatch(word, unit, re.IGNORECASE)
    )
