"""Sections of a report, with their places in the text."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from fvlm_data.reports.language.records import Header, Section
from fvlm_data.vocabulary import load_sections
from fvlm_data.vocabulary.phrases import expand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.records import SectionName

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
            begin = unblank(text, starts[start], start)
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


def unblank(text: str, start: int, end: int) -> int:
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
