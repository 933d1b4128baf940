"""Boxes and choices of forms, written so that only what was ticked or filled in is read.

A box belongs to the words behind it, up to the next box, unless its row ends with a box: then to
the words before it. A choice that nobody has made says nothing, nor does a verdict that was not
ticked. Each text stays as long as it was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.letters import CAPITALS, LETTERS
from fvlm_data.vocabulary.wording import wording

if TYPE_CHECKING:
    from fvlm_data.vocabulary import Vocabulary

BOX = r"(?:\[[ xX]?\]|\([ xX]\)|[\u2610-\u2612])"
_ANY_BOX = re.compile(BOX)
_BOX_MARKS = ("[", "( )", "(x)", "(X)")
"""One of them stands in each box of an ASCII text."""
_EMPTY = frozenset(("[ ]", "[]", "( )", "\u2610"))
_NEXT_FIELD = re.compile(
    rf"[ \t](?=[{CAPITALS}][{LETTERS} /-]{{2,40}}[:?=])|(?<=[.;])[ \t](?=[ \t]*[{CAPITALS}])"
)
_ROW = re.compile(rf"[^\n]*:[ \t]*\r?(?:\n[ \t]*{BOX}[^\n]*)+|[^\n]+")
"""A line, or the name of a field with the boxes in the lines below it."""
_TITLE = re.compile(r"[^:=?.;\n]*[:=?]\s*\Z")
_MARKS = " \t\r\n,;./|"
_LONGEST_TITLE = 100
"""Characters of the name of a field."""
_BULLET = "\u2022"
_LETTER = re.compile(r"[^\W_]")


class _Option(NamedTuple):
    """A box and its words; places in the text."""

    start: int
    end: int
    box: tuple[int, int]
    ticked: bool
    words: str


@dataclass(frozen=True, slots=True)
class Choices:
    """Words of a language between which a form lets choose."""

    answer: re.Pattern[str]
    choice: re.Pattern[str]
    """An answer, a degree, a side or a verdict."""
    decided: re.Pattern[str]
    """An answer or a verdict: "mild/moderate" lets nobody choose."""
    silent: re.Pattern[str]
    """What says nothing where it is not ticked: a denial or a verdict."""
    offered: re.Pattern[str]
    """Choices in brackets behind the name of a field: "Emphysema (Y/N): Y"."""
    open: re.Pattern[str]
    """Choices behind a colon of which none was struck out."""


@lru_cache(maxsize=4)
def choices(vocabulary: Vocabulary) -> Choices:
    """The patterns of a vocabulary, made once."""
    words = vocabulary.grammar.sentences
    denials, verdicts = wording(vocabulary.grammar.clauses.denials), wording(words.verdicts)
    answer = rf"(?i:{wording(words.answers)})"
    choice = rf"(?i:{wording((*words.answers, *words.choices, *words.verdicts))})"
    between = r"[ \t]{0,3}/[ \t]{0,3}"
    return Choices(
        re.compile(answer),
        re.compile(choice),
        re.compile(rf"\b(?:{wording((*words.answers, *words.verdicts))})", re.IGNORECASE),
        re.compile(rf"(?:{denials})\b.*|.*\b(?:{verdicts})\b.*", re.IGNORECASE),
        re.compile(
            rf"(?P<offer>[(\[]{answer}(?:{between}{answer})+[)\]])"
            r"(?P<open>[ \t]*[:=?]?[ \t]*\r?$)?",
            re.MULTILINE,
        ),
        re.compile(
            rf"[:=?][ \t]{{0,3}}(?P<told>{choice}(?:{between}{choice})+)"
            r"(?=[ \t]{0,3}(?:[.;,]?[ \t]{0,3}\r?$|[.;,][ \t]))",
            re.MULTILINE,
        ),
    )


def ticked_only(text: str, forms: Choices) -> str:
    """The text with boxes and choices of forms written out, as long as it was."""
    may_hold = not text.isascii() or any(map(text.__contains__, _BOX_MARKS))
    boxed = _ANY_BOX.search(text) if may_hold else None
    if not boxed and "/" not in text:
        return text
    made = list(text)
    if "/" in text:
        _choices_written_out(text, made, forms)
    if boxed:
        for row in _ROW.finditer(text):
            for begin, end in _fields(text, row.start(), row.end(), made):
                _field_written_out(text, begin, end, made, forms)
    return "".join(made)


def _choices_written_out(text: str, made: list[str], forms: Choices) -> None:
    for found in forms.offered.finditer(text):
        _fill(made, *found.span("offer"))
        if found["open"] is not None:
            _strike(made, _title_start(text, found.start()), found.start())
    for found in forms.open.finditer(text):
        if forms.decided.search(found["told"]):
            _strike(made, _title_start(text, found.start()), found.end())


def _title_start(text: str, end: int) -> int:
    """Where the name of a field begins that ends at a place."""
    low = max(0, end - _LONGEST_TITLE)
    return max(low - 1, *(text.rfind(mark, low, end) for mark in "\n.;:")) + 1


def _fields(text: str, start: int, end: int, made: list[str]) -> list[tuple[int, int]]:
    """Fields of a row, each on a line of its own from now on."""
    bounds, begin = [], start
    box = _ANY_BOX.search(text, begin, end)
    for found in _NEXT_FIELD.finditer(text, start, end) if box else ():
        if box and box.end() <= found.start():
            bounds.append((begin, found.start()))
            made[found.start()] = "\n"
            begin = found.end()
            box = _ANY_BOX.search(text, begin, end)
    return [*bounds, (begin, end)]


def _field_written_out(text: str, start: int, end: int, made: list[str], forms: Choices) -> None:
    boxes = list(_ANY_BOX.finditer(text, start, end))
    if not boxes:
        return
    first = boxes[0].start()
    lead = text[start:first].strip(" \t-*>\u2022")
    title = _TITLE.search(text, max(start, first - _LONGEST_TITLE), first)
    behind = bool(text[boxes[-1].end() : end].strip(_MARKS))
    if len(boxes) == 1 and ((lead and not title) or not behind):
        return
    begin = title.end() if title else first if behind else start
    options = _options(text, begin, end, boxes, behind=behind)
    chosen = any(option.ticked for option in options)
    all_choices = all(forms.choice.fullmatch(option.words) for option in options)
    if lead and all_choices:
        _choice_written_out(made, title.start() if title else start, options, forms)
    elif title and not chosen and any(forms.silent.fullmatch(one.words) for one in options):
        _strike(made, begin, end)
    else:
        _on_lines(made, options, forms, behind=behind)


def _choice_written_out(
    made: list[str], start: int, options: list[_Option], forms: Choices
) -> None:
    """Leave of a field its name and the ticked words, or nothing where the choice is open."""
    chosen = [option.words for option in options if option.ticked]
    if not chosen or sum(bool(forms.answer.fullmatch(words)) for words in chosen) > 1:
        _strike(made, start, options[-1].end)
        return
    for option in options:
        _fill(made, *(option.box if option.ticked else (option.start, option.end)))
    place = options[0].start - 1
    while made[place].isspace() and place > start:
        made[place] = " "
        place -= 1


def _on_lines(made: list[str], options: list[_Option], forms: Choices, *, behind: bool) -> None:
    """Each box with its words on a line of its own; a ticked one is a bullet or an end."""
    for option in options:
        if not option.ticked and forms.silent.fullmatch(option.words):
            _fill(made, option.start, option.end)
        elif option.ticked:
            _fill(made, *option.box)
            made[option.box[0]] = _BULLET if behind else ";"
        elif not behind and option.box[1] - option.box[0] > 1:
            _fill(made, *option.box)
            made[option.box[0] : option.box[0] + 2] = "\u2610;"
        _break(made, option.start - 1 if behind else option.end)


def _options(
    text: str, begin: int, end: int, boxes: list[re.Match[str]], *, behind: bool
) -> list[_Option]:
    """Boxes of a field with their words, which stand `behind` each box or before it."""
    made = []
    for i, box in enumerate(boxes):
        if behind:
            begin, stop = box.start(), boxes[i + 1].start() if i + 1 < len(boxes) else end
            words = text[box.end() : stop]
        else:
            stop = box.end()
            words = text[begin : box.start()]
        ticked = box[0] not in _EMPTY
        made.append(_Option(begin, stop, box.span(), ticked, words.strip(_MARKS)))
        begin = stop
    return made


def _fill(made: list[str], start: int, end: int) -> None:
    made[start:end] = [" "] * (end - start)


def _strike(made: list[str], start: int, end: int) -> None:
    """Write over letters and digits, so that nothing is read and all is still of a sentence."""
    made[start:end] = [_LETTER.sub("_", letter) for letter in made[start:end]]


def _break(made: list[str], place: int) -> None:
    """A line break where a blank stands."""
    if 0 <= place < len(made) and made[place] in " \t":
        made[place] = "\n"
