"""A query as data, and as the text that means it: parsing that text gives the same query."""

from __future__ import annotations

import re
from dataclasses import dataclass

PREFIXES = {"absent": "no", "uncertain": "possible", "historical": "previous"}
"""Word before a finding by what is asserted of it; that it is present needs none."""

PLAIN = re.compile(r"[a-z0-9][a-z0-9.+_-]*(?: [a-z0-9.+_-]+)*")
"""A value that can stand without quotes, unless it holds the word `or`."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit of a number: `sign` is >, >=, < or <=; `value` has at most six decimals."""

    sign: str
    value: float

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.sign} {f'{self.value:.6f}'.rstrip('0').rstrip('.')}"


@dataclass(frozen=True, slots=True)
class Said:
    """One mention of any of some findings, by their ids; sizes in mm."""

    findings: tuple[str, ...]
    status: str = "present"
    side: str | None = None
    severity: str | None = None
    sizes_mm: tuple[Bound, ...] = ()

    def __str__(self) -> str:
        """As it is written."""
        names = " or ".join(one.replace("_", " ") for one in self.findings)
        before = (PREFIXES.get(self.status), self.severity, self.side)
        sizes = (f"{bound} mm" for bound in self.sizes_mm)
        return " ".join([*(one for one in before if one), names, *sizes])


@dataclass(frozen=True, slots=True)
class Words:
    """Words that stand one after the other in a sentence, lower case."""

    text: str

    def __str__(self) -> str:
        """As it is written."""
        return f'"{self.text}"'


@dataclass(frozen=True, slots=True)
class Age:
    """Limits of the age in years."""

    bounds: tuple[Bound, ...]

    def __str__(self) -> str:
        """As it is written."""
        return " ".join(["age", *map(str, self.bounds)])


@dataclass(frozen=True, slots=True)
class Of:
    """A property of a volume or patient that is one of some values, lower case."""

    name: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.name} {' or '.join(map(_value, self.values))}"


@dataclass(frozen=True, slots=True)
class Without:
    """What a term does not hold of; also where reports are silent."""

    term: Said | Words | Age | Of

    def __str__(self) -> str:
        """As it is written."""
        return f"not {self.term}"


Term = Said | Words | Age | Of | Without


@dataclass(frozen=True, slots=True)
class Query:
    """Terms that must all hold of a study."""

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        """As it is written."""
        return ", ".join(map(str, self.terms))


def _value(value: str) -> str:
    plain = PLAIN.fullmatch(value) and "or" not in value.split()
    return value if plain else f'"{value}"'
