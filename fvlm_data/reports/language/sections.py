"""Sections of a report, with their places in the text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from fvlm_data.reports.language.letters import LETTERS
from fvlm_data.reports.language.phrasebook import phrasebook
from fvlm_data.reports.language.records import Header, Section
from fvlm_data.vocabulary.phrases import expand
from fvlm_data.vocabulary.wording import lowered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fvlm_data.reports.language.records import SectionName
    from fvlm_data.vocabulary import Vocabulary
    from fvlm_data.vocabulary.entries import SectionFile

_MARKUP = (
    r"(?:[ \t#*>=|\u2022_-]{0,12}(?:</?\w[^<>\n]{0,40}>[ \t]{0,4}){0,4}"
    r"(?:(?:\d{1,2}|[IVX]{1,4}|[A-H])[.)][ \t]{0,4})?[*_\[(]{0,3})"
)
_LINE_START = re.compile(_MARKUP)
_BEHIND_MARK = r"(?<=[.;:!?>)\]\[( \t\r\n].)"
"""A letter behind a mark or a blank, where a sentence may start."""
_RULE_BELOW = re.compile(
    r"[ \t]{0,8}\r?\n[ \t]{0,4}(?:-{3,80}|={3,80}|_{3,80}|\*{3,80})[ \t]{0,8}(?=\r?\n|\Z)"
)
_MISSPELT = re.compile(
    rf"(?P<name>[{LETTERS}]{{6,16}}(?:[ \t][{LETTERS}]{{2,14}}){{0,2}})"
    r"(?P<sep>[*_\])]{0,3}[ \t]{0,3}(?:[:\uff1a][*_\])]{0,3}|(?=\r?\n|\Z)))"
)
"""What may be a header with a slip of the pen, where only a header can stand."""
_CLOSING_TAG = re.compile(r"</\w{1,10}>")
_GAPS = re.compile(r"[\s/&-]+")
_SHORTEST_MISSPELT = 7
_LONG_MISSPELT = 9
"""Letters of a header from which on two slips are mended, and not only one."""
_LETTERS = 4
_SHORTEST_PLURAL = 4


class SectionHeaders:
    """Finds the headers that open sections, by the phrases of a vocabulary."""

    def __init__(self, sections: SectionFile, is_word: Callable[[str], bool]) -> None:
        """Take the header phrases of sections.yaml; `is_word` tells what is no slip of the pen."""
        self._is_word = is_word
        self._plural = sections.plural
        self._plain = lru_cache(maxsize=10_000)(self._plain_form)
        self._names = self._longest_first(sections)
        self._titles = frozenset(sections.titles)
        self._after_findings = {
            self._plain(words): section
            for section, phrases in sections.after_findings.items()
            for phrase in phrases
            for words in expand(phrase)
        }
        first = sorted({name.split()[0][:_LETTERS] for name in self._names})
        self._beginnings = {
            letters: re.compile(re.escape(letters), re.IGNORECASE) for letters in first
        }
        self._sentence_start = _sentence_start(first)
        self._pattern_at = lru_cache(maxsize=10_000)(self._starting_with)
        self._alike: dict[tuple[int, str], list[str]] = {}
        """Header phrases by their number of words and first letter."""
        for known in self._names:
            self._alike.setdefault((len(known.split()), known[0]), []).append(known)
        self._meant = lru_cache(maxsize=10_000)(self._nearest)

    def find(self, text: str) -> list[Header]:
        """Headers that open a section, in order."""
        made: list[Header] = []
        taken = -1
        starts, lines = self._starts(text)
        for start in sorted(starts):
            if start < taken:
                continue
            found = self._header_at(text, start, at_line=start in lines)
            if found:
                begin = unblank(text, starts[start], start)
                if begin == start > 0 and text[start - 1] in "[(":
                    begin -= 1
                below = _RULE_BELOW.match(text, found.end())
                taken = below.end() if below else found.end()
                made.append(Header(begin, taken, self._section(found["name"], made)))
        return made

    def _header_at(self, text: str, start: int, *, at_line: bool) -> re.Match[str] | None:
        """The header that opens at a place."""
        pattern = self._pattern_at(text[start : start + _LETTERS])
        found = pattern.match(text, start) if pattern else None
        if found and self._opens(found, text, at_line=at_line):
            return found
        found = _MISSPELT.match(text, start) if at_line else None
        return found if found and self._meant(found["name"], ":" in found["sep"]) else None

    def _starts(self, text: str) -> tuple[dict[int, int], frozenset[int]]:
        """Where a header may start, with the start of its markup; and those that start a line."""
        starts: dict[int, int] = {}
        line = 0
        while line >= 0:
            end = _after_markup(text, line)
            if self._pattern_at(text[end : end + _LETTERS]) or _MISSPELT.match(text, end):
                starts[end] = line
            line = text.find("\n", line) + 1 or -1
        lines = frozenset(starts)
        for found in self._sentence_start.finditer(text):
            start = found.start()
            if self._pattern_at(text[start : start + _LETTERS]):
                starts.setdefault(start, start)
        return starts, lines

    def _section(self, header: str, before: Sequence[Header]) -> SectionName:
        """The section that a header opens; "Result" behind the findings is the impression."""
        name = self._plain(header)
        if name not in self._names:
            name = self._meant(header, True) or self._meant(header, False) or name
        if name in self._after_findings and any(one.section == "findings" for one in before):
            return self._after_findings[name]
        return self._names[name]

    def _nearest(self, header: str, marked: bool) -> str | None:
        """The header phrase that a title misspells, none where it may be another word.

        Without a mark behind it a title must be capitalised and have one slip only.
        """
        name = self._plain(header)
        if name in self._names or not header[0].isupper():
            return None
        words = name.split()
        near = {
            known: slips
            for known in self._alike.get((len(words), name[0]), ())
            if (slips := _slips(words, known.split(), most=2 if marked else 1))
            and not any(
                self._is_word(word)
                for word, right in zip(words, known.split(), strict=True)
                if word != right
            )
        }
        return min(near, key=lambda known: (near[known], known)) if near else None

    def _longest_first(self, sections: SectionFile) -> dict[str, SectionName]:
        """The section of each header phrase, the longest phrase first."""
        names: dict[str, SectionName] = {}
        for section, phrases in sorted(sections.phrases().items()):
            for phrase in phrases:
                names.update(dict.fromkeys(map(self._plain, expand(phrase)), section))
        return {name: names[name] for name in sorted(names, key=lambda name: (-len(name), name))}

    def _starting_with(self, letters: str) -> re.Pattern[str] | None:
        """Pattern of the header phrases that begin with these four letters, which few words do."""
        first = {begin for begin, pattern in self._beginnings.items() if pattern.match(letters)}
        if not first:
            return None
        names = tuple(name for name in self._names if name.split()[0][:_LETTERS] in first)
        return _pattern(names, self._plural)

    def _plain_form(self, name: str) -> str:
        """A header without plurals, blanks joined: the form by which it is looked up."""
        words = _GAPS.split(lowered(name))
        return " ".join(
            word.removesuffix(self._plural) if len(word) >= _SHORTEST_PLURAL else word
            for word in words
            if word
        )

    def _opens(self, found: re.Match[str], text: str, *, at_line: bool) -> bool:
        """Whether header words are used as a header here, and not as words of a sentence."""
        name, separator = found["name"], found["sep"]
        mark = _CLOSING_TAG.sub("", separator).strip(" \t*_=])")[:1]
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
        character = text[found.start() - 1 : found.start()]
        if "<" in separator or (separator.strip() and character in "[("):
            return titled and (at_line or character in ">[(")
        line_ends = not text[found.end() : found.end() + 80].split("\n", 1)[0].strip()
        if line_ends:
            return at_line and titled
        following = text[found.end() : found.end() + 40].split()
        if not following or (following[0].isupper() and len(following[0]) > 2):
            return False
        opens = at_line and following[0][:1].isupper() and self._plain(name) in self._titles
        return capitals or (titled and opens)


@lru_cache(maxsize=4)
def section_headers(vocabulary: Vocabulary) -> SectionHeaders:
    """The finder of a vocabulary's section headers, made once."""
    return SectionHeaders(
        vocabulary.sections, lambda word: phrasebook(vocabulary).lexicon.is_word(word)
    )


