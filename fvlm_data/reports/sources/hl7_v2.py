"""HL7 v2 files: the reports of ORU^R01 messages (HL7 2.5.1 chapter 7, IHE RAD-28)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from fvlm_data.reports.sources.attachments import UnreadError
from fvlm_data.reports.sources.hl7_segments import messages
from fvlm_data.reports.sources.hl7_text import Texts, order_text
from fvlm_data.reports.sources.kind import Kind
from fvlm_data.reports.sources.rows import THE_FILE, RowDraft, faulty

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fvlm_data.reports.sources.hl7_segments import Message, Segment
    from fvlm_data.reports.sources.options import ReadOptions
    from fvlm_data.reports.sources.rows import ReportRow

_WITHDRAWN = frozenset({"D", "W"})
"""OBX-11: deletes the result, posts it as wrong (table 0085); some senders use them in OBR-25."""
_NO_RESULT = _WITHDRAWN | {"X"}
_NOT_FINAL = frozenset({"I", "O", "P", "R", "S"})
_PATIENT_FIELDS = (2, 3, 4, 5, 6, 7, 9, 11, 12, 13, 14, 18, 19, 20, 21)
_PATIENT_NAMES = (5, 9)
_PEOPLE = {
    "PD1": (3, 4),  # primary care: organisation, doctor
    "PV1": (7, 8, 9, 17, 19, 52),  # doctors of the visit
    "PV2": (13,),  # who referred
    "NK1": (2, 4, 5, 6, 12, 13, 26, 30, 31, 32, 33),  # next of kin: name, address, numbers
    "GT1": (3, 4, 5, 6, 7, 12),  # guarantor
    "IN1": (16, 19, 36, 49),  # insured person, address, number of the policy
    "IN2": (1, 2, 3, 7, 9, 22, 40, 49, 52),  # insured person, employer, their numbers
    "MRG": (1, 2, 3, 4, 5, 6, 7),  # numbers and name before a merge
    "ORC": (10, 11, 12, 19),  # who entered, verified, asked for the order
    "OBX": (16, 25),  # who observed, who directs there
    "EVN": (5,), "ROL": (4,), "PRT": (5,), "AIP": (3,), "SCH": (12, 16, 20),  # who took part
    "TXA": (5, 9, 10, 11, 22, 23),  # who dictated, typed, signed, was sent a copy
}  # fmt: skip
"""Fields of further segments (HL7 v2.5 to 2.7, chapters 3, 4, 6, 8 to 10) that name people."""
_ORDER_FIELDS = (2, 3, 7, 8, 10, 16, 18, 20, 22, 28, 32, 33, 34, 35)


def read_hl7(path: Path, options: ReadOptions) -> Iterator[ReportRow]:
    """Reports of a file of HL7 messages, a report for each order (OBR) of an ORU.

    Messages that are no ORU are set aside as out of scope; the text is read in the encoding
    that MSH-18 names unless the source names one. A segment whose content is no text is a row of
    its own, set aside; one whose text cannot be told for sure sets its report aside.
    """
    number = count = 0
    outside = False
    for message in messages(path.read_bytes(), options.encoding):
        if not message.segments or message.segments[0].name != "MSH":
            outside |= message.outside or any(_holds_text(one) for one in message.segments)
            continue
        count += 1
        place = f"message {count}"
        if message.line > 1:
            place += f" (line {message.line})"
        for row in _reports(message, number):
            yield replace(row, place=", ".join(filter(None, (place, row.place))))
            number += 1
    if count == 0:
        detail = "no HL7 message found; expected one that begins with MSH"
        yield faulty(0, "no_message", detail, place=THE_FILE)
    elif outside:
        detail = "text stands before the first MSH; expected messages only; mend the file"
        yield faulty(number, "outside_message", detail, place=THE_FILE)


def _holds_text(segment: Segment) -> bool:
    return segment.name in ("OBX", "NTE")


def _reports(message: Message, number: int) -> Iterator[ReportRow]:
    """Rows of a message, their places within it."""
    header = message.segments[0]
    kind = header.part(9)
    if kind != "ORU":
        known = kind if kind.isalpha() and len(kind) == 3 else "another kind"
        detail = f"the message is {known}, expected ORU; nothing to do"
        yield faulty(number, "not_a_result", detail, kind="out_of_scope")
        return
    first = next((at for at, one in enumerate(message.segments) if one.name == "OBR"), None)
    if first is None:
        detail = "the message holds no order (OBR); expected one a report"
        yield faulty(number, "broken_message", detail)
        return
    shared = message.segments[:first]
    orders = _orders(message.segments[first:])
    if any(one.name == "OBX" and one.field(5).strip() for one in shared):
        detail = "the message has results (OBX) before its first OBR; expected them behind it"
        yield faulty(number, "broken_message", detail)
        number += 1
    single = len(orders) == 1
    for count, order in enumerate(orders, start=1):
        for row in _rows(message.segments, shared, order, number, single=single):
            yield row if single else replace(row, place=f"order {count}")
            number += 1


def _orders(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Segments of each order: OBR and what follows."""
    made: list[list[Segment]] = []
    for segment in segments:
        if segment.name == "OBR":
            made.append([segment])
        else:
            made[-1].append(segment)
    return made


