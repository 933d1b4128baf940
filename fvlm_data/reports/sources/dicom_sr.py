"""DICOM structured reports: their text, and the studies that they report on (PS3.3 A.35)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.sources.kind import Kind
from fvlm_data.reports.sources.rows import THE_FILE, RowDraft, faulty, mended

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fvlm_data.reports.sources.options import ReadOptions
    from fvlm_data.reports.sources.rows import ReportRow

_SR_CLASSES = "1.2.840.10008.5.1.4.1.1.88."
_TEXT_CLASSES = frozenset({"11", "22", "33", "34", "35"})
"""Basic, enhanced, comprehensive, comprehensive 3D, extensible SR (PS3.4 B.5); the other ones
hold measurements, dose or key images, no report."""
_SECTIONS = (
    ("finding", "findings"), ("impression", "impression"), ("conclusion", "impression"),
    ("history", "clinical_information"), ("indication", "clinical_information"),
    ("request", "clinical_information"), ("procedure description", "technique"),
    ("technique", "technique"), ("comparison", "comparison"), ("prior procedure", "comparison"),
    ("addendum", "addendum"),
)  # fmt: skip
"""Words of section titles (PS3.16 CID 7001) and the section that they open."""
_IDS = (
    "PatientID", "OtherPatientIDs", "AccessionNumber", "InstitutionName", "InstitutionAddress",
    "InstitutionalDepartmentName", "PatientAddress", "PatientTelephoneNumbers",
    "PatientBirthDate", "StudyDate", "ContentDate", "StudyInstanceUID", "StudyID",
    "VerifyingOrganization", "MedicalRecordLocator", "AdmissionID", "ServiceEpisodeID",
    "ResponsibleOrganization",
)  # fmt: skip
"""What identifies beside names of persons, which are known by their VR."""


def read_dicom_sr(path: Path, options: ReadOptions) -> Iterator[ReportRow]:
    """The one report of a DICOM SR file."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        dataset = pydicom.dcmread(path)
    except (InvalidDicomError, OSError, ValueError, EOFError):
        detail = "not readable as DICOM; expected a whole SR file"
        yield faulty(0, "not_readable", detail, place=THE_FILE)
        return
    uid = str(dataset.get("SOPClassUID", ""))
    known = uid.startswith(_SR_CLASSES) and uid.removeprefix(_SR_CLASSES) in _TEXT_CLASSES
    if not known:
        detail = f"{_named(uid)} is no text report; expected an SR of text"
        yield faulty(0, "not_a_text_report", detail, kind="out_of_scope", place=THE_FILE)
        return
    try:
        yield _report(dataset, path.stem).row(0, THE_FILE)
    except (ValueError, AttributeError, TypeError, RecursionError):
        detail = "content tree is damaged; expected that of PS3.3 C.17.3"
        yield faulty(0, "not_readable", detail, place=THE_FILE)


def _named(uid: str) -> str:
    """A SOP class for a message; one that DICOM does not list may be anything."""
    from pydicom.uid import UID_dictionary

    if not uid:
        return "SOP class none"
    return f"SOP class {uid}" if uid in UID_dictionary else "a SOP class that DICOM does not list"


def _report(dataset: Any, name: str) -> RowDraft:
    draft = RowDraft(name=name)
    for item in dataset.get("CurrentRequestedProcedureEvidenceSequence", ()):
        draft.link("study_uid", str(item.get("StudyInstanceUID", "")))
    for item in dataset.get("ReferencedRequestSequence", ()):
        draft.link("study_uid", str(item.get("StudyInstanceUID", "")))
        draft.link("accession", str(item.get("AccessionNumber", "")), _issuer(item))
    if not any(kind == "study_uid" for kind, _, _ in draft.links):
        draft.link("study_uid", str(dataset.get("StudyInstanceUID", "")))
    draft.link("accession", str(dataset.get("AccessionNumber", "")), _issuer(dataset))
    draft.link("patient_id", str(dataset.get("PatientID", "")))
    draft.identities = _people(dataset)
    date, time = str(dataset.get("ContentDate", "")), str(dataset.get("ContentTime", ""))
    draft.issued = (date + time)[:14]
    if str(dataset.get("PreliminaryFlag", "")).upper() == "PRELIMINARY":
        detail = "the report is preliminary (0040,A496), expected a final one; nothing to do"
        draft.fault = ("out_of_scope", "preliminary_report", detail)
    draft.document = str(dataset.get("SOPInstanceUID", ""))
    draft.replaces = _predecessors(dataset)
    texts: dict[str, list[str]] = {}
    _walk(dataset, "report", texts, draft.identities)
    draft.addendum = set(texts) == {"addendum"}
    draft.columns = _columns(texts)
    return draft


