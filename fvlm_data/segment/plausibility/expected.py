"""The expectations of expected.yaml as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Intensity:
    """What the intensities of a class can be; None: not looked at."""

    kind: str | None
    median_hu: Span | None
    within_hu: Span | None
    share: float
    dense_hu: float | None


@dataclass(frozen=True, slots=True)
class Size:
    """Volume of an adult: usual, and possible at all.

    `grows`: children have a share of it; `female`: women's over men's.
    """

    usual_ml: Span
    possible_ml: Span
    grows: bool
    female: float

    def usual_of(self, sex: str | None) -> Span:
        """The usual range of a sex (F, M; else of both)."""
        low, high = self.usual_ml
        return (
            low / self.female if sex == "M" else low,
            high * self.female if sex == "F" else high,
        )


@dataclass(frozen=True, slots=True)
class Relation:
    """`one` lies `how` to `other`; `uncut`: judged only where no face cuts them along the axis."""

    one: str
    how: str
    other: str
    weight: int
    uncut: bool


@dataclass(frozen=True, slots=True)
class Aerated:
    """When a lung counts as dense: less than `share` below `below_hu`, in `least_ml` or more.

    All lungs that are shown are a fault from `fault_ml` on.
    """

    below_hu: float
    share: float
    least_ml: float
    fault_ml: float


@dataclass(frozen=True, slots=True)
class UprightTube:
    """What counts as an upright tube, and the `classes` that are none."""

    widest_mm: float
    times: float
    classes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Placed:
    """How the place of an organ is looked for (`by`, see place.py), and gains that are told."""

    by: str
    flag: float
    fault: float


@dataclass(frozen=True, slots=True)
class Expected:
    """All that is expected of classes; see expected.yaml."""

    structures: Mapping[str, Sequence[str]]
    also_called: Mapping[str, str]
    sizes: Mapping[str, Size]
    relations: Sequence[Relation]
    sequences: Sequence[tuple[str, Sequence[str]]]
    larger: Sequence[tuple[str, str]]
    one_piece: frozenset[str]
    one_piece_share: float
    together: Sequence[tuple[str, str]]
    aerated: Aerated
    tallest_mm: Mapping[str, float]
    upright_tube: UprightTube
    growth: tuple[Sequence[float], Sequence[float]]
    policy: Mapping[str, str]
    _intensity: Sequence[tuple[Sequence[str], Intensity]]
    _placed: Sequence[tuple[Sequence[str], Placed]]

    def intensity(self, name: str) -> Intensity | None:
        """What the intensities of a class can be, if anything is known of it."""
        for patterns, found in self._intensity:
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                return found
        return None

    def placed(self, name: str) -> Placed | None:
        """How the place of a class is looked for; None if it is not."""
        for patterns, found in self._placed:
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                return found
        return None

    def canonical(self, name: str) -> str:
        """The name that the expectations use for a class."""
        return self.also_called.get(name, name)

    def share_of_adult(self, age_years: float | None) -> float:
        """Volume at an age over that of an adult; 1 where the age is not known."""
        if age_years is None:
            return 1.0
        ages, shares = self.growth
        for (age, share), (later, more) in zip(
            zip(ages, shares, strict=True), list(zip(ages, shares, strict=True))[1:], strict=False
        ):
            if age_years < later:
                return share + (more - share) * (max(age_years, age) - age) / (later - age)
        return shares[-1]


@cache
def load_expected() -> Expected:
    """The expectations, read once a process."""
    text = (resources.files(__package__) / "expected.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    order = content["order"]
    pieces = content["one_piece"]
    hows = ("above", "in_front_of", "above_or_in_front_of", "right_of", "right_of_viscera")
    return Expected(
        structures=content["structures"],
        also_called=content["also_called"],
        sizes={
            name: Size(
                tuple(one["usual_ml"]),
                tuple(one["possible_ml"]),
                one.get("growth") != "none",
                one.get("female", 1.0),
            )
            for name, one in content["volume"].items()
        },
        relations=[
            Relation(one, how, other, more[0] if more else 1, "uncut" in more)
            for how in hows
            for one, other, *more in order[how]
        ],
        sequences=[(how, one) for how, ones in order["sequences"].items() for one in ones],
        larger=[(one, other) for one, other in order["larger"]],
        one_piece=frozenset(pieces["classes"]),
        one_piece_share=pieces["share"],
        together=[(one, other) for one, other in content["together"]],
        aerated=Aerated(**content["aerated"]),
        tallest_mm=content["tallest_mm"],
        upright_tube=UprightTube(**content["upright_tube"]),
        growth=(content["growth"]["ages_years"], content["growth"]["of_adult"]),
        policy=content["policy"],
        _intensity=[(one["classes"], _intensity(one)) for one in content["intensity"]],
        _placed=[
            (one["classes"], Placed(one["by"], one["flag"], one.get("fault", math.inf)))
            for one in content["placed"]
        ],
    )


def _intensity(one: Mapping[str, Any]) -> Intensity:
    def span(name: str) -> Span | None:
        return tuple(one[name]) if name in one else None

    return Intensity(
        one.get("kind"),
        span("median_hu"),
        span("within_hu"),
        one.get("share", 0.0),
        one.get("dense_hu"),
    )
