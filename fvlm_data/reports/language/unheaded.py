"""Where findings begin that no header opens.

"History: loin pain.", and in the next line "Right kidney: no stone.": a section of what was
asked, done or compared runs on to the next header. Where no header opens the findings it ends
before what reads as a report's body: lines that deny findings or call organs normal, and titles
of organs. What only names diseases may be the history, and stays there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.records import Header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fvlm_data.reports.language.analysed import Head

_BRIEF = frozenset({"technique", "comparison", "other"})
"""Sections that tell no findings: one line of them, whatever follows."""
_MARKS = " \t#*>=|\u2022-"
_ASKING = "?"
_ENOUGH = 2
_MANY = 3


class Telling(NamedTuple):
    """A sentence at characters [start, end), and what it tells."""

    start: int
    end: int
    states: bool
    """Whether it states a finding."""
    judges: bool
    """Whether it denies a finding or calls something normal."""


def telling(start: int, end: int, heads: Sequence[Head], text: str) -> Telling:
    """What the heads of a sentence tell; a question tells nothing."""
    asks = _ASKING in text
    named = [head for head in heads if head.kind in ("finding", "observation")]
    judges = any(head.status == "absent" for head in named) or any(
        head.kind == "normal" and head.status == "present" for head in heads
    )
    states = any(head.status == "present" for head in named)
    return Telling(start, end, states and not asks, judges and not asks)


def body_starts(
    text: str,
    headers: Sequence[Header],
    titles: Sequence[Header],
    told: Callable[[int, int], Sequence[Telling]],
) -> list[Header]:
    """Empty headers where findings begin behind section `headers` none of which opens them.

    `titles` name organs; `told` gives the sentences of a stretch of text, in order.
    """
    if any(header.section == "findings" for header in headers):
        return []
    made = []
    concluded = False
    for i, header in enumerate(headers):
        concluded = concluded or header.section == "impression"
        asking = header.section == "clinical_information" or (
            header.section in _BRIEF and not (concluded and header.section == "other")
        )
        if not asking:
            continue
        end = headers[i + 1].start if i + 1 < len(headers) else len(text)
        sentences = told(header.end, end)
        brief = header.section in _BRIEF
        start = _start(text, header.end, sentences, titles, brief=brief)
        if start is not None:
            made.append(Header(start, start, "findings", ()))
    return made


def _start(
    text: str,
    section: int,
    sentences: Sequence[Telling],
    titles: Sequence[Header],
    *,
    brief: bool,
) -> int | None:
    """Where the findings begin in a section that starts at `section`."""
    titled = {title.start for title in titles}
    for first, line, blank in _lines(text, section, sentences):
        rest = sentences[first:]
        judging = sum(one.judges for one in rest)
        telling = sum(one.judges or one.states for one in rest)
        here = rest[0]
        if here.start in titled or line in titled:
            below = [one for one in rest if one.start in titled]
            if (here.judges or here.states) and (judging or len(below) >= _ENOUGH):
                return line
        elif brief:
            if (here.judges or here.states) and (judging or telling >= _ENOUGH):
                return line
        elif blank:
            here_judges = any(one.judges for one in _paragraph(text, rest))
            if here_judges and (judging >= _ENOUGH or telling >= _MANY):
                return line
        elif here.judges and judging >= _MANY:
            return line
    return None


def _lines(
    text: str, section: int, sentences: Sequence[Telling]
) -> Iterator[tuple[int, int, bool]]:
    """Numbers of sentences that begin a line below a section's first one, with its start.

    And whether a blank line is above it.
    """
    for number, one in enumerate(sentences):
        line = text.rfind("\n", section, one.start) + 1
        above = text[section:line]
        if line <= section or not above.strip() or text[line : one.start].strip(_MARKS):
            continue
        yield number, line, above[len(above.rstrip()) :].count("\n") > 1


def _paragraph(text: str, sentences: Sequence[Telling]) -> Iterator[Telling]:
    """Sentences up to the next blank line."""
    end = None
    for one in sentences:
        if end is not None and text[end : one.start].count("\n") > 1:
            return
        yield one
        end = one.end
