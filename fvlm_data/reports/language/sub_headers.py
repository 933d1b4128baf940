"""Sub-headers: titles that name anatomies only, for what follows ("Liver and biliary:")."""

from __future__ import annotations

import bisect
import re
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from fvlm_data.reports.language.letters import CAPITALS, LETTERS, SMALL
from fvlm_data.reports.language.records import Header
from fvlm_data.reports.language.sections import unblank
from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.reports.language.phrasebook import Phrasebook

_NAME = rf"(?P<name>[{LETTERS}][{LETTERS} ,/&()+-]{{1,60}}?)"
_LONGEST_NAME = 61
_NAME_RUN = re.compile(rf"[{LETTERS}][{LETTERS} ,/&()+-]*+")
_CLOSERS = ":*_]}.=|\u2013\u2014<\t\r\n"
"""One of them, or the end of the text, is behind a title that ends without a dash."""
_REMARK = r"(?:[ \t]?\([^()\n]{1,40}\))?"
_OPENING = (
    r"(?:(?<=[.;!?:>)])[ \t]|(?<=,)[ \t](?=[^\W\d_])|(?<![:),]))"
    r"[ \t*\u2022-]{0,6}(?:\d{1,2}[.)][ \t]{0,3})?[*_]{0,3}"
    # What follows the run of characters that a name must be in tells most sentences apart at once.
    rf"(?=[{LETTERS}][{LETTERS}0-9 ,/&()+-]{{1,103}}+(?:[*_\t:\r\n]|\Z))"
)
_MARK = re.compile(rf"[\n.;!?:>),](?={_OPENING})")
"""What `_ANYWHERE` may follow, where it is not the start of the text."""
_ANYWHERE = re.compile(
    rf"{_OPENING}{_NAME}{_REMARK}"
    r"[*_]{0,3}[ \t]{0,3}(?::|(?=\r?\n|\Z))[*_]{0,3}(?:</\w{1,10}>){0,3}"
)
"""A title before a colon, or one that ends its line, after a mark."""
_AFTER_SECTION = re.compile(rf"\s{{0,8}}{_NAME}{_REMARK}[ \t]{{0,3}}:")
_LINE_START = (
    r"[ \t#*>=|\u2022-]{0,12}(?:<\w[^<>\n]{0,40}>[ \t]{0,4}){0,4}"
    r"(?:\(?(?:\d{1,2}|[IVX]{1,4}|[A-Ha-h])[.)][ \t]{0,4})?(?P<open>[*_\[{]{0,3})"
)
_CLOSE = r"[*_\]}]{0,3}(?:</\w{1,10}>){0,3}"
_FIRST_WORD = re.compile(rf"{_LINE_START}(?P<word>[{LETTERS}]{{2,40}})")
_AT_LINE = re.compile(
    rf"{_LINE_START}{_NAME}{_REMARK}(?P<close>{_CLOSE})"
    r"(?:[ \t]{0,3}:|[ \t]{1,3}[=|\u2013\u2014-](?=[ \t])|[ \t]{0,3}\t|\.(?=\s|\Z)"
    rf"|(?<=[*_\]}}>])(?=\s|\Z)|(?=[ \t]{{0,8}}(?:<br|\r?\n|\Z))){_CLOSE}"
    r"(?:[ \t]{0,8}<br ?/?>)?"
)
"""A title at the start of a line: with a mark after it, between marks, or alone."""
_CAPITALS = re.compile(
    rf"{_LINE_START}(?P<name>[{CAPITALS}][{CAPITALS} ,/&-]{{2,60}})[ \t]+(?=[{CAPITALS}][{SMALL}])"
)
"""A title in capitals before a sentence that has none: "LIVER Normal."."""
_TAG = re.compile(r"<[^<>\n]{0,40}>")
_ITEM = re.compile(r"^\(?(?:\d{1,2}|[IVX]{1,4}|[A-Ha-h])[.)]")
_CLAUSE_END = re.compile(r"[.;\n]")
_ASKING = frozenset({"technique", "clinical_information", "comparison"})
"""Sections in which a line that names anatomies tells what was done or asked."""
_LONGEST_SIDE = 8
"""Characters of a side before a title, with its dot and blanks."""
_LONGEST_PHRASE = 7
_NEAR = 120
"""Characters of a line that are looked at before and behind a title."""
_LONGEST_VERDICT = 60
"""Characters in which a finding that has a title of its own is told ("Ascites: none.")."""


