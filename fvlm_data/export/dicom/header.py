"""The patient and the study as every object names them: by pseudonyms and shifted dates alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.export.dicom.derived_ids import derived_uid

if TYPE_CHECKING:
    import pydicom

    from fvlm_data.export.dicom.curated import Study

MAKER = "fvlm"
UNKNOWN_DATE = "19000101"
"""ContentDate must not be empty; stands where no date of the study is known."""

MIDNIGHT = "000000"


def study_header(study: Study, volume_id: str) -> pydicom.Dataset:
    """Attributes of the patient, the study and a volume's series of images.

    The image's own UID stands for no slice.
    """
    import pydicom

    dataset = pydicom.Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = pydicom.uid.CTImageStorage
    dataset.SOPInstanceUID = derived_uid("image", volume_id)
    dataset.SeriesInstanceUID = derived_uid("images", volume_id)
    dataset.FrameOfReferenceUID = derived_uid("frame", volume_id)
    dataset.Modality = "CT"
    dataset.PatientID = study.patient_id
    dataset.PatientName = (
        f"{study.patient_id}^"  # a name of one component, as the standard writes it
    )
    dataset.PatientBirthDate = ""
    dataset.PatientSex = study.sex or ""
    dataset.StudyInstanceUID = derived_uid("study", study.study_id)
    dataset.StudyDate = _digits(study.date)
    for empty in ("StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
        setattr(dataset, empty, "")
    if study.age_years is not None:
        dataset.PatientAge = _age(study.age_years)
    return dataset


def content_time(study: Study) -> dict[str, Any]:
    """Date and time of an object's content: the study's, so that the clock leaves no trace."""
    return {"content_date": _digits(study.date) or UNKNOWN_DATE, "content_time": MIDNIGHT}


def finish(dataset: Any) -> None:
    """Take out when the object was written, and say that it names nobody."""
    for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
        if keyword in dataset:
            delattr(dataset, keyword)
    for equipment in dataset.get("ContributingEquipmentSequence", ()):
        if "ContributionDateTime" in equipment:
            del equipment.ContributionDateTime
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "keyed pseudonyms, shifted dates, derived UIDs"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED"


def _digits(date: str | None) -> str:
    return (date or "").replace("-", "")


def _age(years: float) -> str:
    """Age string (PS3.5, AS): years, or months below two."""
    return f"{int(years):03}Y" if years >= 2 else f"{int(years * 12):03}M"
