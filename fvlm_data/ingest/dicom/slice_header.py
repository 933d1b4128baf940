"""One CT slice's header as a typed record: what grouping, geometry and HU proof need of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.ingest.dicom.tags import integer, number, numbers, text, texts, uid
from fvlm_data.ingest.volume.geometry import SliceGeometry
from fvlm_data.ingest.volume.hounsfield import StoredValues
from fvlm_data.ingest.volume.names import Names

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

OVERLAY_BIT_POSITIONS = tuple(group << 16 | 0x0102 for group in range(0x6000, 0x6020, 2))
"""(60xx,0102), of up to 16 overlays (DICOM PS3.3 C.9.2)."""

WORD_BITS = 16


@dataclass(frozen=True, slots=True)
class Concatenation:
    """Which part of a multi-frame object that came in several files; no UID: it came in one."""

    uid: str
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """What one CT slice's header says; texts are empty where an element is absent or blank.

    `images_in_acquisition` is the number that it announces, 0 for none. `pixel_aspect` is vertical
    and horizontal size, `patient_orientation` the directions of rows and columns in letters.
    `person` is name and birth date, for telling two patients of one id apart; like `names` it
    may enter no table and no message.
    """

    names: Names
    person: tuple[str, str]
    sop_uid: str
    frame_of_reference: str
    image_type: tuple[str, ...]
    kernel: tuple[str, ...]
    acquisition: str
    temporal_position: str
    acquired_at: str
    content_at: str
    trigger: tuple[str, ...]
    stack: str
    thickness: str
    instance: int
    kvp: str
    pixel_spacing: tuple[str, ...]
    spacing_between_mm: float | None
    images_in_acquisition: int
    concatenation: Concatenation
    geometry: SliceGeometry
    stored: StoredValues
    pixel_aspect: tuple[float, ...] | None = None
    patient_orientation: tuple[str, ...] = ()
    tilt_degrees: float = 0.0


def parse(dataset: Dataset) -> SliceHeader:
    """Parse a data set; values that cannot be read count as absent."""
    return SliceHeader(
        names=parse_names(dataset),
        person=(_person_name(dataset), text(dataset, "PatientBirthDate")),
        sop_uid=uid(dataset, "SOPInstanceUID", "MediaStorageSOPInstanceUID"),
        frame_of_reference=uid(dataset, "FrameOfReferenceUID"),
        image_type=tuple(value.upper() for value in texts(dataset, "ImageType")),
        kernel=texts(dataset, "ConvolutionKernel"),
        acquisition=text(dataset, "AcquisitionNumber"),
        temporal_position=text(dataset, "TemporalPositionIdentifier"),
        # time alone repeats every day
        acquired_at=text(dataset, "AcquisitionDateTime")
        or text(dataset, "AcquisitionDate") + text(dataset, "AcquisitionTime"),
        content_at=text(dataset, "ContentDate") + text(dataset, "ContentTime"),
        trigger=(
            text(dataset, "TriggerTime"),
            text(dataset, "NominalPercentageOfCardiacPhase"),
        ),
        stack=text(dataset, "StackID"),
        thickness=text(dataset, "SliceThickness"),
        instance=integer(dataset, "InstanceNumber", -1),
        kvp=text(dataset, "KVP"),
        # as written: the digits say how exact it is
        pixel_spacing=texts(dataset, "PixelSpacing"),
        spacing_between_mm=number(dataset, "SpacingBetweenSlices"),
        images_in_acquisition=integer(dataset, "ImagesInAcquisition", 0),
        concatenation=Concatenation(
            uid=uid(dataset, "ConcatenationUID"),
            number=integer(dataset, "InConcatenationNumber", 1),
            total=integer(dataset, "InConcatenationTotalNumber", 0),
        ),
        geometry=_geometry(dataset),
        stored=_stored(dataset),
        pixel_aspect=numbers(dataset, "PixelAspectRatio", 2),
        patient_orientation=tuple(one.upper() for one in texts(dataset, "PatientOrientation")),
        tilt_degrees=number(dataset, "GantryDetectorTilt") or 0.0,
    )


def parse_names(dataset: Dataset) -> Names:
    """What the header calls series, study and patient."""
    return Names(
        series_uid=uid(dataset, "SeriesInstanceUID"),
        study_uid=uid(dataset, "StudyInstanceUID"),
        patient=text(dataset, "PatientID"),
        patient_issuer=text(dataset, "IssuerOfPatientID"),
        accession=text(dataset, "AccessionNumber"),
        accession_issuer=_accession_issuer(dataset),
    )


def _person_name(dataset: Dataset) -> str:
    """PatientName without the punctuation in which spellings of one name differ."""
    return " ".join(text(dataset, "PatientName").replace("^", " ").casefold().split())


def _accession_issuer(dataset: Dataset) -> str:
    sequence = dataset.get("IssuerOfAccessionNumberSequence") or []
    for issuer in sequence:
        named = text(issuer, "LocalNamespaceEntityID") or text(issuer, "UniversalEntityID")
        if named:
            return named
    return ""


def _geometry(dataset: Dataset) -> SliceGeometry:
    position = numbers(dataset, "ImagePositionPatient", 3)
    spacing = numbers(dataset, "PixelSpacing", 2)
    return SliceGeometry(
        position_mm=(position[0], position[1], position[2]) if position else None,
        orientation=numbers(dataset, "ImageOrientationPatient", 6),
        pixel_spacing_mm=(spacing[0], spacing[1]) if spacing else None,
        rows=integer(dataset, "Rows", 0),
        columns=integer(dataset, "Columns", 0),
    )


def _stored(dataset: Dataset) -> StoredValues:
    bits = integer(dataset, "BitsStored", integer(dataset, "BitsAllocated", 16))
    signed = integer(dataset, "PixelRepresentation", 0) == 1
    return StoredValues(
        slope=number(dataset, "RescaleSlope"),
        intercept=number(dataset, "RescaleIntercept"),
        rescale_type=text(dataset, "RescaleType").upper(),
        photometric=text(dataset, "PhotometricInterpretation").upper(),
        samples=integer(dataset, "SamplesPerPixel", 1),
        frames=max(1, integer(dataset, "NumberOfFrames", 1)),
        bits_stored=bits,
        high_bit=integer(dataset, "HighBit", bits - 1),
        signed=signed,
        padding=_padding(dataset, signed=signed),
        overlay_bits=_overlay_bits(dataset),
        modality_lut=bool(dataset.get("ModalityLUTSequence")),
    )


def _overlay_bits(dataset: Dataset) -> int:
    """Bits of a stored value that overlays lie in, each as a 1; those with data of their own: 0."""
    positions = (dataset[tag].value for tag in OVERLAY_BIT_POSITIONS if tag in dataset)
    return sum({1 << int(place) for place in positions if place and 0 < int(place) < WORD_BITS})


def _padding(dataset: Dataset, *, signed: bool) -> tuple[int, int] | None:
    """PixelPaddingValue up to PixelPaddingRangeLimit (DICOM PS3.3 C.7.5.1.1.2)."""
    value = number(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = number(dataset, "PixelPaddingRangeLimit")
    ends = [int(end) for end in (value, value if limit is None else limit)]
    # the element's VR follows PixelRepresentation (US or SS), but some writers state the bits of a
    # negative value as an unsigned number
    if signed:
        ends = [end - 2**16 if end >= 2**15 else end for end in ends]
    return min(ends), max(ends)
