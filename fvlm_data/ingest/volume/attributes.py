"""The header elements that all slices of one scan share, and when two values of them agree."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from fvlm_data.ingest.dicom.slice_header import SliceHeader

LEAST_DIFFERENCE = 1e-4
"""Numbers that lie closer agree, however many digits they have (0.1 um of PixelSpacing)."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One element: its DICOM keyword, its value in normal form, and whether two values agree.

    `value` gives None where the element is absent or blank, which agrees with everything. A
    `technique` may truly differ between two scans that continue each other; the others may not.
    """

    keyword: str
    value: Callable[[SliceHeader], Hashable]
    agree: Callable[[Hashable, Hashable], bool]
    technique: bool = False


def normal_text(value: str) -> str:
    """A text in normal form: Unicode NFKC, case folded, blanks joined to one."""
    folded = unicodedata.normalize("NFKC", value).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def decimal(value: str) -> tuple[float, float] | None:
    """A decimal string as its number and half of its last digit; None where it is no number.

    `0.703` stands for anything from 0.7025 to 0.7035.
    """
    try:
        number = Decimal(value.strip())
    except InvalidOperation:
        return None
    if not number.is_finite():
        return None
    # a whole number is exact to the unit, however many zeros it ends with
    last = min(int(number.as_tuple().exponent), 0)
    return float(number), 0.5 * 10.0**last


def normal_number(value: str) -> Hashable:
    """A text that most often is a number, in a form that is the same for `5`, `05` and `5.0`.

    Blank stays blank; what is no number is taken as text.
    """
    parsed = decimal(value)
    return normal_text(value) if parsed is None else parsed[0]


def normal_moment(value: str) -> str:
    """A DICOM date and time without the zeros that end its fraction of a second, if it has one."""
    told = value.strip()
    return told.rstrip("0").rstrip(".") if "." in told else told


def _same(one: Hashable, other: Hashable) -> bool:
    return one == other


def _held(one: Hashable, other: Hashable) -> bool:
    """Whether the values of one are among those of the other: a value more is no other kind."""
    assert isinstance(one, tuple)
    assert isinstance(other, tuple)
    return set(one) <= set(other) or set(other) <= set(one)


def _same_numbers(one: Hashable, other: Hashable) -> bool:
    """Whether decimal strings may stand for the same numbers."""
    assert isinstance(one, tuple)
    assert isinstance(other, tuple)
    return len(one) == len(other) and all(
        abs(a - b) <= max(half_a, half_b, LEAST_DIFFERENCE)
        for (a, half_a), (b, half_b) in zip(one, other, strict=True)
    )


def _decimals(values: Sequence[str]) -> Hashable:
    parsed = [decimal(value) for value in values]
    known = tuple(one for one in parsed if one is not None)
    return known if len(known) == len(parsed) and known else None


def _kvp(header: SliceHeader) -> Hashable:
    # 0 kV is what some writers put for a blank
    stated = decimal(header.kvp)
    return (stated,) if stated is not None and stated[0] > 0 else None


ATTRIBUTES = (
    Attribute("StudyInstanceUID", lambda h: h.names.study_uid or None, _same),
    Attribute("PatientID", lambda h: normal_text(h.names.patient) or None, _same),
    Attribute("IssuerOfPatientID", lambda h: normal_text(h.names.patient_issuer) or None, _same),
    Attribute("FrameOfReferenceUID", lambda h: h.frame_of_reference or None, _same),
    Attribute("Rows", lambda h: h.geometry.rows or None, _same),
    Attribute("Columns", lambda h: h.geometry.columns or None, _same),
    Attribute("PixelSpacing", lambda h: _decimals(h.pixel_spacing), _same_numbers),
    Attribute(
        "ImageType", lambda h: tuple(map(normal_text, h.image_type)) or None, _held, technique=True
    ),
    Attribute(
        "ConvolutionKernel",
        lambda h: tuple(map(normal_text, h.kernel)) or None,
        _held,
        technique=True,
    ),
    Attribute("KVP", _kvp, _same_numbers, technique=True),
    Attribute("StackID", lambda h: normal_text(h.stack) or None, _same, technique=True),
)


def stated(attribute: Attribute, headers: Iterable[SliceHeader]) -> set[Hashable]:
    """The different values that headers state."""
    return {attribute.value(header) for header in headers} - {None}


def conflicting(attribute: Attribute, headers: Iterable[SliceHeader]) -> bool:
    """Whether two headers state values that do not agree."""
    values = stated(attribute, headers)
    return any(not attribute.agree(one, other) for one, other in combinations(values, 2))


def agreeing(one: SliceHeader, other: SliceHeader) -> bool:
    """Whether two headers contradict each other in none of the elements; blanks agree."""
    values = ((a, a.value(one), a.value(other)) for a in ATTRIBUTES)
    return all(
        mine is None or theirs is None or a.agree(mine, theirs) for a, mine, theirs in values
    )


def blanks(header: SliceHeader) -> int:
    """Number of the elements that a header leaves blank."""
    return sum(attribute.value(header) is None for attribute in ATTRIBUTES)