def _sentence_start(beginnings: Iterable[str]) -> re.Pattern[str]:
    """A capital that begins a sentence, and one of the header phrases by its first letters.

    The capitals come first, so that `re` skips all other characters.
    """
    rest: dict[str, list[str]] = {}
    for letters in beginnings:
        if letters[0].isalpha():
            rest.setdefault(letters[0].upper(), []).append(re.escape(letters[1:]))
    branches = (f"{first}{_BEHIND_MARK}(?=(?i:{'|'.join(ends)}))" for first, ends in rest.items())
    return re.compile("|".join(branches) or r"(?!)")


@lru_cache(maxsize=1000)
def _pattern(names: tuple[str, ...], plural: str) -> re.Pattern[str]:
    """A header of one of the given names, the first that fits."""
    ending = f"(?:{re.escape(plural)})?"
    joined = "|".join(re.escape(name).replace(r"\ ", rf"{ending}[ \t/&-]{{1,3}}") for name in names)
    return re.compile(
        rf"(?P<name>(?:{joined}){ending})(?![{LETTERS}0-9])(?:[ \t]?\([^()\n]{{0,40}}\))?"
        r"(?P<sep>[*_=\])]{0,3}[ \t]{0,3}[*=]{0,3}(?:</\w{1,10}>[ \t]{0,3})?"
        r"(?:[:\uff1a](?:&nbsp;){0,3}|[-\u2013\u2014=|/](?=\s)|\.(?=\s)|\\(?:b0|par)\b"
        r"|(?<=[>\])])|(?=\r?\n|\Z)|(?=[ \t]+\S))[*_\])]{0,3}"
        r"(?:[ \t]{0,3}</\w{1,10}>){0,3})",
        re.IGNORECASE,
    )


