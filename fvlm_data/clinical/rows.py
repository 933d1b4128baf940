"""From values as files tell them to rows of table `clinical`, or to why they are set aside."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING

from fvlm_data.clinical.analytes import Analyte, analyte, known_units, ucum
from fvlm_data.clinical.sources.told import Aside
from fvlm_data.identity.ids import shifted_time
from fvlm_data.store.declared import Reject
from schemas import ClinicalValue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fvlm_data.clinical.sources.told import Told

Content = tuple[str, str, float, str, str, str | None, str]
"""Kind, name, value, bound, unit, time and file of a row."""

_NUMBER = re.compile(r"(<=|>=|<|>)?\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)")
YES_NO = {"true": "1", "false": "0"}
CODES = {"sex_male": {"M": "1", "F": "0"}}
"""Codes that a value may be told by: those of DICOM (PatientSex)."""

MOST_NAMED = 12
"""Characters of a unit that a message quotes."""


def patient_rows(
    key: bytes, patient: str, told: Iterable[tuple[str, Told]]
) -> tuple[list[ClinicalValue], list[Reject]]:
    """Rows and rejects of a patient's values, each with the token of its file.

    The same values give the same rows, whatever their order. A value told twice is one row.
    Rejects are by reason and name of ours, with how many values it is: no value, time or text of a
    file stands in them.
    """
    made: list[Content] = []
    refused: Counter[tuple[str, Aside]] = Counter()
    files: dict[tuple[str, Aside], set[str]] = {}
    seen: set[tuple[object, ...]] = set()
    for file, one in sorted(told, key=lambda pair: (pair[0], pair[1].content)):
        row = _content(key, patient, file, one)
        if not isinstance(row, Aside):
            if row[:-1] not in seen:
                seen.add(row[:-1])
                made.append(row)
                continue
            row = TWICE
        refused[one.name, row] += 1
        files.setdefault((one.name, row), set()).add(file)
    rejects = [
        Reject(fault.kind, fault.reason, _sentence(number, name, fault),
               tuple(sorted(files[name, fault])))
        for (name, fault), number in sorted(
            refused.items(), key=lambda pair: (pair[0][0], pair[0][1].reason, pair[0][1].detail)
        )
    ]  # fmt: skip
    return [_row(patient, number, row) for number, row in enumerate(made)], rejects


TWICE = Aside("duplicate", "same_value", "the same value at the same time again; nothing to do")


def _sentence(number: int, name: str, fault: Aside) -> str:
    return f"{number} values{f' of {name}' if name else ''}: {fault.detail}"


def _row(patient: str, number: int, content: Content) -> ClinicalValue:
    kind, name, value, bound, unit, when, file = content
    return ClinicalValue(
        patient_id=patient, number=number, kind=kind, name=name, value=value, bound=bound,
        unit=unit, observed_on=when, source=file,
    )  # fmt: skip


def _content(key: bytes, patient: str, file: str, told: Told) -> Content | Aside:
    if told.fault is not None:
        return told.fault
    known = analyte(told.name)
    if known is None:
        raise ValueError(f"{told.name} is no name of ours; readers give none but ours")
    parsed = _number(known, told)
    if isinstance(parsed, Aside):
        return parsed
    value, bound = parsed
    when = shifted_time(key, patient, told.time) if told.time else None
    # what did not come has no time, most often; a constant needs none
    if when is None and not known.constant and not (known.kind == "outcome" and value == 0):
        return Aside("fault", "no_time", "no time is told; give the column of their time")
    return (known.kind, known.name, value, bound, known.unit, when, file)


def _number(known: Analyte, told: Told) -> tuple[float, str] | Aside:
    """The value in the unit of rows, and its bound."""
    text = told.value.strip()
    text = CODES.get(known.name, {}).get(text.upper(), text)
    text = YES_NO.get(text.lower(), text)
    if known.kind == "medication" and not text:
        text = "1"  # a line of what was given, without a dose
    found = _NUMBER.fullmatch(text)
    if not text:
        return Aside("fault", "no_value", "no value is told; nothing to do, if none was measured")
    number = float(found[2]) if found else math.nan
    if found is None or not math.isfinite(number):
        return Aside("fault", "unreadable_value", "no number is told; expected one, as <0.5 or 7.1")
    if known.yes_or_no:
        return _yes_or_no(known, number)
    unit = ucum(told.unit)
    converted = known.converted(number, unit)
    if converted is None:
        return _unit_fault(known, unit)
    low, high = known.range
    value = float(f"{converted:.12g}")  # 98.6 [degF] is 37 Cel
    if not low <= value <= high:
        return Aside(
            "fault",
            "implausible_value",
            f"outside of {low:g} to {high:g} {known.unit}; most often the unit is another one",
        )
    return value, found[1] or ""


def _yes_or_no(known: Analyte, number: float) -> tuple[float, str] | Aside:
    if known.kind == "medication" and number >= 0:
        return float(number > 0), ""  # a dose, in whatever unit
    if number in (0.0, 1.0):
        return number, ""
    return Aside("fault", "unreadable_value", "neither 1 nor 0 is told; expected one of them")


def _unit_fault(known: Analyte, unit: str) -> Aside:
    """A unit is named only where it is one: a column in its place may hold anything."""
    atoms = {one for told in known_units() for one in re.split(r"[/.]", told)}
    is_one = len(unit) <= MOST_NAMED and all(one in atoms for one in re.split(r"[/.]", unit))
    found = f"unit {unit}" if is_one else "a unit that no analyte has"
    return Aside(
        "fault",
        "unit_not_known",
        f"{found}; expected one of {', '.join(sorted(known.factors))}",
    )