def sub_headers(text: str, book: Phrasebook, taken: Sequence[Header]) -> list[Header]:
    """Sub-headers in order; `taken` are the section headers, in order.

    A title that belongs to its sentence ("Ascites: none.") makes an empty one where it starts.
    """
    candidates = [*_after_marks(text), *_line_candidates(text, book)]
    candidates += [found for one in taken if (found := _AFTER_SECTION.match(text, one.end))]
    starts = [header.start for header in taken]
    made: list[Header] = []
    for found in sorted(candidates, key=_order):
        start, end = unblank(text, found.start(), found.start("name")), found.end()
        before = bisect.bisect_left(starts, end) - 1
        free = before < 0 or taken[before].end <= start
        if not free or (made and start < made[-1].end) or not _is_title(text, found, book):
            continue
        anatomies = named_anatomies(found["name"], book)
        first = not made and before < 0 and not text[:start].strip()
        section = taken[before].section if before >= 0 else None
        if not _has_colon(found) and (section in _ASKING or (first and not anatomies)):
            # "CT of the chest" is the report's own title, or what was done.
            continue
        if anatomies is not None:
            start = _with_side(text, start, book)
            stop = start if _is_verdict(text, found, book) else end
            made.append(Header(start, stop, None, anatomies))
    return made


def _with_side(text: str, start: int, book: Phrasebook) -> int:
    """Start of a title, with the side that an abbreviation tells before it: "Rt. kidney:"."""
    if "." not in text[max(0, start - 2) : start]:
        return start
    line = text.rfind("\n", max(0, start - _LONGEST_SIDE), start) + 1
    before = text[line:start].strip()
    if len(text[line:start]) > _LONGEST_SIDE or not before.endswith("."):
        return start
    told = book.targets.get(book.lexicon.words(before[:-1]), ())
    return unblank(text, line, start) if any(one.kind == "side" for one in told) else start


def _order(found: re.Match[str]) -> tuple[int, int, int]:
    """By place; of matches of one name the one that takes the most before it comes first."""
    return found.start("name"), found.start(), found.end()


def _after_marks(text: str) -> Iterator[re.Match[str]]:
    """What has the form of a sub-header after a mark or at the start; none overlaps another."""
    taken = 0
    for place in (0, *[mark.end() for mark in _MARK.finditer(text)]):
        # "simple cyst, Kidneys:" is no title, and its end is one
        free = place >= taken or text[place - 1] == ","
        if free and (found := _ANYWHERE.match(text, place)):
            taken = found.end()
            yield found


def _line_candidates(text: str, book: Phrasebook) -> Iterator[re.Match[str]]:
    """What has the form of a sub-header at the start of a line."""
    first_words, canonical = _first_words(book), book.lexicon.canonical
    line = 0
    while line >= 0:
        word = _FIRST_WORD.match(text, line)
        if word and canonical(word["word"]) in first_words:
            if _may_end_title(text, word.start("word")) and (at_line := _AT_LINE.match(text, line)):
                yield at_line
            if word["word"].isupper() and (capitals := _CAPITALS.match(text, line)):
                yield capitals
        line = text.find("\n", line) + 1 or -1


def _may_end_title(text: str, start: int) -> bool:
    """Whether what may be a name of a title ends where `_AT_LINE` has it end.

    To ask costs a tenth of the pattern, and most lines are sentences, of more than a name's length.
    """
    found = _NAME_RUN.match(text, start)
    if found is None:
        return False
    run = found[0]
    if "(" in run or "- " in run:
        return True
    return (
        len(run.rstrip(" -")) <= _LONGEST_NAME and text[found.end() : found.end() + 1] in _CLOSERS
    )


@cache
def _first_words(book: Phrasebook) -> frozenset[str]:
    """Words with which a title may begin."""
    named = {words[0] for words in book.headers}
    for words, meanings in book.targets.items():
        if any(meaning.kind in ("anatomy", "side") for meaning in meanings):
            named.add(words[0])
    return frozenset(named | book.header_words)


def _is_title(text: str, found: re.Match[str], book: Phrasebook) -> bool:
    """Whether the form of what was found is that of a title, and not of a sentence."""
    name, start = found["name"], found.start("name")
    if text[found.start() - 1 : found.start()] == "," and (
        # the last of a list: "nodules, effusion, ascites: none"; "metastases, both lungs: stable"
        _names_finding(name, book) or _tells_change(text, found.end(), book)
    ):
        return False
    if _has_colon(found):
        return True
    if not text[start].isupper() or book.grammar.never_last.search(name):
        return False
    if found.re is _CAPITALS:
        return True
    if found[0].rstrip("*_]} \t").endswith("."):
        alone = not text[found.end() : found.end() + _NEAR].split("\n", 1)[0].strip()
        return name.isupper() or (alone and not book.grammar.never_before_stop.search(name))
    if found.end() == len(found[0].rstrip()) + found.start() and _goes_on(text, found.end()):
        return False
    line = max(text.rfind("\n", max(0, start - _NEAR), start) + 1, start - _NEAR)
    before = _TAG.sub("", text[line:start]).strip(" \t*_#>=|[{\u2022-")
    return not _ITEM.sub("", before)


def _tells_change(text: str, end: int, book: Phrasebook) -> bool:
    """Whether what follows only says how something has changed."""
    rest = _CLAUSE_END.split(text[end : end + _LONGEST_VERDICT], maxsplit=1)[0]
    words = book.lexicon.words(rest)
    return any(meaning.kind == "change" for meaning in book.targets.get(words, ()))