def _rows(
    message: Sequence[Segment],
    shared: Sequence[Segment],
    order: Sequence[Segment],
    number: int,
    *,
    single: bool,
) -> Iterator[ReportRow]:
    """The report of an order, then a row for each of its segments that holds no text."""
    draft = RowDraft()
    texts = Texts()
    try:
        _tell(draft, message, shared, order, single=single)
        withdrawn = draft.withdrawn
        notes = [one for one in shared if one.name == "NTE"]
        texts = order_text([*order, *notes], frozenset() if withdrawn else _NO_RESULT)
        draft.columns, draft.addendum = texts.columns, texts.addendum
        draft.fault = draft.fault or texts.fault
    except UnreadError as error:
        detail = f"its order or patient {error.detail}"
        draft.fault = ("fault", error.reason, detail)
    alone = texts.aside and not any(draft.columns.values()) and not draft.withdrawn
    if alone:
        draft.fault = draft.fault or texts.aside[0]
    yield draft.row(number)
    for at, (kind, reason, detail) in enumerate(texts.aside[1:] if alone else texts.aside):
        yield faulty(number + 1 + at, reason, detail, kind=kind)


def _tell(
    draft: RowDraft,
    message: Sequence[Segment],
    shared: Sequence[Segment],
    order: Sequence[Segment],
    *,
    single: bool,
) -> None:
    """Give the draft all that the segments tell of a report but its text."""
    request = order[0]
    numbered = next((one for one in (request, *_requests(message)) if _numbers(one)), request)
    for value in _numbers(numbered):
        draft.link("accession", value)
    for segment in (*order, *(shared if single else ())):
        if segment.name == "ZDS":
            draft.link("study_uid", segment.part(1))
    for segment in shared:
        if segment.name == "PID":
            draft.link("patient_id", segment.part(3))
            draft.identities += _values(segment, _PATIENT_FIELDS)
            draft.identities += _short_names(segment, _PATIENT_NAMES)
    for segment in message:
        draft.identities += _values(segment, _PEOPLE.get(segment.name, ()))
    draft.identities += _values(request, _ORDER_FIELDS)
    draft.issued = request.part(22) or request.part(7)
    draft.procedure = request.part(4)
    filler = request.part(3)
    draft.document = f"{filler} {draft.procedure}" if filler else ""
    _state(draft, message[0], order)


def _requests(message: Sequence[Segment]) -> Iterator[Segment]:
    return (one for one in message if one.name == "OBR")


def _numbers(request: Segment) -> list[str]:
    """Accession and order numbers; a second order without any is of the first one's request."""
    return [value for at in (18, 3, 2) if (value := request.part(at))]


def _state(draft: RowDraft, header: Segment, order: Sequence[Segment]) -> None:
    """Take the status of the order, and of its results where it has none or they say more.

    A correction "replaces a final result" (table 0085), also where it is one result among others.
    """
    request = order[0]
    status = request.code(25)
    results = {one.code(11) for one in order if one.name == "OBX" and one.field(5).strip()}
    results = results or {one.code(11) for one in order if one.name == "OBX"}
    draft.state("partial" if status == "A" else status)
    if results == {"X"}:
        draft.state("X")
    elif results and _NOT_FINAL.issuperset(results):
        draft.state("P")
    if status in _WITHDRAWN or (results and _WITHDRAWN.issuperset(results)):
        draft.withdrawn = True
        draft.issued = request.part(22) or header.part(7) or draft.issued
    if "C" in results:
        draft.corrected = True


def _short_names(segment: Segment, fields: Sequence[int]) -> list[str]:
    """Family and given names of two characters (Ng, Li, two Han characters), and both together."""
    made = []
    for at in fields:
        for repetition in segment.repetitions(at):
            components = repetition.split(segment.separators.component)[:2]
            parts = [segment.text(part).strip() for part in components]
            made += [part for part in (*parts, "".join(parts)) if len(part) == 2]
            made.append(" ".join(part for part in parts if part))
    return [name for name in made if len(name) > 1]


def _values(segment: Segment, fields: Sequence[int]) -> list[str]:
    """Names, ids, dates and places in the given fields: whole, and each of their components."""
    made = []
    marks = segment.separators
    between = f"[{re.escape(marks.component + marks.subcomponent)}]"
    for at in fields:
        for repetition in segment.repetitions(at):
            parts = [segment.text(part).strip() for part in re.split(between, repetition)]
            made += [part for part in parts if len(part) > 2]
            made += [" ".join(filter(None, parts[:2])), " ".join(filter(None, parts[1:3]))]
    return [value[:8] if re.fullmatch(r"\d{12,14}(?:\.\d+)?", value) else value for value in made]


HL7 = Kind((".hl7", ".oru"), read_hl7)