def _predecessors(dataset: Any) -> tuple[str, ...]:
    """Documents whose content is included, with or without changes (PS3.3 C.17.2)."""
    return tuple(
        str(instance.get("ReferencedSOPInstanceUID", ""))
        for study in dataset.get("PredecessorDocumentsSequence") or ()
        for series in study.get("ReferencedSeriesSequence") or ()
        for instance in series.get("ReferencedSOPSequence") or ()
    )


def _issuer(item: Any) -> str | None:
    sequence = list(item.get("IssuerOfAccessionNumberSequence") or [])
    stated = str(sequence[0].get("LocalNamespaceEntityID", "")) if sequence else ""
    return stated.strip() or None


def _people(dataset: Any) -> list[str]:
    """Names of persons, ids, dates and places, wherever they stand in the tree."""
    return [
        told
        for element in dataset.iterall()
        if element.VR == "PN" or element.keyword in _IDS
        for told in _values(element.value)
    ]


def _values(value: Any) -> list[str]:
    if value is None:
        return []
    many = value if isinstance(value, list) or type(value).__name__ == "MultiValue" else [value]
    return [str(one).replace("=", " ") for one in many]


def _walk(item: Any, section: str, texts: dict[str, list[str]], identities: list[str]) -> None:
    """Gather texts in the order of the tree; a titled container opens a section."""
    for child in item.get("ContentSequence", ()):
        kind = str(child.get("ValueType", ""))
        title = _title(child)
        here = _section(title) or section
        if kind == "TEXT":
            value = mended(re.sub(r"\r\n?", "\n", str(child.get("TextValue", ""))))
            texts.setdefault(here, []).append(value)
        elif kind == "PNAME":
            identities.append(str(child.get("PersonName", "")))
        elif kind == "CODE":
            meaning = _meaning(child.get("ConceptCodeSequence"))
            if meaning and _section(title):
                texts.setdefault(here, []).append(meaning)
        elif kind == "NUM":
            texts.setdefault(here, []).append(_measured(child, title))
        _walk(child, here if kind in ("CONTAINER", "TEXT") else section, texts, identities)


def _measured(child: Any, title: str) -> str:
    values = list(child.get("MeasuredValueSequence") or [])
    if not values:
        return ""
    unit = _meaning(values[0].get("MeasurementUnitsCodeSequence"))
    return f"{title}: {values[0].get('NumericValue', '')} {unit}".strip() + "."


def _title(child: Any) -> str:
    return _meaning(child.get("ConceptNameCodeSequence"))


def _meaning(sequence: Any) -> str:
    return str(sequence[0].get("CodeMeaning", "")) if sequence else ""


def _section(title: str) -> str | None:
    plain = title.lower()
    return next((section for word, section in _SECTIONS if word in plain), None)


def _columns(texts: dict[str, list[str]]) -> dict[str, str]:
    """Sections as columns; where some text stands outside of sections, one text of all."""
    joined = {section: "\n".join(filter(None, lines)) for section, lines in texts.items()}
    if joined and not joined.keys() & {"report", "addendum"}:
        return joined
    pieces = [
        text if section == "report" else f"{section.replace('_', ' ').upper()}:\n{text}"
        for section, text in joined.items()
    ]
    return {"report": "\n\n".join(pieces)}


DICOM_SR = Kind((".dcm", ".dicom"), read_dicom_sr)
