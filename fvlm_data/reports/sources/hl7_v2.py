"""HL7 v2 files: the reports of ORU^R01 messages (HL7 2.5.1 chapter 7, IHE RAD-28)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.sources.kind import Kind
from fvlm_data.reports.sources.rows import RowDraft, decoded_bytes, faulty, mended

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fvlm_data.reports.sources.options import ReadOptions
    from fvlm_data.reports.sources.rows import ReportRow

_MESSAGE = re.compile(r"(?:\A|(?<=\n))(?=MSH.)")
_CHARSETS = {
    "UNICODE UTF-8": "utf-8", "UNICODE": "utf-8", "8859/1": "iso-8859-1", "8859/2": "iso-8859-2",
    "8859/3": "iso-8859-3", "8859/4": "iso-8859-4", "8859/5": "iso-8859-5", "8859/7": "iso-8859-7",
    "8859/9": "iso-8859-9", "8859/15": "iso-8859-15",
}  # fmt: skip
"""HL7 table 0211 to Python's names; what is not here is read as UTF-8 or Windows-1252."""
_TEXT_TYPES = frozenset({"TX", "FT", "ST", "CE", "CWE", "ED", ""})
_SECTIONS = {"GDT": "findings", "IMP": "impression", "ADT": "addendum"}
"""Suffixes of OBX-3 (HL7 2.5.1, 7.2.4)."""
_WRONG = frozenset({"D", "W"})
"""OBX-11: deletes the result, posts it as wrong (table 0085); some senders use them in OBR-25."""
_PATIENT_FIELDS = (2, 3, 4, 5, 6, 7, 9, 11, 12, 13, 14, 18, 19)
_ORDER_FIELDS = (2, 3, 7, 8, 10, 16, 18, 20, 22, 28, 32, 33, 34, 35)


def read_hl7(path: Path, options: ReadOptions) -> Iterator[ReportRow]:
    """Reports of a file of HL7 messages, a report for each order (OBR) of an ORU.

    Messages that are no ORU are set aside as out of scope; the text is read in the encoding
    that MSH-18 names unless the source names one.
    """
    content = path.read_bytes()
    text = _in_stated_encoding(content, options.encoding)
    number = 0
    for message in _MESSAGE.split(re.sub(r"[\x0b\x1c]", "", re.sub(r"\r\n?", "\n", text))):
        if not message.startswith("MSH"):
            continue
        for row in _reports(message, number):
            yield row
            number += 1
    if number == 0:
        yield faulty(0, "no_message", "no HL7 message found; expected one that begins with MSH")


def _in_stated_encoding(content: bytes, encoding: str | None) -> str:
    if encoding is None:
        head = content[:2000].decode("ascii", "replace").lstrip("\x0b\ufeff \r\n")
        header = re.split(r"[\r\n]", head, maxsplit=1)[0]
        fields = header.split(header[3]) if header.startswith("MSH") and len(header) > 3 else []
        stated = fields[17].split("~")[0].strip().upper() if len(fields) > 17 else ""
        encoding = _CHARSETS.get(stated)
    if encoding in (None, "utf-8"):
        return decoded_bytes(content)
    return content.decode(encoding or "utf-8", "replace")


def _reports(text: str, number: int) -> Iterator[ReportRow]:
    import hl7

    try:
        message = hl7.parse(text.strip().replace("\n", "\r"))
        header = message.segment("MSH")
        kind = _part(message, header, 9, 0)
    except (hl7.HL7Exception, KeyError, IndexError, ValueError):
        detail = f"message {number} is no valid HL7 v2; expected segments from MSH on"
        yield faulty(number, "broken_message", detail)
        return
    if _field(header, 2)[:2] != "^~":
        detail = f"message {number} has other separators than ^~\\&; expected these; convert it"
        yield faulty(number, "broken_message", detail)
        return
    if kind != "ORU":
        known = kind if kind.isalpha() and len(kind) == 3 else "another kind"
        detail = f"message {number} is {known}, expected ORU; nothing to do"
        yield faulty(number, "not_a_result", detail, kind="out_of_scope")
        return
    shared = [segment for segment in message if _name(segment) in ("MSH", "PID", "PV1", "ZDS")]
    orders = _orders(message)
    for order in orders:
        yield _report(message, shared, order, single=len(orders) == 1).row(number)
        number += 1
    if not orders:
        detail = f"message {number} holds no order (OBR); expected one a report"
        yield faulty(number, "broken_message", detail)


def _orders(message: Any) -> list[list[Any]]:
    """Segments of each order: ORC, OBR and what follows."""
    made: list[list[Any]] = []
    for segment in message:
        if _name(segment) == "OBR":
            made.append([segment])
        elif made:
            made[-1].append(segment)
    return made


