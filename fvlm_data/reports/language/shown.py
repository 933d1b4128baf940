"""A report's text with its mentions coloured by status, for terminals and notebooks."""

from __future__ import annotations

import html
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Marked(NamedTuple):
    """A mention at the characters [start, end) of a text."""

    start: int
    end: int
    finding: str
    anatomy: str
    status: str
    laterality: str | None = None
    size_mm: float | None = None

    def told(self) -> str:
        """What it says in words: `pleural effusion, pleura, left, absent, 12 mm`."""
        size = f"{self.size_mm:g} mm" if self.size_mm is not None else None
        parts = (self.finding, self.anatomy, self.laterality, self.status, size)
        return ", ".join(part.replace("_", " ") for part in parts if part)


COLOURS = {"present": "#D55E00", "uncertain": "#9A6700", "absent": "#0072B2"}
"""Of Okabe and Ito's palette, darkened to be read; shapes of lines differ too."""

OTHER_COLOUR = "#6E6E6E"
LINES = {"present": "solid", "uncertain": "dashed", "absent": "double"}
STYLES = {"present": "bold bright_red", "uncertain": "yellow", "absent": "bright_blue"}


def pieces(text: str, marks: Sequence[Marked]) -> Iterator[tuple[str, tuple[Marked, ...]]]:
    """The text cut where a mention begins or ends, with the mentions over each piece.

    The pieces put together are the text.
    """
    borders = sorted({0, len(text), *(b for one in marks for b in (one.start, one.end))})
    for start, end in pairwise(borders):
        over = tuple(one for one in marks if one.start <= start and end <= one.end)
        yield text[start:end], over


def as_html(text: str, marks: Sequence[Marked]) -> str:
    """The text as HTML, lines kept; what a mention says stands in its title."""
    made = [_span(piece, over) for piece, over in pieces(text, marks)]
    return f'<div style="white-space: pre-wrap; line-height: 1.6">{"".join(made)}</div>'


def _span(piece: str, over: Sequence[Marked]) -> str:
    if not over:
        return html.escape(piece)
    status = over[0].status
    colour, line = COLOURS.get(status, OTHER_COLOUR), LINES.get(status, "dotted")
    title = html.escape("; ".join(one.told() for one in over), quote=True)
    style = f"color: {colour}; text-decoration: underline {line}; text-underline-offset: 3px"
    return f'<span title="{title}" style="{style}">{html.escape(piece)}</span>'


def print_marked(text: str, marks: Sequence[Marked]) -> None:
    """Print the text in colours, then a line a mention; plain where output is no terminal."""
    from rich.console import Console
    from rich.text import Text

    shown = Text()
    for piece, over in pieces(text, marks):
        shown.append(piece, STYLES.get(over[0].status, "dim") if over else None)
    console = Console(highlight=False)
    console.print(shown, soft_wrap=True)
    for one in marks:
        said = " ".join(text[one.start : one.end].split())
        console.print(
            Text(f"  {said}: ", "dim").append(one.told(), STYLES.get(one.status, "dim")),
            soft_wrap=True,
        )


def print_lines(lines: Iterable[str]) -> None:
    """Print plain lines, as they are."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for line in lines:
        console.print(line, soft_wrap=True)
