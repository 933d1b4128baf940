"""Which attributes of a DICOM header may enter tables, and which go to the vault only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.identity.ids import shifted_date
from fvlm_data.ingest.dicom import header_words
from fvlm_data.ingest.dicom.person_names import person_names
from fvlm_data.ingest.dicom.tags import date, every_reading, text, texts

if TYPE_CHECKING:
    import datetime as dt

    from pydicom.dataset import Dataset

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
    "AdmissionID",
    "ServiceEpisodeID",
    "StudyID",
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
    "ScheduledPerformingPhysicianName",
    "HumanPerformerName",
    "VerifyingObserverName",
    "PersonName",
    "NamesOfIntendedRecipientsOfResults",
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
"""VR AS: days, weeks, months or years (DICOM PS3.5 6.2); leading zeros are often left out."""
YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
AGE_CAP_YEARS = 90.0
"""Ages above 89 are one group, as in HIPAA's Safe Harbor rule (45 CFR 164.514(b)(2)(i)(C))."""

DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "StudyDescription")
"""Free texts whose allow-listed words may stay, the most informative first."""


@dataclass(frozen=True, slots=True)
class HeaderFacts:
    """The header facts that tables may hold, each from an allow-list; None: not known."""

    body_region: str | None = None
    contrast: str | None = None
    kernel: str | None = None
    manufacturer: str | None = None
    age_years: float | None = None
    sex: str | None = None
    acquired_on: str | None = None
    description: str | None = None


def facts(dataset: Dataset, patient_id: str, key: bytes) -> HeaderFacts:
    """Header facts of one slice; `patient_id` and the vault's `key` fix the date's shift."""
    acquired = next(filter(None, (date(dataset, name) for name in ACQUISITION_DATES)), None)
    described = [text(dataset, name) for name in DESCRIPTIONS]
    return HeaderFacts(
        body_region=header_words.body_part(text(dataset, "BodyPartExamined")),
        contrast=header_words.contrast(text(dataset, "ContrastBolusAgent"), described),
        kernel=header_words.kernel(texts(dataset, "ConvolutionKernel")),
        manufacturer=header_words.manufacturer(text(dataset, "Manufacturer")),
        age_years=_age_years(dataset, acquired),
        sex=_allowed(text(dataset, "PatientSex").upper(), frozenset("FMO")),
        acquired_on=shifted_date(key, patient_id, acquired) if acquired else None,
        description=header_words.allowed_words(described[:2], _name_parts(dataset)),
    )


def identities(dataset: Dataset) -> frozenset[str]:
    """Names, ids and dates of a header, for scrubbing reports; they go to the vault only.

    A name is listed whole and in its parts, in every character set that its bytes may be in, a
    date as YYYYMMDD and as YYYY-MM-DD. To be called before the values of the names are read.
    """
    found = {value for name in IDENTITY_TEXTS for value in every_reading(dataset, name)}
    for other in dataset.get("OtherPatientIDsSequence") or ():
        found.update(texts(other, "PatientID"))
    for writing in (part for name in person_names(dataset) for part in name.split("=")):
        parts = _parts(writing)
        # an initial by itself would scrub single letters all over a report
        found.update((" ".join(parts), *(part for part in parts if len(part) > 1)))
    for keyword in IDENTITY_DATES:
        day = date(dataset, keyword)
        if day:
            found.update((day.isoformat(), day.strftime("%Y%m%d")))
    return frozenset(value for value in found if value)


def _name_parts(dataset: Dataset) -> frozenset[str]:
    return frozenset(part for name in person_names(dataset) for part in _parts(name))


def _parts(name: str) -> list[str]:
    # ^ between the components of a person name, = between its representations (DICOM PS3.5 6.2.1)
    return [part for part in re.split(r"[\^=,\s]+", name) if part]


def _allowed(value: str, allowed: frozenset[str]) -> str | None:
    return value if value in allowed else None


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