def _report(message: Any, shared: Sequence[Any], order: Sequence[Any], *, single: bool) -> RowDraft:
    draft = RowDraft()
    request = order[0]
    for at in (18, 3, 2):
        value = _part(message, request, at, 0)
        if value:
            draft.link("accession", value)
    for segment in (*order, *(shared if single else ())):
        if _name(segment) == "ZDS":
            draft.link("study_uid", _part(message, segment, 1, 0))
    for segment in shared:
        if _name(segment) == "PID":
            draft.link("patient_id", _part(message, segment, 3, 0))
            draft.identities += _values(message, segment, _PATIENT_FIELDS)
        elif _name(segment) == "PV1":
            draft.identities += _values(message, segment, (7, 8, 9, 17, 19))
    draft.identities += _values(message, request, _ORDER_FIELDS)
    draft.issued = _part(message, request, 22, 0) or _part(message, request, 7, 0)
    draft.procedure = _part(message, request, 4, 0)
    filler = _part(message, request, 3, 0)
    draft.document = f"{filler} {draft.procedure}" if filler else ""
    draft.state(_part(message, request, 25, 0))
    results = [_field(one, 11).upper() for one in order if _is_text(one)]
    if _part(message, request, 25, 0).upper() in _WRONG or (results and _WRONG.issuperset(results)):
        draft.withdrawn = True
        sent = next(_part(message, one, 7, 0) for one in shared if _name(one) == "MSH")
        draft.issued = _part(message, request, 22, 0) or sent or draft.issued
    # OBX-11 C: "record coming over is a correction and thus replaces a final result" (0085).
    if any(_name(one) == "OBX" and _field(one, 11).upper() == "C" for one in order):
        draft.corrected = True
    _add_text(message, order, draft)
    return draft


def _add_text(message: Any, order: Sequence[Any], draft: RowDraft) -> None:
    """Text of the OBX segments; by section where their identifiers say so.

    Results that are deleted or wrong are left out, but in a message that holds no other.
    """
    texts: dict[str, list[str]] = {}
    for segment in order:
        wrong = _field(segment, 11).upper() in _WRONG and not draft.withdrawn
        if not _is_text(segment) or wrong:
            continue
        suffix = re.split(r"[&^]", _field(segment, 3).upper())
        section = next((_SECTIONS[part] for part in suffix if part in _SECTIONS), "report")
        texts.setdefault(section, []).append(_text(message, segment))
    if set(texts) == {"addendum"}:
        draft.addendum = True
    if texts.keys() <= {"findings", "impression"}:
        draft.columns = {section: "\n".join(lines) for section, lines in texts.items()}
    else:
        ordered = ("report", "findings", "impression", "addendum")
        draft.columns = {
            "report": "\n\n".join(
                (f"{section.upper()}:\n" if section != "report" else "") + "\n".join(texts[section])
                for section in ordered
                if section in texts
            )
        }


def _is_text(segment: Any) -> bool:
    return _name(segment) == "OBX" and _field(segment, 2) in _TEXT_TYPES


def _text(message: Any, segment: Any) -> str:
    """OBX-5: repetitions are lines, escapes are characters (HL7 2.5.1, 2.7)."""
    lines = []
    for repetition in _field(segment, 5).split("~"):
        broken = re.sub(r"\\\.(?:br|sp\d*|ce)\\", "\n", repetition)
        pieces = [message.unescape(piece) for piece in broken.split("\n")]
        lines.append("\n".join(pieces))
    return mended("\n".join(lines))


def _name(segment: Any) -> str:
    return str(segment[0])


def _field(segment: Any, at: int) -> str:
    return str(segment[at]) if len(segment) > at else ""


def _part(message: Any, segment: Any, at: int, component: int) -> str:
    """A component of a field's first repetition, its escapes undone."""
    first = _field(segment, at).split("~")[0].split("^")
    return str(message.unescape(first[component])).strip() if len(first) > component else ""


def _values(message: Any, segment: Any, fields: Sequence[int]) -> list[str]:
    """Names, ids, dates and places in the given fields: whole, and each of their components."""
    made = []
    for at in fields:
        for repetition in _field(segment, at).split("~"):
            parts = [str(message.unescape(part)).strip() for part in re.split(r"[\^&]", repetition)]
            made += [part for part in parts if len(part) > 2]
            made += [" ".join(filter(None, parts[:2])), " ".join(filter(None, parts[1:3]))]
    return [value[:8] if re.fullmatch(r"\d{12,14}(?:\.\d+)?", value) else value for value in made]


HL7 = Kind((".hl7", ".oru"), read_hl7)