def _slips(words: Sequence[str], right: Sequence[str], most: int) -> int:
    """Slips of the pen by which words differ from those of a header; 0 where it is another one."""
    if len(words) != len(right):
        return 0
    made = 0
    for word, known in zip(words, right, strict=True):
        if word == known:
            continue
        if word[0] != known[0] or len(known) < _SHORTEST_MISSPELT - 1:
            return 0
        distance = 3 if abs(len(word) - len(known)) > 2 else _distance(word, known)
        if distance > (2 if len(known) >= _LONG_MISSPELT else 1):
            return 0
        made += distance
    return made if sum(map(len, right)) >= _SHORTEST_MISSPELT - 1 and made <= most else 0


def _distance(word: str, known: str) -> int:
    """Letters left out, added, changed or swapped with the next (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(known) + 1))
    for i, letter in enumerate(word, 1):
        earlier, before, row = before, row, [i]
        for j, other in enumerate(known, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            swapped = i > 1 and j > 1 and word[i - 2] == other and letter == known[j - 2]
            row.append(min(cost, earlier[j - 2] + 1) if swapped else cost)
    return row[-1]


def _after_markup(text: str, line: int) -> int:
    """End of bullets, numbers and tags at the start of a line."""
    found = _LINE_START.match(text, line)
    return found.end() if found else line


def unblank(text: str, start: int, end: int) -> int:
    """First non-blank place from `start` on, at most `end`."""
    while start < end and text[start].isspace():
        start += 1
    return start


def opening_section(headers: Sequence[Header]) -> SectionName:
    """What text before the first header is: findings, unless a header opens those."""
    return "other" if any(header.section == "findings" for header in headers) else "findings"


def sections_of(text: str, headers: Sequence[Header], opening: SectionName) -> list[Section]:
    """Contents between section headers, blanks trimmed; text before the first, `opening`, too."""
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
