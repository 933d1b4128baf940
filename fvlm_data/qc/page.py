"""The HTML of the quality page: one file, nothing fetched from elsewhere."""

from __future__ import annotations

import math
from html import escape
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from fvlm_data.qc.figures import VOLUMES_MEASURED
from fvlm_data.qc.png import data_url
from fvlm_data.qc.thumbnails import colour_of
from schemas.anatomy_texts import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.qc.figures import Figures, Spread
    from fvlm_data.qc.thumbnails import Thumbnail

AXIS_PIXELS = 460
AXIS_ML = (0.1, 10_000.0)


def render(store_id: str, run_id: str, figures: Figures, thumbnails: Sequence[Thumbnail]) -> str:
    """The page as HTML text."""
    sections = (
        _section("From files to samples", _bars(figures.images)),
        _section("Reports", _bars(figures.reports)),
        _section("Set aside", _set_aside(figures)),
        _section("Waiting", _waiting(figures)),
        _section("Samples by split", _splits(figures)),
        _section("What the reports say, by anatomy", _states(figures)),
        _section("Size of anatomies", _spreads(figures.spreads)),
        _section("What the images show", _checks(figures)),
        _section("Slices with outlines", _pictures(thumbnails)),
    )
    page = resources.files("fvlm_data.qc").joinpath("page.html").read_text(encoding="utf-8")
    return Template(page).substitute(
        store=escape(store_id), run=escape(run_id), body="\n".join(sections)
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{content}</section>"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> str:
    """A table of ready cells; the last `numbers` columns hold numbers."""
    first = len(head) - numbers
    classes = ['class="n"' if place >= first else "" for place in range(len(head))]
    top = "".join(f"<th {c}>{escape(name)}</th>" for c, name in zip(classes, head, strict=True))
    body = "".join(
        "<tr>"
        + "".join(
            cell if cell.startswith("<td") else f"<td {c}>{cell}</td>"
            for c, cell in zip(classes, row, strict=True)
        )
        + "</tr>\n"
        for row in rows
    )
    return f"<table><tr>{top}</tr>\n{body}</table>"


def _bars(counts: Sequence[tuple[str, int]]) -> str:
    """Bars on a root scale, so that few samples of many files can still be seen."""
    most = max((count for _, count in counts), default=0) or 1
    rows = [
        (
            escape(name),
            f'<td style="width:65%"><div class="bar" '
            f'style="width:{100 * math.sqrt(count / most):.1f}%"></div></td>',
            f"{count:,}",
        )
        for name, count in counts
    ]
    return _table(("", "", "count"), rows, numbers=1)


def _set_aside(figures: Figures) -> str:
    if not figures.set_aside:
        return _note("Nothing was set aside.")
    rows = [
        (
            f'<td class="fault">{escape(s.kind)}</td>' if s.kind == "fault" else escape(s.kind),
            escape(s.stage),
            escape(s.reason),
            escape(s.example),
            f"{s.count:,}",
        )
        for s in figures.set_aside
    ]
    return _table(("kind", "stage", "reason", "one of them", "count"), rows, numbers=1)


def _waiting(figures: Figures) -> str:
    if not figures.waiting:
        return _note("Nothing waits.")
    rows = [(escape(kind), escape(what), f"{n:,}") for kind, what, n in figures.waiting]
    return _table(("what waits", "for", "count"), rows, numbers=1)


def _splits(figures: Figures) -> str:
    if not figures.splits:
        return _note("No samples yet.")
    rows = [(escape(split), f"{n:,}", f"{p:,}") for split, n, p in figures.splits]
    return _table(("split", "samples", "patients"), rows, numbers=2)


def _states(figures: Figures) -> str:
    if not figures.states:
        return _note("No study has a report yet.")
    rows = []
    for anatomy, counts in figures.states.items():
        total = sum(counts.values())
        numbers = [counts.get(state, 0) for state in STATES]
        rows.append(
            (
                escape(anatomy),
                *(f"{n:,} ({100 * n / total:.0f} %)" for n in numbers),
                f"{total:,}",
            )
        )
    head = ("anatomy", *(state.replace("_", " ") for state in STATES), "studies")
    return _table(head, rows, numbers=len(STATES) + 1)


def _spreads(spreads: Sequence[Spread]) -> str:
    if not spreads:
        return _note("No volume is segmented yet.")
    note = _note(
        "Millilitres in the volume, cut organs included: line from 5th to 95th percentile, box "
        f"from 25th to 75th, tick at the median; over at most {VOLUMES_MEASURED:,} volumes."
    )
    rows = [
        (
            escape(s.anatomy),
            f'<td style="width:{AXIS_PIXELS}px">{_box(s)}</td>',
            f"{s.percentiles_ml[2]:,.1f}",
            f"{s.volumes:,}",
        )
        for s in spreads
    ]
    return note + _table(
        ("anatomy", "0.1 ml to 10 l, logarithmic", "median ml", "volumes"), rows, numbers=2
    )


def _box(spread: Spread) -> str:
    p5, p25, p50, p75, p95 = (_place(ml) for ml in spread.percentiles_ml)
    decades = round(math.log10(AXIS_ML[1] / AXIS_ML[0]))
    grid = "".join(
        f'<line x1="{x:.0f}" x2="{x:.0f}" y1="0" y2="16" stroke="#e8edf2"/>'
        for x in (AXIS_PIXELS * n / decades for n in range(decades + 1))
    )
    return (
        f'<svg width="{AXIS_PIXELS}" height="16" role="img" '
        f'aria-label="{escape(spread.anatomy)} median {spread.percentiles_ml[2]:.1f} ml">{grid}'
        f'<line x1="{p5:.1f}" x2="{p95:.1f}" y1="8" y2="8" stroke="#3f7cac"/>'
        f'<rect x="{p25:.1f}" width="{max(p75 - p25, 1):.1f}" y="3" height="10" fill="#9cc3e0"/>'
        f'<line x1="{p50:.1f}" x2="{p50:.1f}" y1="1" y2="15" stroke="#1d2733" stroke-width="2"/>'
        "</svg>"
    )


def _place(ml: float) -> float:
    low, high = AXIS_ML
    share = math.log(min(max(ml, low), high) / low) / math.log(high / low)
    return share * AXIS_PIXELS


def _checks(figures: Figures) -> str:
    if not figures.regions:
        return _note("No volume is segmented yet.")
    tables = (
        ("body region", figures.regions),
        ("contrast", figures.contrasts),
        ("flag", figures.flags),
    )
    return '<div class="columns">{}</div>'.format(
        "".join(
            f"<div>{_table((name, 'volumes'), [(escape(v), f'{n:,}') for v, n in counts], 1)}</div>"
            for name, counts in tables
        )
    )


def _pictures(thumbnails: Sequence[Thumbnail]) -> str:
    if not thumbnails:
        return _note("No volume is segmented yet.")
    shown = sorted({anatomy for picture in thumbnails for anatomy in picture.anatomies})
    key = " &nbsp; ".join(
        f'<span><span class="key" style="background:rgb{colour_of(a)}"></span>{escape(a)}</span>'
        for a in shown
    )
    figures = "".join(_figure(picture) for picture in thumbnails)
    return f'<p class="note">{key}</p><div class="pictures">{figures}</div>'


def _figure(picture: Thumbnail) -> str:
    caption = escape(picture.volume_id)
    if picture.png is None:
        image = _note("The volume or its label map cannot be read; restore the file.")
    else:
        image = f'<img src="{data_url(picture.png)}" alt="axial slice with outlines">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
