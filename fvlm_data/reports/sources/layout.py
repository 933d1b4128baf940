"""Tables of reports: which column holds what."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.column_names import listed, shown_columns
from fvlm_data.reports.sources.attachments import UnreadError
from fvlm_data.reports.sources.markup import plain_text
from fvlm_data.reports.sources.rows import (
    Link,
    ReportRow,
    ReportSourceError,
    Version,
    cell,
    distinct,
    read_status,
    sorted_links,
)
from fvlm_data.reports.sources.spreadsheet import (
    CELL_CHARS,
    MOST_DIGITS,
    is_error,
    number_as_typed,
    text_as_typed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LINK_NAMES = {
    "study_uid": ("study_uid", "studyinstanceuid", "studyuid", "study_instance_uid"),
    "series_uid": ("series_uid", "seriesinstanceuid", "seriesuid"),
    "accession": ("accession", "accessionnumber", "accession_no", "accessionno", "acc_number"),
    "volume_name": ("volume_name", "volumename", "volume", "image_name", "filename", "file_name"),
    "patient_id": ("patient_id", "patientid", "pid", "mrn", "patient"),
}
TEXT_NAMES = {
    "report": ("report", "text", "report_text", "reporttext", "full_report", "narrative", "body"),
    "findings": ("findings", "finding", "findings_en", "radiology_findings"),
    "impression": ("impression", "impressions", "impressions_en", "conclusion", "conclusions"),
    "clinical_information": (
        "clinical_information", "clinicalinformation_en", "clinicalinformation", "clinicalinfo",
        "clinical_history", "indication", "history",
    ),
    "technique": ("technique", "technique_en", "techniques"),
    "comparison": ("comparison", "comparison_en", "comparisons"),
}  # fmt: skip
IDENTITY_NAMES = {
    "patient_name": ("patient_name", "patientname", "name", "full_name", "patientsname"),
    "first_name": ("first_name", "given_name", "forename", "vorname"),
    "last_name": ("last_name", "family_name", "surname", "nachname"),
    "birth_date": ("birth_date", "birthdate", "dob", "date_of_birth", "patientbirthdate"),
    "study_date": ("study_date", "studydate", "exam_date", "examdate", "acquisition_date"),
    "middle_name": ("middle_name", "middlename", "second_name"),
    "birth_name": ("birth_name", "maiden_name", "geburtsname", "other_names", "alias"),
    "relative": ("next_of_kin", "relative", "mother_name", "guardian", "emergency_contact"),
    "referring_physician": (
        "referring_physician",
        "referringphysicianname",
        "referrer",
        "referred_by",
        "referring_doctor",
    ),
    "ordering_physician": (
        "ordering_physician",
        "ordering_provider",
        "requesting_physician",
        "requestingphysician",
        "requester",
        "ordered_by",
        "provider",
        "physician",
        "doctor",
        "arzt",
    ),
    "radiologist": ("radiologist", "reporting_physician", "signed_by", "dictated_by", "author"),
    "reader": (
        "reader",
        "reading_physician",
        "nameofphysiciansreadingstudy",
        "interpreting_physician",
        "attending",
        "attending_physician",
        "resident",
        "befunder",
    ),
    "technologist": ("technologist", "operator", "operatorsname", "mtra", "transcriptionist"),
    "insurance_number": ("insurance_number", "insurance_id", "policy_number"),
    "national_number": ("ssn", "social_security_number", "nhs_number", "national_id"),
    "mail": ("email", "e_mail", "mail"),
    "address": ("address", "patient_address", "patientaddress", "city", "street"),
    "phone": ("phone", "telephone", "patienttelephonenumbers"),
    "institution": ("institution", "institutionname", "hospital", "site"),
}
OTHER_NAMES = {
    "issuer": ("issuer", "accession_issuer", "issuerofaccessionnumber", "issuer_of_accession"),
    "issued": ("issued", "report_date", "report_datetime", "report_time", "signed_at", "issued_at"),
    "addendum": ("addendum", "is_addendum"),
    "document": ("report_id", "reportid", "document_id"),
    "status": ("report_status", "result_status"),
    "name": ("report_id", "report_name", "report_file", "reportid"),
}
FLAG = "`columns` or --column"
MENDED, LOST = "numbers_mended", "numbers_lost"
_NUMBERS = frozenset({"accession", "patient_id", "volume_name"})
MANGLED = (
    "its link is a number that a spreadsheet has shortened (as 1.67683E+15), expected all digits; "
    "format the column as text there and export it again"
)
_WORDS = 4
"""Words of a cell that make its column one of text."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column of a file holds what, by our names."""

    links: Mapping[str, str]
    texts: Mapping[str, str]
    identities: Mapping[str, str]
    others: Mapping[str, str]

    def row(self, number: int, cells: Mapping[str, Any], place: str = "") -> ReportRow:
        """The report in a row of cells; what links it is an identity as well."""
        other = {name: cell(cells.get(column)) for name, column in self.others.items()}
        links, notes = row_links(self.links, cells, other.get("issuer") or None)
        told = [cell(cells.get(column)) for column in self.identities.values()]
        told += [value for kind, value, _ in links if kind != "volume_name"]
        fault, corrected, withdrawn = read_status(other.get("status", ""))
        columns: dict[str, str] = {}
        try:
            columns = {name: _text(cells.get(column)) for name, column in self.texts.items()}
        except UnreadError as error:
            fault = fault or ("fault", error.reason, f"a text {error.detail}")
        if not links and LOST in notes:
            fault = fault or ("fault", "mangled_number", MANGLED)
        return ReportRow(
            row=number,
            links=links,
            columns=columns,
            identities=distinct(told),
            issued=other.get("issued", ""),
            addendum=other.get("addendum", "").lower() in ("1", "true", "yes", "y"),
            version=Version(
                document=other.get("document", ""), corrected=corrected, withdrawn=withdrawn
            ),
            name=other.get("name", ""),
            fault=fault,
            notes=notes,
            place=place,
        )

    def told(self, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> ToldColumns:
        """What the columns are used for; `rows` tell which of the others hold text."""
        used = {**self.links, **self.texts, **self.identities, **self.others}
        unused = [name for name in dict.fromkeys(names) if name not in used.values()]
        return ToldColumns(used, tuple(unused), tuple(n for n in unused if _holds_text(n, rows)))


@dataclass(frozen=True, slots=True)
class ToldColumns:
    """Our names with the columns that hold them, the other columns, and those of them with text."""

    used: Mapping[str, str]
    unused: tuple[str, ...]
    texts: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """All of it, for a person to look at before the run."""
        read = ", ".join(f"{ours} from {column}" for ours, column in self.used.items())
        made = f"{read}; not used: {listed(self.unused)}"
        if not self.texts:
            return made
        named = listed(self.texts)
        return f"{made}; of these with text: {named} (give {FLAG} report=COLUMN if it is a report)"


def _holds_text(name: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    return any(len(cell(row.get(name)).split()) >= _WORDS for row in rows)


def _text(value: Any) -> str:
    """The text of a cell, without markup.

    Raises:
        UnreadError: a spreadsheet has cut it or shows an error in its place, or it is a file.
    """
    text = cell(value)
    if is_error(text):
        raise UnreadError("mangled_text", "is an error of a spreadsheet; export it again as text")
    if len(text) == CELL_CHARS:
        raise UnreadError("cut_text", f"ends at {CELL_CHARS} characters, all that a cell holds")
    return plain_text(text)


def row_links(
    columns: Mapping[str, str], cells: Mapping[str, Any], issuer: str | None
) -> tuple[tuple[Link, ...], tuple[str, ...]]:
    """Links that stand in the given columns, and notes; an issuer belongs to accession numbers.

    Numbers that a spreadsheet has rewritten are put right (`MENDED`) or left out (`LOST`).
    """
    made: list[Link] = []
    notes: list[str] = []
    for kind, column in columns.items():
        value = cell(cells.get(column))
        rounded = isinstance(cells.get(column), float) and len(value) > MOST_DIGITS
        typed = number_as_typed(value) if kind in _NUMBERS else text_as_typed(value)
        typed = None if rounded else typed
        if typed != value:
            notes.append(LOST if typed is None else MENDED)
        if typed:
            made.append((kind, typed, issuer if kind == "accession" else None))
    return sorted_links(made), tuple(notes)


def layout(
    path: Path, names: Sequence[str], mapping: Mapping[str, str], *, linked: bool = False
) -> Layout:
    """The layout of a file: as `mapping` says (our name -> column), the rest by name.

    `linked`: the links of its reports may come from elsewhere.

    Raises:
        ReportSourceError: a column is missing, or nothing holds reports or names studies.
    """
    _check_mapping(path, names, mapping)
    links = found(names, mapping, LINK_NAMES)
    texts = found(names, mapping, TEXT_NAMES)
    if "report" in texts and ("report" in mapping or not texts.keys() & {"findings", "impression"}):
        texts = {"report": texts["report"]}
    texts = {name: column for name, column in texts.items() if name != "report" or len(texts) == 1}
    shown = shown_names(names, mapping)
    if not texts.keys() & {"report", "findings", "impression"}:
        raise ReportSourceError(
            f"report file {path}: no column holds reports; expected report, or findings and "
            f"impression; its columns are {shown}; give {FLAG} report=COLUMN"
        )
    if not links and not linked:
        raise ReportSourceError(
            f"report file {path}: no column names a study; expected study_uid, accession or "
            f"volume_name; its columns are {shown}; give {FLAG} study_uid=COLUMN (or accession, "
            "or volume_name where it holds names of image files), or a mapping"
        )
    identities = found(names, mapping, IDENTITY_NAMES)
    made = Layout(links, texts, identities, found(names, mapping, OTHER_NAMES))
    _check_doubles(path, names, made, mapping)
    return made


def _check_doubles(
    path: Path, names: Sequence[str], made: Layout, mapping: Mapping[str, str]
) -> None:
    """Refuse columns of one name, whatever the case, of which one is used: which is not told."""
    counts = Counter(_plain(name) for name in names)
    exact = Counter(names)
    for ours, column in {**made.links, **made.texts, **made.identities, **made.others}.items():
        chosen = ours in mapping and exact[column] == 1
        if counts[_plain(column)] > 1 and not chosen:
            raise ReportSourceError(
                f"report file {path}: {counts[_plain(column)]} columns are called {column!r}; "
                f"expected one for {ours}; rename the others, or give {FLAG} {ours}=COLUMN"
            )


def found(
    names: Sequence[str], mapping: Mapping[str, str], wanted: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Column of each wanted name: as mapped, else by its usual names, whatever the case."""
    plain: dict[str, str] = {}
    for name in sorted(names):
        plain.setdefault(_plain(name), name)
    made = {}
    for ours, forms in wanted.items():
        if ours in mapping:
            made[ours] = mapping[ours]
            continue
        column = next((plain[_plain(form)] for form in forms if _plain(form) in plain), None)
        if column is not None and column not in mapping.values():
            made[ours] = column
    return made


def _check_mapping(path: Path, names: Sequence[str], mapping: Mapping[str, str]) -> None:
    known = {*LINK_NAMES, *TEXT_NAMES, *IDENTITY_NAMES, *OTHER_NAMES}
    for ours, column in mapping.items():
        if ours not in known:
            raise ReportSourceError(
                f"report file {path}: {ours!r} is none of our names; expected one of "
                f"{', '.join(sorted(known))} before the = of {FLAG}"
            )
        if column not in names:
            raise ReportSourceError(
                f"report file {path}: no column {column!r} for {ours}; its columns are "
                f"{shown_names(names, mapping)}; give {FLAG} {ours}=COLUMN"
            )


def shown_names(names: Sequence[str], mapping: Mapping[str, str] | None = None) -> str:
    """The columns of a file for a message, if its first line is a header."""
    kinds = (LINK_NAMES, TEXT_NAMES, IDENTITY_NAMES, OTHER_NAMES)
    known = {form for kind in kinds for forms in kind.values() for form in forms}
    return shown_columns(names, known | set((mapping or {}).values()))


def _plain(name: str) -> str:
    return re.sub(r"[\s_.-]", "", name.lower())
