"""What may be known of a patient, and its units: the file analytes.yaml as a value."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN = re.compile(r"(medication|outcome):([a-z0-9_]{1,40})")
"""Names that a site gives itself, with the kind before them."""

SPELLINGS = (("µ", "u"), ("μ", "u"), ("10^", "10*"), ("°C", "Cel"), ("°F", "[degF]"))
"""Signs that stand for a unit of UCUM in files; each has but one meaning."""

FORMS = {
    "mmHg": "mm[Hg]", "l/min": "L/min", "bpm": "{beats}/min", "years": "a", "IU/L": "[IU]/L",
    "mEq/L": "meq/L", "": "1",
}  # fmt: skip
"""Whole units as files write them which are none of UCUM, or no unit at all."""


@dataclass(frozen=True, slots=True)
class Analyte:
    """One name that rows may have: its kind and unit, and the values that can be.

    A value in unit u is (value + offsets[u]) * factors[u] in `unit`. A `constant` needs no time.
    """

    name: str
    kind: str
    unit: str
    factors: Mapping[str, float]
    offsets: Mapping[str, float] = field(default_factory=dict)
    range: tuple[float, float] = (0.0, 1.0)
    loinc: tuple[str, ...] = ()
    constant: bool = False

    def converted(self, value: float, unit: str) -> float | None:
        """The value in the unit of rows; None where `unit`, as UCUM has it, is not known of it."""
        if unit not in self.factors:
            return None
        return (value + self.offsets.get(unit, 0.0)) * self.factors[unit]

    @property
    def yes_or_no(self) -> bool:
        """Whether its values are 1 (it was so) and 0 (it was not)."""
        return self.kind in ("medication", "outcome")


@cache
def analytes() -> dict[str, Analyte]:
    """All analytes by id."""
    text = files("fvlm_data.clinical").joinpath("analytes.yaml").read_text(encoding="utf-8")
    made = {}
    for name, told in yaml.safe_load(text).items():
        low, high = told["range"]
        made[name] = Analyte(
            name=name,
            kind=told["kind"],
            unit=told["unit"],
            factors={told["unit"]: 1.0, **told.get("units", {})},
            offsets=told.get("offsets", {}),
            range=(low, high),
            loinc=tuple(told.get("loinc", ())),
            constant=told.get("constant", False),
        )
    return made


@cache
def _by_code() -> dict[str, Analyte]:
    return {code: one for one in analytes().values() for code in (one.name, *one.loinc)}


def analyte(name: str) -> Analyte | None:
    """The analyte of an id, a LOINC code, or a name of the site (medication:x); None: not known."""
    own = OWN.fullmatch(name)
    if own is not None:
        return Analyte(own[2], own[1], "1", {"1": 1.0})
    return _by_code().get(name) or _by_code().get(name.lower())


def ucum(unit: str) -> str:
    """A unit as UCUM writes it, of the ways in which files write ours; others stay as they are.

    UCUM has both l and L for the litre: rows have L.
    """
    plain = unit.strip()
    for sign, meant in SPELLINGS:
        plain = plain.replace(sign, meant)
    plain = FORMS.get(plain, plain)
    return re.sub(r"(?<=[/dmu])l\b", "L", plain)


@cache
def known_units() -> frozenset[str]:
    """All units that some analyte may have: what a message may name of a file."""
    return frozenset(unit for one in analytes().values() for unit in one.factors)
