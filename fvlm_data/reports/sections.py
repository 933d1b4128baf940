"""Sections and sub-headers of a report, with their places in the text."""

from __future__ import annotations

import bisect
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from fvlm_data.reports.records import Header, Section
from fvlm_data.vocabulary import load_sections
from fvlm_data.vocabulary.phrases import expand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.phrasebook import Phrasebook
    from fvlm_data.reports.records import SectionName

_MARKUP = (
    r"(?:[ \t#*>=|\u2022_-]{0,12}(?:</?\w[^<>\n]{0,40}>[ \t]{0,4}){0,4}"
    r"(?:(?:\d{1,2}|[IVX]{1,4}|[A-H])[.)][ \t]{0,4})?[*_\[(]{0,3})"
)
_LINE_START = re.compile(_MARKUP)
_SENTENCE_START = re.compile(r"[A-Z](?<=[.;:!?>)\]\[( \t\r\n].)")
_RULE_BELOW = re.compile(
    r"[ \t]{0,8}\r?\n[ \t]{0,4}(?:-{3,80}|={3,80}|_{3,80}|\*{3,80})[ \t]{0,8}(?=\r?\n|\Z)"
)
_LETTERS = 4
_TITLES = frozenset({
    "finding", "impression", "technique", "conclusion", "comparison", "indication",
    "clinical information", "clinical history", "clinical indication",
})  # fmt: skip
"""Names that in title case, without a colon, open a section before a capital."""
_SUB_START = re.compile(r"[\n.;!?:>)]")
_SUB = re.compile(
    r"(?:(?<=[.;!?:>)])[ \t]|(?<![:)]))[ \t*\u2022-]{0,6}"
    r"(?:\d{1,2}[.)][ \t]{0,3})?[*_]{0,3}"
    # What follows the run of letters that a name must be in tells most sentences apart at once.
    r"(?=[A-Za-z][A-Za-z ,/&()-]{1,63}+(?:[*_\t:\r\n]|\Z))"
    r"(?P<name>[A-Za-z][A-Za-z ,/&()-]{1,60}?)[*_]{0,3}[ \t]{0,3}(?::|(?=\r?\n|\Z))[*_]{0,3}"
)


@cache
def _names() -> dict[str, SectionName]:
    """The section of each header phrase, the longest phrase first."""
    names: dict[str, SectionName] = {}
    for section, phrases in sorted(load_sections().items()):
        for phrase in phrases:
            names.update(dict.fromkeys(map(_plain, expand(phrase)), section))
    return {name: names[name] for name in sorted(names, key=lambda name: (-len(name), name))}


@cache
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """A header of one of the given names, the first that fits."""
    joined = "|".join(re.escape(name).replace(r"\ ", r"s?[ \t/&-]{1,3}") for name in names)
    return re.compile(
        rf"(?P<name>(?:{joined})s?)(?![A-Za-z0-9])(?:[ \t]?\([^()\n]{{0,40}}\))?"
        r"(?P<sep>[*_=\])]{0,3}[ \t]{0,3}[*=]{0,3}(?:</\w{1,10}>[ \t]{0,3})?"
        r"(?:[:\uff1a](?:&nbsp;){0,3}|[-\u2013\u2014=|/](?=\s)|\.(?=\s)|\\(?:b0|par)\b"
        r"|(?<=[>\])])|(?=\r?\n|\Z)|(?=[ \t]+\S))[*_\])]{0,3}"
        r"(?:[ \t]{0,3}</\w{1,10}>){0,3})",
        re.IGNORECASE,
    )


@cache
def _beginnings() -> dict[str, re.Pattern[str]]:
    """First letters of header phrases, with the pattern that they are found by."""
    first = sorted({name.split()[0][:_LETTERS] for name in _names()})
    return {letters: re.compile(re.escape(letters), re.IGNORECASE) for letters in first}


