"""Tables of reports: which column holds what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    "referring_physician": ("referring_physician", "referringphysicianname", "referrer"),
    "radiologist": ("radiologist", "reporting_physician", "signed_by", "dictated_by", "author"),
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
FLAG = "--column"


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column of a file holds what, by our names."""

    links: Mapping[str, str]
    texts: Mapping[str, str]
    identities: Mapping[str, str]
    others: Mapping[str, str]

    def row(self, number: int, cells: Mapping[str, Any]) -> ReportRow:
        """The report in a row of cells; what links it is an identity as well."""
        other = {name: cell(cells.get(column)) for name, column in self.others.items()}
        links = row_links(self.links, cells, other.get("issuer") or None)
        told = [cell(cells.get(column)) for column in self.identities.values()]
        told += [value for kind, value, _ in links if kind != "volume_name"]
        fault, corrected, withdrawn = read_status(other.get("status", ""))
        return ReportRow(
            row=number,
            links=links,
            columns={name: cell(cells.get(column)) for name, column in self.texts.items()},
            identities=distinct(told),
            issued=other.get("issued", ""),
            addendum=other.get("addendum", "").lower() in ("1", "true", "yes", "y"),
            version=Version(
                document=other.get("document", ""), corrected=corrected, withdrawn=withdrawn
            ),
            name=other.get("name", ""),
            fault=fault,
        )


def row_links(
    columns: Mapping[str, str], cells: Mapping[str, Any], issuer: str | None
) -> tuple[Link, ...]:
    """Links that stand in the given columns; an issuer belongs to accession numbers."""
    found = ((kind, cell(cells.get(column))) for kind, column in columns.items())
    return sorted_links(
        (kind, value, issuer if kind == "accession" else None) for kind, value in found if value
    )


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
    listed = ", ".join(names) or "none"
    if not texts.keys() & {"report", "findings", "impression"}:
        raise ReportSourceError(
            f"report file {path}: no column holds reports; expected report, or findings and "
            f"impression; its columns are {listed}; give {FLAG} report=COLUMN"
        )
    if not links and not linked:
        raise ReportSourceError(
            f"report file {path}: no column names a study; expected study_uid, accession or "
            f"volume_name; its columns are {listed}; give {FLAG} study_uid=COLUMN, or a mapping"
        )
    identities = found(names, mapping, IDENTITY_NAMES)
    return Layout(links, texts, identities, found(names, mapping, OTHER_NAMES))


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
                f"{', '.join(names) or 'none'}; give {FLAG} {ours}=COLUMN"
            )


def _plain(name: str) -> str:
    return re.sub(r"[\s_.-]", "", name.lower())
