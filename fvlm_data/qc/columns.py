"""Columns of the page's lists as plain data that scripts read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Column = dict[str, Any]
"""`name`, `kind`, `values`; `unit` of numbers; `names` that codes stand for."""

MISSING = -1
"""Code of a missing category."""


def texts(name: str, values: Iterable[str]) -> Column:
    """A column of texts that hardly repeat."""
    return {"name": name, "kind": "text", "values": list(values)}


def numbers(name: str, values: Iterable[float | None], unit: str = "") -> Column:
    """A column of numbers, to four digits; None where missing."""
    rounded = [None if value is None else _rounded(value) for value in values]
    return {"name": name, "kind": "number", "unit": unit, "values": rounded}


def categories(name: str, values: Sequence[str | None]) -> Column:
    """A column of one name a row, as codes into the sorted names."""
    names = sorted({value for value in values if value is not None})
    code = {value: place for place, value in enumerate(names)}
    return {
        "name": name,
        "kind": "category",
        "names": names,
        "values": [MISSING if value is None else code[value] for value in values],
    }


def sets(name: str, values: Sequence[Iterable[str]]) -> Column:
    """A column of several names a row, as lists of codes."""
    rows = [list(row) for row in values]
    names = sorted({value for row in rows for value in row})
    code = {value: place for place, value in enumerate(names)}
    return {
        "name": name,
        "kind": "set",
        "names": names,
        "values": [[code[value] for value in row] for row in rows],
    }


def _rounded(value: float) -> float:
    short = float(f"{value:.4g}")
    return int(short) if short.is_integer() else short
