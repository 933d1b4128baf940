"""What every kind of report file is read into."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Link = tuple[str, str, str | None]
"""(kind, value, issuer)"""


_STATUSES = {
    "registered": "preliminary", "partial": "preliminary", "preliminary": "preliminary",
    "modified": "preliminary", "draft": "preliminary", "p": "preliminary", "r": "preliminary",
    "o": "preliminary", "i": "preliminary", "s": "preliminary",
    "cancelled": "cancelled", "canceled": "cancelled", "x": "cancelled",
    "entered-in-error": "withdrawn", "entered in error": "withdrawn", "withdrawn": "withdrawn",
    "retracted": "withdrawn", "revoked": "withdrawn", "deleted": "withdrawn",
    "voided": "withdrawn", "wrong": "withdrawn",
    "amended": "corrected", "corrected": "corrected", "correction": "corrected",
    "revised": "corrected", "c": "corrected", "appended": "corrected",
}  # fmt: skip
"""Codes of FHIR's diagnostic-report-status and of HL7 table 0123, and words of tables; what is
not here is final. FHIR's `appended` holds the whole report with what was added."""


class ReportSourceError(InputError):
    """A report file cannot be read, or has not the columns that it should have."""


@dataclass(frozen=True, slots=True)
class Version:
    """What a file tells of a report as one version of a document.

    `document` is an id that all versions share, `replaces` are ids of documents that this one
    takes the place of, `procedure` is the code of what was examined; blank where not told.
    `corrected` says that the report corrects an earlier one, `withdrawn` that it is none and
    takes the earlier ones back.
    """

    document: str = ""
    replaces: tuple[str, ...] = ()
    procedure: str = ""
    corrected: bool = False
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One report as its file gives it.

    `row` counts the reports of a file from 0, for the program; `place` says to a person where it
    stands (`placed`). `file` is its path relative to the source. `links`
    are (kind, value, issuer), sorted. `columns` hold the text by section name, or whole under
    `report`; a blank cell is an empty text. `identities` are names, ids, dates and places that
    the file tells of patient and staff. `issued` is the time of the report (sortable text),
    `addendum` says that it adds to another one. `name` is what a mapping file may call it.
    With a `fault` (kind, reason, detail) the row is set aside; `notes` are codes of what was put
    right or left out in it, which a run counts.
    """

    row: int
    links: tuple[Link, ...]
    columns: Mapping[str, str]
    identities: tuple[str, ...] = ()
    issued: str = ""
    addendum: bool = False
    version: Version = field(default_factory=Version)
    name: str = ""
    file: str = ""
    fault: tuple[str, str, str] | None = None
    notes: tuple[str, ...] = ()
    place: str = ""

    @property
    def text(self) -> str | None:
        """The whole report where it stands in one column, else none."""
        return self.columns["report"] if set(self.columns) == {"report"} else None


@dataclass(slots=True)
class RowDraft:
    """Facts of one report while its file is read."""

    links: list[Link] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    identities: list[str] = field(default_factory=list)
    issued: str = ""
    addendum: bool = False
    document: str = ""
    replaces: tuple[str, ...] = ()
    procedure: str = ""
    corrected: bool = False
    withdrawn: bool = False
    name: str = ""
    fault: tuple[str, str, str] | None = None

    def link(self, kind: str, value: str, issuer: str | None = None) -> None:
        """Add a link unless its value is blank."""
        if value.strip():
            self.links.append((kind, value.strip(), issuer or None))

    def state(self, status: str) -> None:
        """Take the report's status: what is not final is set aside, versions are noted."""
        self.fault, self.corrected, self.withdrawn = read_status(status)

    def row(self, number: int, place: str = "") -> ReportRow:
        """The finished row."""
        return ReportRow(
            row=number,
            links=sorted_links(self.links),
            columns=self.columns,
            identities=distinct(self.identities),
            issued=self.issued,
            addendum=self.addendum,
            version=Version(
                self.document, self.replaces, self.procedure, self.corrected, self.withdrawn
            ),
            name=self.name,
            fault=None if self.withdrawn else self.fault,
            place=place,
        )