@lru_cache(maxsize=10_000)
def _pattern_at(letters: str) -> re.Pattern[str] | None:
    """Pattern of the header phrases that begin with these four letters, which few words do."""
    first = {begin for begin, pattern in _beginnings().items() if pattern.match(letters)}
    if not first:
        return None
    return _pattern(tuple(name for name in _names() if name.split()[0][:_LETTERS] in first))


def _after_markup(text: str, line: int) -> int:
    """End of bullets, numbers and tags at the start of a line."""
    found = _LINE_START.match(text, line)
    return found.end() if found else line


def _plain(name: str) -> str:
    """A header without plurals, blanks joined: the form by which it is looked up."""
    words = re.split(r"[\s/&-]+", name.lower())
    return " ".join(
        word[:-1] if word.endswith("s") and len(word) > 3 else word for word in words if word
    )


def section_headers(text: str) -> list[Header]:
    """Headers that open a section, in order."""
    names = _names()
    made: list[Header] = []
    taken = -1
    starts: dict[int, int] = {}
    line = 0
    while line >= 0:
        end = _after_markup(text, line)
        if _pattern_at(text[end : end + _LETTERS]):
            starts[end] = line
        line = text.find("\n", line) + 1 or -1
    lines = frozenset(starts)
    for found in _SENTENCE_START.finditer(text):
        start = found.start()
        if _pattern_at(text[start : start + _LETTERS]):
            starts.setdefault(start, start)
    for start in sorted(starts):
        if start < taken:
            continue
        pattern = _pattern_at(text[start : start + _LETTERS])
        found_header = pattern.match(text, start) if pattern else None
        if found_header and _opens(found_header, text, at_line=start in lines):
            begin = _unblank(text, starts[start], start)
            if begin == start > 0 and text[start - 1] in "[(":
                begin -= 1
            below = _RULE_BELOW.match(text, found_header.end())
            taken = below.end() if below else found_header.end()
            name = names[_plain(found_header["name"])]
            if _plain(found_header["name"]) == "result" and any(
                header.section == "findings" for header in made
            ):
                name = "impression"
            made.append(Header(begin, taken, name))
    return made


def _unblank(text: str, start: int, end: int) -> int:
    """First non-blank place from `start` on, at most `end`."""
    while start < end and text[start].isspace():
        start += 1
    return start


def _opens(found: re.Match[str], text: str, *, at_line: bool) -> bool:
    """Whether header words are used as a header here, and not as words of a sentence."""
    name, separator = found["name"], found["sep"]
    mark = re.sub(r"</\w{1,10}>", "", separator).strip(" \t*_=])")[:1]
    capitals = name.isupper() and len(name) >= 4
    titled = capitals or name[0].isupper()
    if mark in (":", "\uff1a") and mark:
        return at_line or titled
    if mark == "\\":
        return titled
    if mark == ".":
        before = text[max(0, found.start() - 8) : found.start()].rstrip()[-1:]
        return capitals and (at_line or before in ".!?:;")
    if mark or "=" in separator.strip(" \t"):
        return (at_line and titled) or (capitals and mark not in "/")
    if "<" in separator or (separator.strip() and text[found.start() - 1 : found.start()] in "[("):
        return titled and (at_line or text[found.start() - 1 : found.start()] in ">[(")
    line_ends = not text[found.end() : found.end() + 80].split("\n", 1)[0].strip()
    if line_ends:
        return at_line and titled
    following = text[found.end() : found.end() + 40].split()
    if not following or (following[0].isupper() and len(following[0]) > 2):
        return False
    opens = at_line and following[0][:1].isupper() and _plain(name) in _TITLES
    return capitals or (titled and opens)


