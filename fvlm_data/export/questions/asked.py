"""Questions about one finding or anatomy of a study that its reports answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from fvlm_data.export.change.said import POSITIVE, said

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.export.change.said import Mention, Said

Kind = Literal["present", "side", "size", "change", "normal"]

PRESENCE = {"present": "yes", "uncertain": "possible", "absent": "no"}
NORMALITY = {"normal_stated": "yes", "abnormal": "no"}


class Answered(NamedTuple):
    """One question: its kind, the answer as a value, and the sentences it was read from.

    Values: `present` yes, possible or no; `side` left, right or bilateral; `size` mm, the largest
    that is told; `change` new, larger, smaller, unchanged or resolved; `normal` yes or no.
    """

    kind: Kind
    value: str | float
    sources: tuple[str, ...]


def of_finding(mentions: Sequence[Mention]) -> Iterator[Answered]:
    """What the mentions of one finding answer.

    Nothing where reports contradict themselves; side, size and change only of what is there.
    """
    told = said(mentions, None)
    if told.state not in PRESENCE:
        return
    yield Answered("present", PRESENCE[told.state], told.sources)
    positive = [one for one in mentions if one.status in POSITIVE]
    if told.state == "present" and positive:
        side = _side(positive)
        if side:
            yield Answered("side", side, _sources(one for one in positive if one.laterality))
        if told.size_mm is not None:
            sized = (one for one in positive if one.size_mm is not None)
            yield Answered("size", told.size_mm, _sources(sized))
    change = _change(told)
    if change:
        yield Answered("change", change, _sources(one for one in mentions if one.change))


def _side(positive: Sequence[Mention]) -> str | None:
    """The side of a finding that is there; none where a mention tells none."""
    sides = {one.laterality for one in positive}
    if None in sides:
        return None
    if "bilateral" in sides or len(sides) > 1:
        return "bilateral"
    return next(iter(sides))


def _change(told: Said) -> str | None:
    """What became of it, where words and sizes tell one thing."""
    changes = told.words | told.sizes
    return next(iter(changes)) if len(changes) == 1 else None


def _sources(mentions: Iterator[Mention]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.source for one in mentions))
