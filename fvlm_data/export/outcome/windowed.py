"""Clinical values as features of an image: those from before its day, and no other.

Of an image the day is known, not the time of the day: a value of that day may be from after it, and
is left out as one from the days after is.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Value(NamedTuple):
    """A row of table clinical; `observed_on` is an ISO date or time, None of a constant."""

    kind: str
    name: str
    value: float
    observed_on: str | None


@dataclass(slots=True)
class Windowed:
    """Features of one study by (kind, name), and how many values of a name were left out and why.

    Of several values of a name the last before the image's day counts; of medications, whether one
    was given in the window.
    """

    features: dict[tuple[str, str], float] = field(default_factory=dict)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)


FEATURES = ("demographic", "vital", "laboratory", "medication")
"""Kinds that are features; outcomes are none, whenever they were."""


def windowed(values: Iterable[Value], day: dt.date | None, window_days: int) -> Windowed:
    """The features of an image of a day from its patient's values, in whatever order.

    Values count from `window_days` days before the day to the day before it; constants always.
    """
    made = Windowed()
    for one in sorted(values, key=lambda one: (one.observed_on or "", one.value)):
        key = (one.kind, one.name)
        if one.kind not in FEATURES:
            continue
        why = reason(one, day, window_days)
        if why:
            made.left_out[one.name, why] += 1
        elif one.kind == "medication":
            made.features[key] = max(one.value, made.features.get(key, 0.0))
        else:
            made.features[key] = one.value
    return made


def reason(one: Value, day: dt.date | None, window_days: int) -> str:
    """Why a value is no feature of an image of that day, empty where it is one."""
    if one.observed_on is None:
        return ""
    if day is None:
        return "no_image_date"
    away = (day - date_of(one.observed_on)).days
    if away < 0:
        return "after_the_image"
    if away == 0:
        return "on_the_day_of_the_image"
    return "before_the_window" if away > window_days else ""


def date_of(told: str) -> dt.date:
    """The date of an ISO date or time."""
    return dt.date.fromisoformat(told[:10])