THE_FILE = "the file"
"""Place of what is said of a file as a whole, or of its only report."""


def faulty(
    number: int, reason: str, detail: str, *, kind: str = "fault", place: str = ""
) -> ReportRow:
    """A row that cannot be read, with what to do about it; `detail` leaves out where it stands."""
    return ReportRow(number, (), {}, fault=(kind, reason, detail), place=place)


def placed(row: ReportRow) -> ReportRow:
    """A row whose fault begins with its place: as whoever opens the file counts, from 1.

    A table's row has the number that a spreadsheet shows (of CSV also the lines of an editor where
    these differ), an HL7 report its message and line, anything else its number among the reports.
    """
    place = row.place or f"report {row.row + 1}"
    if row.fault is None:
        return replace(row, place=place)
    kind, reason, detail = row.fault
    return replace(row, place=place, fault=(kind, reason, f"{place}: {detail}"))


def read_status(status: str) -> tuple[tuple[str, str, str] | None, bool, bool]:
    """Fault of a report that its status calls not final, whether it corrects, and withdraws."""
    meant = _STATUSES.get(status.strip().lower())
    if meant in (None, "corrected", "withdrawn"):
        return None, meant == "corrected", meant == "withdrawn"
    detail = f"the report's status is {meant}, expected final; nothing to do"
    return ("out_of_scope", f"{meant}_report", detail), False, False


def named(names: Iterable[str]) -> list[str]:
    """Names of a table's columns; those without one are told by their place."""
    return [name.strip() or f"(column {at})" for at, name in enumerate(names, start=1)]


def sorted_links(links: Iterable[Link]) -> tuple[Link, ...]:
    """Distinct links in a fixed order."""
    return tuple(sorted(set(links), key=lambda link: (link[0], link[1], link[2] or "")))


def distinct(values: Iterable[str]) -> tuple[str, ...]:
    """Distinct values that are not blank, sorted."""
    return tuple(sorted({value.strip() for value in values if value.strip()}))


def cell(value: Any) -> str:
    """A cell as text; whole numbers that a reader made floats lose the '.0'."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    return "" if text.lower() in ("nan", "<na>", "none", "null") else mended(text)


_TWICE = re.compile("[\u00c2-\u00f4][\u0080-\u00bf\u0152-\u0178\u2013-\u203a\u20ac\u2122]")


def mended(text: str) -> str:
    """Text that was UTF-8 and has been read as Windows-1252 before it came here, put right."""
    if text.isascii() or not _TWICE.search(text):
        return text
    try:
        return text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return text


def file_encoding(path: Path, encoding: str | None) -> tuple[str, str]:
    """Encoding of a text file and how its faults are decoded.

    A stated encoding is taken at its word, bytes outside it becoming U+FFFD. Else UTF-16 goes by
    its byte order mark, and all other files are UTF-8 in which bytes that are none are
    Windows-1252: so a file of either encoding, or of both, is read right.

    Raises:
        ReportSourceError: the file cannot be read, or the encoding is not known.
    """
    if encoding:
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise ReportSourceError(
                f"report file {path}: encoding {encoding!r} is not known; expected a name as "
                "utf-8, cp1254 or iso-8859-9"
            ) from None
        return encoding, "replace"
    try:
        with path.open("rb") as handle:
            start = handle.read(4)
    except OSError as error:
        raise ReportSourceError(
            f"report file {path}: cannot be read ({type(error).__name__}); check its permissions"
        ) from error
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", "replace"
    return "utf-8-sig", _windows()


def decoded(path: Path, encoding: str | None) -> str:
    """The whole text of a file (`file_encoding`)."""
    name, errors = file_encoding(path, encoding)
    return path.read_bytes().decode(name, errors)


def decoded_bytes(content: bytes) -> str:
    """Bytes without a stated encoding as text: UTF-8, faults in it Windows-1252."""
    return content.decode("utf-8-sig", _windows())


def _windows() -> str:
    """Name of the error handler that decodes bytes which are no UTF-8 as Windows-1252."""
    name = "fvlm_windows_1252"
    codecs.register_error(name, _as_windows)
    return name


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end
