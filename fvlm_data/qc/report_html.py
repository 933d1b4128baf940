"""A report as HTML: its text, character for character, in coloured spans."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from fvlm_data.qc.templating import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Row = dict[str, Any]

PLAIN = Markup('<span class="aside">{}</span>')
SENTENCE = Markup(
    '<span class="sentence {colour}" data-anatomies="{anatomies}" data-span="{span}">{inner}</span>'
)
MENTION = Markup(
    '<mark class="mention {status}" data-anatomies="{anatomies}" data-findings="{findings}" '
    'data-at="{at}" tabindex="0" title="{title}">{text}</mark>'
)
HEADER = Markup('<span class="header">{}</span>')


def report_html(
    text: str,
    sections: Sequence[Mapping[str, Any]],
    sentences: Sequence[Row],
    findings: Sequence[Row],
    colours: Mapping[str, int],
) -> Markup:
    """The text with a span for each sentence and a mark for each mention of a finding.

    Offsets are characters of `text`. Mentions may overlap: each piece of text names all findings
    that it mentions. `data-span` of a sentence and `data-at` of a mention are where they lie, for
    review. What the HTML shows is exactly `text`; all of it is escaped.
    """
    parts, done = [], 0
    heads = _heads(text, sections)
    for row in sorted(sentences, key=lambda row: (row["start"], row["end"])):
        start, end = max(row["start"], done), min(row["end"], len(text))
        if start >= end:
            continue
        parts.append(_between(text, done, start, heads))
        parts.append(_sentence(text, start, end, row, findings, colours))
        done = end
    parts.append(_between(text, done, len(text), heads))
    return Markup("").join(parts)


def _heads(text: str, sections: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Where headers of sections lie: what stands in the line before a section's content."""
    found = []
    for section in sections:
        start = section["start"]
        before = text[:start].rstrip()
        line = before.rfind("\n") + 1
        if before[line:].strip():
            found.append((line, len(before)))
    return found


def _between(text: str, start: int, end: int, heads: Sequence[tuple[int, int]]) -> Markup:
    """Text outside of sentences: headers, and what no sentence holds."""
    inside = [(a, b) for a, b in heads if start <= a and b <= end]
    parts, done = [], start
    for a, b in sorted(inside):
        if a < done:
            continue
        parts += [PLAIN.format(text[done:a]) if a > done else "", HEADER.format(text[a:b])]
        done = b
    if done < end:
        parts.append(PLAIN.format(text[done:end]))
    return Markup("").join(parts)


def _sentence(
    text: str,
    start: int,
    end: int,
    row: Row,
    findings: Sequence[Row],
    colours: Mapping[str, int],
) -> Markup:
    own = [f for f in findings if f["start"] < end and f["end"] > start]
    edges = {start, end}
    for finding in own:
        edges |= {max(start, finding["start"]), min(end, finding["end"])}
    pieces = []
    for a, b in pairwise(sorted(edges)):
        here = [f for f in own if f["start"] <= a and f["end"] >= b]
        pieces.append(_mention(text[a:b], a, here) if here else Markup("{}").format(text[a:b]))
    anatomies = row["anatomies"] or ()
    colour = f"tinted c{colours.get(anatomies[0], 0)}" if anatomies else ""
    return SENTENCE.format(
        colour=colour,
        anatomies=" ".join(anatomies),
        span=f"{row['start']}:{row['end']}",
        inner=Markup("").join(pieces),
    )


def _mention(text: str, at: int, findings: Sequence[Row]) -> Markup:
    ordered = sorted(findings, key=lambda f: (f["start"] - f["end"], f["finding"], f["anatomy"]))
    return MENTION.format(
        status=ordered[0]["status"],
        anatomies=" ".join(dict.fromkeys(f["anatomy"] for f in ordered)),
        findings=" ".join(dict.fromkeys(f["finding"] for f in ordered)),
        at=at,
        title="\n".join(dict.fromkeys(_told(f) for f in ordered)),
        text=text,
    )


def _told(finding: Row) -> str:
    """A mention in words: what, where, what is asserted, how sure."""
    size = finding["size_mm"]
    more = (
        finding["laterality"],
        finding["severity"],
        f"{size:g} mm" if size is not None else None,
        finding["change"],
        f"confidence {finding['confidence']}" if finding["confidence"] else None,
    )
    told = [f"{words(finding['finding'])} ({words(finding['anatomy'])}): {finding['status']}"]
    return ", ".join(told + [str(one) for one in more if one])