def sub_headers(text: str, book: Phrasebook, taken: Sequence[Header]) -> list[Header]:
    """Sub-headers: lines or sentence openings that only name anatomies ("Liver and biliary:").

    `taken` are the section headers, in order.
    """
    candidates = _sub_candidates(text)
    candidates += [found for header in taken if (found := _SUB_AFTER.match(text, header.end))]
    starts = [header.start for header in taken]
    made: list[Header] = []
    for found in sorted(candidates, key=lambda found: (found.start("name"), found.end())):
        start, end = _unblank(text, found.start(), found.start("name")), found.end()
        before = bisect.bisect_left(starts, end) - 1
        free = before < 0 or taken[before].end <= start
        if not free or (made and start < made[-1].end):
            continue
        if not found[0].rstrip("*_").endswith(":") and not _stands_alone(text, found):
            continue
        anatomies = named_anatomies(found["name"], book)
        if anatomies is not None:
            made.append(Header(start, end, None, anatomies))
    return made


def _sub_candidates(text: str) -> list[re.Match[str]]:
    """What has the form of a sub-header, at the start or after an end mark, none overlapping."""
    made: list[re.Match[str]] = []
    past = 0
    for start in (0, *(mark.end() for mark in _SUB_START.finditer(text))):
        found = _SUB.match(text, start) if start >= past else None
        if found:
            made.append(found)
            past = found.end()
    return made


_SUB_AFTER = re.compile(r"\s{0,8}(?P<name>[A-Za-z][A-Za-z ,/&()-]{1,60}?)[ \t]{0,3}:")


def _stands_alone(text: str, found: re.Match[str]) -> bool:
    """Whether a title without a colon has its line for itself, and is no part of a list."""
    start = found.start("name")
    line_start = text.rfind("\n", 0, start) + 1
    before = text[line_start:start].strip(" \t*_#\u2022-")
    complete = not re.search(r"(?:[,&/(-]|\b(?:and|of|the))\s*\Z", found["name"])
    return complete and text[start].isupper() and not re.sub(r"^\d{1,2}[.)]", "", before)


@lru_cache(maxsize=10_000)
def named_anatomies(name: str, book: Phrasebook) -> tuple[str, ...] | None:
    """Sites that a sub-header names; none at all where it holds any other word."""
    words = book.lexicon.words(name)
    if words[:1] == ("the",):
        # "The bladder wall: thickened" is a sentence; titles have no article.
        return None
    made: list[str] = []
    known = False
    i = 0
    while i < len(words):
        length, sites = _longest_at(words, i, book)
        if length:
            made += sites
            known = True
            i += length
        elif words[i] in (",", "/", "&", "and", "(", ")", "the", "of", "-", "both"):
            i += 1
        else:
            return None
    return tuple(dict.fromkeys(site for site in made if site)) if known else None


def _longest_at(words: tuple[str, ...], i: int, book: Phrasebook) -> tuple[int, tuple[str, ...]]:
    for length in range(min(7, len(words) - i), 0, -1):
        piece = words[i : i + length]
        sites = list(book.headers.get(piece, ()))
        sites += [m.value for m in book.targets.get(piece, ()) if m.kind == "anatomy"]
        if sites:
            return length, tuple(sites)
        if any(m.kind in ("side", "generic") for m in book.targets.get(piece, ())):
            return length, ("",)
    return 0, ()


def sections_of(text: str, headers: Sequence[Header]) -> list[Section]:
    """Contents between section headers, blanks trimmed; text before the first is a section too.

    Text before the first header is `findings` where no header opens findings, else `other`.
    """
    opening: SectionName = (
        "other" if any(header.section == "findings" for header in headers) else "findings"
    )
    bounds: list[tuple[SectionName, int, int]] = []
    first = headers[0].start if headers else len(text)
    if text[:first].strip():
        bounds.append((opening, 0, first))
    for i, header in enumerate(headers):
        end = headers[i + 1].start if i + 1 < len(headers) else len(text)
        bounds.append((header.section or "other", header.end, end))
    made = []
    for name, start, end in bounds:
        content = text[start:end]
        trimmed = content.strip()
        begin = start + len(content) - len(content.lstrip()) if trimmed else start
        made.append(Section(name, begin, begin + len(trimmed)))
    return made
