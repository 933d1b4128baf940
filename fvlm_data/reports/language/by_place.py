"""Heads whose sizes are told place by place: "metastases: segment II 12 mm, segment V 31 mm"."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from fvlm_data.reports.language.anatomy import ANATOMY, HEAD, joined
from fvlm_data.reports.language.clauses import parentheses
from fvlm_data.reports.language.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.reports.language.analysed import Head
    from fvlm_data.reports.language.found import Found
    from fvlm_data.reports.language.function_words import FunctionWords

_SEVERAL = 2
_FAR = 8
"""Words between a finding and the colon behind which its places stand."""
_CONTINUED = frozenset({"(", "["})


class _Entry(NamedTuple):
    """Tokens [start, end) of a place with its size."""

    start: int
    end: int


def by_place(heads: Sequence[Head], sentence: Found, grammar: FunctionWords) -> list[Head]:
    """Heads, one that a list of places with their sizes follows told once for each of them."""
    words, roles = sentence.words, sentence.roles
    if ":" not in words or words.count(NUMBER) < _SEVERAL:
        return list(heads)
    colon = words.index(":")
    told = [head for head in heads if head.end <= colon and head.kind != "normal"]
    behind = [head for head in heads if head.start > colon and head.findings]
    last = max((head.end for head in told), default=-1)
    if not told or behind or colon - last > _FAR or HEAD in roles[last:colon]:
        return list(heads)
    entries = _entries(colon + 1, sentence, grammar)
    if len(entries) < _SEVERAL:
        return list(heads)
    places = {
        anatomy
        for mention in sentence.mentions
        if mention.start > colon
        for anatomy in mention.anatomies
    }
    made = []
    for head in heads:
        if head.end == last and head.status == "present":
            made += [_at(head, entry, sentence, places) for entry in entries]
        else:
            made.append(head)
    return made


def _entries(start: int, sentence: Found, grammar: FunctionWords) -> list[_Entry]:
    """The places with their sizes from a token on, none where anything else is told."""
    words = sentence.words
    changed = {i for match in sentence.changes for i in range(match.start, match.end)}
    told = [i for i, role in enumerate(sentence.roles) if role == HEAD and i not in changed]
    if any(i >= start for i in told):
        return []
    end = len(words) - (words[-1] == ".")
    inside = parentheses(words)
    stops = [i for i in range(start, end) if words[i] in ",;" and not inside[i]]
    entries: list[_Entry] = []
    sized = True
    for low, high in zip([start, *(i + 1 for i in stops)], [*stops, end], strict=True):
        measured = any(
            words[i] == NUMBER and words[i + 1] in grammar.units for i in range(low, high - 1)
        )
        if _is_place(low, high, sentence, grammar) and sized:
            entries.append(_Entry(low, high))
            sized = measured
        elif entries:
            entries[-1] = entries[-1]._replace(end=high)
            sized = sized or measured
        else:
            return []
    return entries if sized else []


def _is_place(start: int, end: int, sentence: Found, grammar: FunctionWords) -> bool:
    """Whether tokens begin with a place, before any size."""
    words = sentence.words
    first = next(
        (i for i in range(start, end - 1) if words[i] == NUMBER and words[i + 1] in grammar.units),
        end,
    )
    bracket = next((i for i in range(start, end) if words[i] in _CONTINUED), end)
    stop = min(first, bracket)
    return (
        ANATOMY in sentence.roles[start:stop]
        or any(start <= one[0] < stop for one in sentence.sides)
        or not grammar.places.isdisjoint(words[start:stop])
    )


def _at(head: Head, entry: _Entry, sentence: Found, places: set[str]) -> Head:
    """What a head tells, of one place of its list."""
    here = [m for m in sentence.mentions if entry.start <= m.start < entry.end]
    sides = [side for first, _, side in sentence.sides if entry.start <= first < entry.end]
    named = sentence.words.index(":")
    before = [side for first, _, side in sentence.sides if first < named]
    side = joined([*sides, *(m.side for m in here)]) or joined(before)
    anatomies = {anatomy for mention in here for anatomy in mention.anatomies}
    own = [one for one in head.findings if one[1] in anatomies or one[1] not in places]
    changes = [m for m in sentence.changes if entry.start <= m.start < entry.end]
    return replace(
        head,
        start=entry.start,
        end=entry.end,
        findings=tuple((term, anatomy, side) for term, anatomy, _ in own or head.findings),
        side=side,
        count=None,
        location=None,
        change=changes[0].phrase.change if changes else None,  # type: ignore[arg-type]
    )