def _has_colon(found: re.Match[str]) -> bool:
    return ":" in found[0][found.end("name") - found.start() :]


def _goes_on(text: str, end: int) -> bool:
    """Whether the line ends here and its sentence goes on in the next."""
    following = text[end : end + _NEAR].lstrip(" \t")
    return following[:1] in ("\r", "\n") and following.lstrip()[:1].islower()


@lru_cache(maxsize=10_000)
def named_anatomies(name: str, book: Phrasebook) -> tuple[str, ...] | None:
    """Sites that a sub-header names; none at all where it holds any other word.

    What stands in brackets may be a remark: "Kidneys, ureters, bladder (KUB)".
    """
    words = book.lexicon.words(name)
    if words and words[0] in book.grammar.articles:
        # "The bladder wall: thickened" is a sentence; titles have no article.
        return None
    sites = _sites(words, book)
    if sites is None and "(" in words:
        sites = _sites(book.lexicon.words(re.sub(r"\([^()]*\)?", " ", name)), book)
    return sites


def _sites(words: tuple[str, ...], book: Phrasebook) -> tuple[str, ...] | None:
    made: list[str] = []
    known = False
    i = 0
    while i < len(words):
        length, sites = _longest_at(words, i, book)
        if length:
            made += sites
            known = known or bool(sites)
            i += length
        elif words[i] in book.grammar.title_links or words[i] in book.header_words:
            i += 1
        else:
            return None
    return tuple(dict.fromkeys(site for site in made if site)) if known else None


def _longest_at(words: tuple[str, ...], i: int, book: Phrasebook) -> tuple[int, tuple[str, ...]]:
    """Length and sites of the phrase at a word; a region's site is blank, a mere side has none."""
    for length in range(min(_LONGEST_PHRASE, len(words) - i), 0, -1):
        piece = words[i : i + length]
        sites = list(book.headers.get(piece, ()))
        sites += [m.value for m in book.targets.get(piece, ()) if m.kind == "anatomy"]
        if sites:
            return length, tuple(sites)
        if any(m.kind in ("side", "generic") for m in book.targets.get(piece, ())):
            return length, ()
    return 0, ()


def _is_verdict(text: str, found: re.Match[str], book: Phrasebook) -> bool:
    """Whether a title is a finding of which the rest of the line tells ("Ascites: none.")."""
    if not _names_finding(found["name"], book):
        return _is_measured(text, found, book)
    rest = _CLAUSE_END.split(text[found.end() : found.end() + _LONGEST_VERDICT], maxsplit=1)[0]
    # A title that ends its line may stand over what is told.
    open_ended = _has_colon(found) and not rest.strip()
    # "Ascites: no, consolidation: no"
    if _is_answer(rest, book):
        return True
    return not open_ended and not _names_finding(rest, book)


def _is_measured(text: str, found: re.Match[str], book: Phrasebook) -> bool:
    """Whether a title names what a size makes a finding ("Lymph nodes: right hilar 14 mm")."""
    anatomies = named_anatomies(found["name"], book) or ()
    if book.described.keys().isdisjoint(site.split(".")[0] for site in anatomies):
        return False
    rest = _CLAUSE_END.split(text[found.end() : found.end() + _NEAR], maxsplit=1)[0]
    if not any(map(str.isdigit, rest)) or _names_finding(rest, book):
        return False
    words = book.lexicon.words(rest)
    if _names_described(words, book):
        return False
    sized = any(word == NUMBER and unit in book.grammar.units for word, unit in pairwise(words))
    return sized and (book.grammar.bounds | book.grammar.denials).isdisjoint(words)


def _names_described(words: tuple[str, ...], book: Phrasebook) -> bool:
    """Whether words name what a size makes a finding themselves."""
    return any(
        meaning.kind == "anatomy" and meaning.value.split(".")[0] in book.described
        for i in range(len(words))
        for length in (1, 2)
        for meaning in book.targets.get(words[i : i + length], ())
    )


def _is_answer(piece: str, book: Phrasebook) -> bool:
    """Whether it begins with an answer, behind which nothing or something else is told."""
    words = book.lexicon.words(piece)
    answers = book.grammar.affirming_answers | book.grammar.denying_answers
    return (
        words[:1] != ()
        and words[0] in answers
        and (len(words) == 1 or words[1] in book.phrase_ends or not words[1].isalnum())
    )


@lru_cache(maxsize=10_000)
def _names_finding(piece: str, book: Phrasebook) -> bool:
    words = book.lexicon.words(piece)
    return any(
        meaning.kind in ("finding", "observation", "abnormal")
        for i in range(len(words))
        for length in (1, 2, 3)
        if " ".join(words[i : i + length]) not in book.removals
        for meaning in book.targets.get(words[i : i + length], ())
    )
