"""The layout of a text told by line breaks alone, each character at its place.

Bullets within a line, numbered items, boxes and fields of a form in one row, and line breaks
that a spreadsheet wrote as two letters, begin a line of their own: a blank becomes a line break.
So all that comes after knows lines only, and offsets stay those of the text. Empty boxes are all
written alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from fvlm_data.reports.language.blanks import blanks, filled_only
from fvlm_data.reports.language.boxes import choices, ticked_only
from fvlm_data.reports.language.letters import CAPITALS, LETTERS
from fvlm_data.vocabulary.wording import wording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.reports.language.blanks import Blanks
    from fvlm_data.reports.language.boxes import Choices
    from fvlm_data.vocabulary import Vocabulary

_WRITTEN_BREAK = re.compile(r"\\r\\n|\\n")
_WRITTEN = {"\\n": " \n", "\\r\\n": "   \n"}
_REPEATED = re.compile(rf"(?<=\S)~(?=[ \t]?[{CAPITALS}])")
"""HL7's sign between repetitions, left in a text by an export; "~5 mm" is about that size."""
_NO_BREAKS = re.compile(r"\\(?:rtf|par)\b|\b[A-Za-z]:\\")
"""In RTF and paths a backslash and an n are no line break."""
_GLYPHS = "\u2022\u25cf\u25aa\u25e6\u25ba\u25b6\u2192\u27a2\u2023\u2219\u25a0\u2713\u25c6\u00b7"
_GLYPH = re.compile(rf"[ \t](?=[{_GLYPHS}][ \t]?[^\W_])")
_LIST_MARKS = "*+>#-"
_LISTED = re.compile(r"^[ \t]{0,8}([*+>#-])[ \t]+\S", re.MULTILINE)
_QUOTES = '"\u201c\u201d\u201e'
_LONE_QUOTE = re.compile(rf"[ \t](?=[{_QUOTES}][ \t])")
_OPENING_QUOTE = re.compile(rf"[ \t](?=[{_QUOTES}][^\W\d_])")
_CLOSING_QUOTE = re.compile(rf"[^\s{_QUOTES}:][{_QUOTES}]")
_BETWEEN_QUOTES = re.compile(rf"(?<=[{_QUOTES}])[ \t](?=[{_QUOTES}][^\W\d_])")
_SIGNED_LINE = re.compile(r"^[ \t]{0,8}\([+-]\)[ \t]{0,3}[^\W\d_][^\n]*$", re.MULTILINE)
_QUESTIONED = re.compile(r"^[ \t]{0,8}\?[ \t]+[^\s?][^\n]*$", re.MULTILINE)
_BARRED = re.compile(rf"\|(?=[ \t]{{0,3}}(?P<name>[{LETTERS}][{LETTERS} /()-]{{2,40}}?)[ \t]?[:=])")
_FIELD = re.compile(r"^[^|\n:=]{1,60}[:=][^|\n]*\|", re.MULTILINE)
"""The first field of a row whose fields a vertical bar parts."""
_NUMBERED = re.compile(
    r"(?<![^\s:])\(?(?:(?P<number>\d{1,2})[.)]|(?P<letter>[a-i])\))(?=[ \t]{0,3}[^\W\d_a-z])"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Patterns of forms in the words of a language."""

    field: re.Pattern[str]
    """A blank between the answer to one field of a form and the name of the next."""
    choices: Choices
    blanks: Blanks
    stated: re.Pattern[str]
    """What a line behind a question mark that is a bullet may say, and no question does."""


@lru_cache(maxsize=4)
def layout(vocabulary: Vocabulary) -> Layout:
    """The patterns of a vocabulary, made once."""
    answers = wording(vocabulary.grammar.sentences.answers)
    return Layout(
        re.compile(
            rf"[:=?][ \t]{{0,3}}(?i:{answers})(?:[ \t]?\([^()\n]{{1,40}}\))?[,;.]?(?P<blank>[ \t])"
            rf"(?=[ \t]{{0,40}}[{CAPITALS}][{LETTERS} /()-]{{2,40}}[:=?])"
        ),
        choices(vocabulary),
        blanks(vocabulary),
        re.compile(
            rf"^[ \t]*\?[ \t]+(?:{wording(vocabulary.grammar.clauses.denials)})|[.!][ \t]*\r?$",
            re.IGNORECASE,
        ),
    )


def laid_out(text: str, forms: Layout) -> str:
    """The text with a line break before each item of a list or form; as long as it was."""
    if "\\n" in text and not _NO_BREAKS.search(text):
        text = _WRITTEN_BREAK.sub(lambda found: _WRITTEN[found[0]], text)
    if "~" in text:
        text = _REPEATED.sub("\n", text)
    text = _signed_lines(_marked_items(text, forms))
    if "|" in text:
        text = _barred_fields(text, forms.choices)
    text = filled_only(text, forms.blanks)
    text = ticked_only(text, forms.choices)
    if "( )" in text:
        text = text.replace("( )", "[ ]")
    places = sorted(set(_breaks(text, forms)))
    if not places:
        return text
    made, done = [], 0
    for place in places:
        made += [text[done:place], "\n"]
        done = place + 1
    return "".join(made) + text[done:]


def _signed_lines(text: str) -> str:
    """Signs before the items of a list as boxes: "(-) Effusion" is one that is not ticked."""
    if "(-)" not in text and "(+)" not in text:
        return text
    return _SIGNED_LINE.sub(lambda line: line[0].replace("(-)", "[ ]").replace("(+)", "[x]"), text)


def _marked_items(text: str, forms: Layout) -> str:
    """Question marks that stand for bullets which a change of character set has lost.

    They begin several lines, one of which denies something or ends as a sentence does.
    """
    marked = _QUESTIONED.findall(text) if "?" in text else ()
    if len(marked) < 2 or not any(map(forms.stated.search, marked)):
        return text
    return _QUESTIONED.sub(lambda found: found[0].replace("?", "\u2022", 1), text)


def _breaks(text: str, forms: Layout) -> Iterator[int]:
    """Places of blanks that stand for line breaks."""
    if not text.isascii():
        yield from (found.start() for found in _GLYPH.finditer(text))
    if any(map(text.__contains__, _LIST_MARKS)):
        for mark in {found[1] for found in _LISTED.finditer(text)}:
            yield from _listed(text, mark)
    if any(map(text.__contains__, _QUOTES)):
        yield from _quoted(text)
    if _may_be_numbered(text):
        yield from _numbered(text)
    yield from (found.start("blank") for found in forms.field.finditer(text))


def _barred_fields(text: str, words: Choices) -> str:
    """Bars between fields of one row as semicolons: "stones: no | hydronephrosis: yes".

    Not of one field for each side: "stones: | left: no | right: 4 mm".
    """
    made = list(text)
    for row in _FIELD.finditer(text):
        end = text.find("\n", row.end())
        for found in _BARRED.finditer(text, row.end() - 1, end if end >= 0 else len(text)):
            if not words.choice.fullmatch(found["name"]):
                made[found.start()] = ";"
    return "".join(made)


def _may_be_numbered(text: str) -> bool:
    """Whether a text may hold a first and a second item; digits may be of another script."""
    first = "1." in text or "1)" in text or "a)" in text or not text.isascii()
    return first and ("2." in text or "2)" in text or "b)" in text)


def _listed(text: str, mark: str) -> Iterator[int]:
    """Items behind a mark within lines that begin with it: "- No ascites - Gallstones"."""
    item = re.compile(rf"[ \t](?={re.escape(mark)}[ \t]+[{CAPITALS}])")
    start = 0
    for line in text.split("\n"):
        if line.lstrip(" \t").startswith(mark):
            places = [found.start() for found in item.finditer(line) if found.start()]
            # "- Liver - Smooth outline": a title before a dash is no item of its own.
            if len(places) > 1 or (places and " " in line[: places[0]].strip(" \t*+>#-")):
                yield from (start + place for place in places)
        start += len(line) + 1


def _quoted(text: str) -> Iterator[int]:
    """Quotation marks that stand for bullets: with blanks around, or where none ever closes."""
    yield from (found.start() for found in _LONE_QUOTE.finditer(text))
    yield from (found.start() for found in _BETWEEN_QUOTES.finditer(text))
    if not _CLOSING_QUOTE.search(text):
        opening = [found.start() for found in _OPENING_QUOTE.finditer(text)]
        yield from opening if len(opening) > 1 else ()


def _numbered(text: str) -> Iterator[int]:
    """Blanks before 2., 3. and so on of a list that began with 1."""
    number, first = 0, -1
    for found in _NUMBERED.finditer(text):
        told = int(found["number"] or "abcdefghi".index(found["letter"]) + 1)
        if told == number + 1 and number:
            for place in (first, found.start() - 1):
                if place > 0 and text[place] in " \t":
                    yield place
        if told == 1 or told == number + 1:
            number, first = told, found.start() - 1 if told == 1 else -1
