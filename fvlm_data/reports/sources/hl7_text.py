"""The text of one HL7 order: of its results (OBX) and of the notes on them (NTE)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fvlm_data.reports.sources.attachments import UnreadError, content_text
from fvlm_data.reports.sources.markup import BASE64_LINE, is_file, plain_text
from fvlm_data.reports.sources.rows import mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.reports.sources.hl7_segments import Segment

_VALUE_TYPES = "NM SN DT TM DTM TS DR CX EI ID IS NA MA MO CP XCN XPN XAD XTN XON PN AD TN CN HD SI"
"""Types of OBX-2 that are numbers, dates, people and places (table 0125): no report text."""
_VALUES = frozenset(_VALUE_TYPES.split())
_FREE_TEXT = frozenset({"TX", "FT", ""})
_SECTIONS = {"GDT": "findings", "IMP": "impression", "ADT": "addendum"}
"""Suffixes of OBX-3 (HL7 2.5.1, 7.2.4)."""
_LONGEST_CODE = 5
_DELETED = "its status says that it is deleted, wrong or no result; nothing to do"
_TEXT_FIELD = {"OBX": 5, "NTE": 3}

Fault = tuple[str, str, str]


@dataclass(slots=True)
class Texts:
    """`columns` by section, or whole under `report`; `aside` are segments that hold no text.

    `fault` says that a segment's text cannot be told for sure.
    """

    columns: dict[str, str] = field(default_factory=dict)
    addendum: bool = False
    aside: list[Fault] = field(default_factory=list)
    fault: Fault | None = None


def order_text(order: Sequence[Segment], left_out: frozenset[str]) -> Texts:
    """Text of an order's segments; results with a status of `left_out` are none.

    A note belongs to the result before it.
    """
    made = Texts()
    pieces: dict[str, list[str]] = {}
    section, used = "report", True
    some_used = any(_tells(one) and one.code(11) not in left_out for one in order)
    counts = {"OBX": 0, "NTE": 0}
    for segment in order:
        if segment.name in counts:
            counts[segment.name] += 1
        elif re.search(r"\n.*\w", segment.fields[-1]):
            made.fault = made.fault or _torn(segment.name, "text")
        name = f"{segment.name} {counts.get(segment.name, '')}"
        if segment.name == "OBX":
            section, used = _section(segment), segment.code(11) not in left_out
            if not used and some_used and _tells(segment):
                made.aside.append(("out_of_scope", "deleted_result", f"{name}: {_DELETED}"))
        if segment.name not in counts or not used:
            continue
        try:
            pieces.setdefault(section, []).extend(_piece(segment))
        except UnreadError as error:
            _note(made, name, error)
    _fill(made, {section: one for section, one in pieces.items() if one})
    return made


def _tells(segment: Segment) -> bool:
    return segment.name == "OBX" and re.search(r"\w", segment.field(5)) is not None


def _note(made: Texts, name: str, error: UnreadError) -> None:
    """A file without text leaves the rest of the report as it is; all else makes it doubtful."""
    fault = ("fault", error.reason, f"{name}: {error.detail}")
    if error.reason == "not_text":
        made.aside.append(fault)
    else:
        made.fault = made.fault or fault


def _torn(name: str, what: str) -> Fault:
    detail = f"{name}: {what} stands behind it that no segment holds; expected it in OBX-5"
    return ("fault", "broken_segment", detail)


def _section(segment: Segment) -> str:
    parts = re.split(r"[&^]", segment.field(3).upper())
    return next((_SECTIONS[part] for part in parts if part in _SECTIONS), "report")


def _piece(segment: Segment) -> list[str]:
    """The text of one segment, and what raw line feeds have put behind its other fields."""
    at = _TEXT_FIELD[segment.name]
    kind = segment.code(2) if segment.name == "OBX" else "FT"
    behind = [one.partition("\n")[2] for one in segment.fields[at + 1 :]]
    behind = [one for one in behind if re.search(r"\w", one)]
    if kind in _VALUES:
        return [segment.text(one) for one in behind]
    if kind == "RP":
        raise UnreadError("not_text", "points to a file elsewhere, expected text; give it as text")
    if kind == "ED":
        return [mended(_file_text(segment)), *(segment.text(one) for one in behind)]
    _check_fields(segment, at, free=kind in _FREE_TEXT)
    raw = "\n".join([*segment.repetitions(at), *behind])
    if kind in ("CE", "CWE", "CF"):
        raw = raw.replace(segment.separators.component, " ")
    text = segment.text(raw)
    if kind not in _FREE_TEXT:  # a value with its unit and the range of what is usual
        text = " ".join(filter(None, (text, segment.part(6), segment.part(7))))
    return [mended(text)]


def _check_fields(segment: Segment, at: int, *, free: bool) -> None:
    """Refuse free text with a field separator in it: where it ends cannot be told.

    Behind the text of an OBX come codes and dates (behind a value, which is not `free` text, its
    unit and range), behind that of an NTE one code.
    """
    if segment.name == "OBX":
        words = free and any(re.search(r"\w", segment.code(number)) for number in (6, 7))
        torn = words or any(len(segment.code(number)) > _LONGEST_CODE for number in (8, 9, 10, 11))
    else:
        behind = segment.field(at + 1).partition("\n")[0].strip()
        torn = not re.fullmatch(r"(?:[A-Z0-9]{1,4})?(?:\W.*)?", behind)
    if torn:
        raise UnreadError(
            "broken_segment",
            f"holds an unescaped {segment.separators.field} in its text; expected "
            f"{segment.separators.escape}F{segment.separators.escape}; mend the sender",
        )


def _file_text(segment: Segment) -> str:
    """Text of a file (type ED: source, type, subtype, encoding, data)."""
    parts = segment.field(5).split(segment.separators.component, 4)
    if len(parts) < 5:
        return segment.text(segment.field(5))
    kind, encoding = " ".join(parts[:3]), parts[3].strip().lower()
    data = segment.text(parts[4])
    if encoding not in ("base64", "b64", "hex"):
        return content_text(data.encode(), kind)
    data = re.sub(r"\s", "", data)
    try:
        content = (
            bytes.fromhex(data) if encoding == "hex" else base64.b64decode(data, validate=True)
        )
    except (binascii.Error, ValueError) as error:
        raise UnreadError("broken_segment", f"is no valid {encoding}; mend the sender") from error
    return content_text(content, kind)


def _runs(parts: Sequence[str]) -> Iterator[str]:
    """Pieces that are one text: those of a file in base64, and all others between such."""
    lines: list[str] = []
    in_file = False
    for part in parts:
        begins = is_file(part)
        if lines and (not BASE64_LINE.fullmatch(part) if in_file else begins):
            yield "\n".join(lines)
            lines = []
        in_file = in_file if lines else begins
        lines.append(part)
    yield "\n".join(lines)


def _fill(made: Texts, pieces: dict[str, list[str]]) -> None:
    """Columns of the pieces; markup is read once they are joined, as it may run over several."""
    texts: dict[str, str] = {}
    for section, parts in pieces.items():
        read = []
        for run in _runs(parts):
            try:
                read.append(plain_text(run))
            except UnreadError as error:
                _note(made, f"OBX of the {section}", error)
        if read:
            texts[section] = "\n".join(read)
    made.addendum = set(texts) == {"addendum"}
    if texts.keys() <= {"findings", "impression"}:
        made.columns = texts
        return
    ordered = ("report", "findings", "impression", "addendum")
    made.columns = {
        "report": "\n\n".join(
            (f"{section.upper()}:\n" if section != "report" else "") + texts[section]
            for section in ordered
            if section in texts
        )
    }
