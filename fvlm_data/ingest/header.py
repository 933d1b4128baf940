"""What may leave a DICOM header by name, and what goes to the vault only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.identity import shifted_date
from fvlm_data.ingest.dicom_tags import date, text, texts

if TYPE_CHECKING:
    import datetime as dt

    from pydicom.dataset import Dataset

BODY_PARTS = frozenset(
    {
        "ABDOMEN",
        "ABDOMENPELVIS",
        "ABDOMEN_PELVIS",
        "ANKLE",
        "AORTA",
        "ARM",
        "BLADDER",
        "BODY",
        "BRAIN",
        "CHEST",
        "CHESTABDOMEN",
        "CHESTABDPELVIS",
        "CHEST_ABDOMEN",
        "CSPINE",
        "CTSPINE",
        "EAR",
        "ELBOW",
        "EXTREMITY",
        "EYE",
        "FACE",
        "FEMUR",
        "FOOT",
        "HAND",
        "HEAD",
        "HEADNECK",
        "HEART",
        "HIP",
        "KIDNEY",
        "KNEE",
        "LEG",
        "LIVER",
        "LSPINE",
        "LUNG",
        "MAXILLA",
        "MANDIBLE",
        "NECK",
        "ORBIT",
        "PANCREAS",
        "PARTIALBODY",
        "PELVIS",
        "SHOULDER",
        "SINUS",
        "SKULL",
        "SPINE",
        "THORAX",
        "TSPINE",
        "WHOLEBODY",
        "WRIST",
    }
)
"""Terms for BodyPartExamined (DICOM PS3.16 annex L, and what scanners write in their place)."""

MANUFACTURERS = (
    ("SIEMENS", "Siemens"),
    ("GE MEDICAL", "GE"),
    ("GE HEALTHCARE", "GE"),
    ("PHILIPS", "Philips"),
    ("PICKER", "Philips"),
    ("ELSCINT", "Philips"),
    ("TOSHIBA", "Toshiba"),
    ("CANON", "Canon"),
    ("HITACHI", "Hitachi"),
    ("FUJI", "Fujifilm"),
    ("UIH", "United Imaging"),
    ("UNITED IMAGING", "United Imaging"),
    ("NEUSOFT", "Neusoft"),
    ("SHIMADZU", "Shimadzu"),
    ("SAMSUNG", "Samsung"),
    ("NEUROLOGICA", "NeuroLogica"),
    ("MINFOUND", "MinFound"),
    ("IMATRON", "Imatron"),
)

KERNEL = re.compile(
    r"[A-Z][a-z]?\d{2}[a-z]{0,2}"  # Siemens: B30f, Br38f, I41s
    r"|F[CL]\d{2}"  # Toshiba, Canon
    r"|(?:STANDARD|SOFT|DETAIL|BONE|BONEPLUS|LUNG|EDGE|CHEST|ULTRA|STND|SMOOTH|SHARP)"  # GE and all
    r"|(?:[A-F]|L|[YUE][A-D]|I?MR\d?|SB|SC)"  # Philips
)
"""Tokens of convolution kernels; any other text stays in the header."""

IDENTITY_TEXTS = (
    "PatientID",
    "OtherPatientIDs",
    "IssuerOfPatientID",
    "AccessionNumber",
    "InstitutionName",
    "InstitutionalDepartmentName",
    "InstitutionAddress",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "MedicalRecordLocator",
    "MilitaryRank",
)
IDENTITY_NAMES = (
    "PatientName",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "RequestingPhysician",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "OperatorsName",
    "ResponsiblePerson",
    "ConsultingPhysicianName",
)
IDENTITY_DATES = (
    "PatientBirthDate",
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "ContentDate",
    "PerformedProcedureStepStartDate",
    "ScheduledProcedureStepStartDate",
)

ACQUISITION_DATES = ("AcquisitionDate", "AcquisitionDateTime", "ContentDate", "StudyDate")
AGE = re.compile(r"(\d{1,3})([DWMY])")
YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
AGE_CAP_YEARS = 90.0
NO_CONTRAST = frozenset({"NO", "NONE", "N", "WITHOUT", "NON", "0"})


@dataclass(frozen=True, slots=True)
class HeaderFacts:
    """The header facts that may stand in tables, each from an allow-list; None: not known."""

    body_region: str | None = None
    contrast: str | None = None
    kernel: str | None = None
    manufacturer: str | None = None
    age_years: float | None = None
    sex: str | None = None
    acquired_on: str | None = None


def facts(dataset: Dataset, patient_id: str, key: bytes) -> HeaderFacts:
    """Header facts of one slice; `patient_id` and the vault's `key` fix the date's shift."""
    acquired = next(filter(None, (date(dataset, name) for name in ACQUISITION_DATES)), None)
    return HeaderFacts(
        body_region=_body_region(dataset),
        contrast=_contrast(dataset),
        kernel=kernel(texts(dataset, "ConvolutionKernel")),
        manufacturer=_manufacturer(text(dataset, "Manufacturer")),
        age_years=_age_years(dataset, acquired),
        sex=_allowed(text(dataset, "PatientSex").upper(), frozenset("FMO")),
        acquired_on=shifted_date(key, patient_id, acquired) if acquired else None,
    )


def identities(dataset: Dataset) -> frozenset[str]:
    """Names, ids and dates of a header, for scrubbing reports; they go to the vault only.

    A name stands whole and in its parts, a date as YYYYMMDD and as YYYY-MM-DD.
    """
    found = {value for name in IDENTITY_TEXTS for value in texts(dataset, name)}
    for keyword in IDENTITY_NAMES:
        for name in texts(dataset, keyword):
            parts = [part for part in re.split(r"[\^=,\s]+", name) if part]
            found.add(" ".join(parts))
            found.update(part for part in parts if len(part) > 1)
    for keyword in IDENTITY_DATES:
        day = date(dataset, keyword)
        if day:
            found.update((day.isoformat(), day.strftime("%Y%m%d")))
    return frozenset(value for value in found if value)


def kernel(values: tuple[str, ...]) -> str | None:
    """The first of a header's kernel values that is a known form of kernel token."""
    return next((value for value in values if KERNEL.fullmatch(value)), None)


def _allowed(value: str, allowed: frozenset[str]) -> str | None:
    return value if value in allowed else None


def _body_region(dataset: Dataset) -> str | None:
    return _allowed(text(dataset, "BodyPartExamined").upper().replace(" ", ""), BODY_PARTS)


def _contrast(dataset: Dataset) -> str | None:
    agent = text(dataset, "ContrastBolusAgent").upper()
    if not agent:
        return None
    return "no" if agent in NO_CONTRAST else "yes"


def _manufacturer(stated: str) -> str | None:
    upper = stated.upper()
    if upper == "GE":
        return "GE"
    return next((name for part, name in MANUFACTURERS if part in upper), None)


def _age_years(dataset: Dataset, acquired: dt.date | None) -> float | None:
    """PatientAge, else acquisition less birth date, in years; above 89: 90."""
    stated = AGE.fullmatch(text(dataset, "PatientAge").upper())
    born = date(dataset, "PatientBirthDate")
    if stated:
        years = int(stated[1]) * YEARS[stated[2]]
    elif born and acquired and acquired >= born:
        years = float((acquired - born).days // 365.25)
    else:
        return None
    return AGE_CAP_YEARS if years >= AGE_CAP_YEARS else round(years, 2)
