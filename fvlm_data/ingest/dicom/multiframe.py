"""Enhanced multi-frame CT: each frame as a data set like a classic slice (PS3.3 C.7.6.16)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.ingest.dicom.tags import integer

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

FRAME_ELEMENTS = {
    "PlanePositionSequence": {"ImagePositionPatient": "ImagePositionPatient"},
    "PlaneOrientationSequence": {"ImageOrientationPatient": "ImageOrientationPatient"},
    "PixelMeasuresSequence": {
        "PixelSpacing": "PixelSpacing",
        "SliceThickness": "SliceThickness",
    },
    "PixelValueTransformationSequence": {
        "RescaleSlope": "RescaleSlope",
        "RescaleIntercept": "RescaleIntercept",
        "RescaleType": "RescaleType",
    },
    "CTImageFrameTypeSequence": {"FrameType": "ImageType"},
    "CTReconstructionSequence": {"ConvolutionKernel": "ConvolutionKernel"},
    "CTXRayDetailsSequence": {"KVP": "KVP"},
    "CardiacSynchronizationSequence": {
        "NominalPercentageOfCardiacPhase": "NominalPercentageOfCardiacPhase",
        "NominalCardiacTriggerDelayTime": "TriggerTime",
    },
    "FrameContentSequence": {
        "StackID": "StackID",
        "TemporalPositionIndex": "TemporalPositionIdentifier",
        "FrameAcquisitionNumber": "AcquisitionNumber",
        "FrameAcquisitionDateTime": "AcquisitionDateTime",
    },
}
"""Functional group sequences: the attributes of each, and their names in classic CT."""

SHARED_ELEMENTS = (
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ImageType",
    "ConcatenationUID",
    "InConcatenationNumber",
    "InConcatenationTotalNumber",
    "ImagesInAcquisition",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ModalityLUTSequence",
    "PixelAspectRatio",
)


def frame_datasets(dataset: Dataset) -> list[Dataset]:
    """One data set per frame with the elements of a classic CT slice; [] for a single frame.

    A frame's own functional groups override the shared ones. NumberOfFrames is left out, since
    each data set is one image.
    """
    from pydicom.dataset import Dataset as Empty

    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    count = integer(dataset, "NumberOfFrames", 1)
    # an item a frame (PS3.3 C.7.6.16); with another number nothing says which frame lies where
    if not groups or len(groups) != count:
        return []
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Empty()])[0]
    frames = []
    for number, own in enumerate(groups, start=1):
        frame = Empty()
        for keyword in SHARED_ELEMENTS:
            if keyword in dataset:
                frame[keyword] = dataset[keyword]
        for sequence, elements in FRAME_ELEMENTS.items():
            for source in (shared, own):
                _overlay(frame, source.get(sequence), elements)
        # frames have no InstanceNumber; their order in the file takes its place
        frame.InstanceNumber = number
        frames.append(frame)
    return frames


def _overlay(frame: Dataset, group: list[Dataset] | None, elements: dict[str, str]) -> None:
    if not group:
        return
    for keyword, classic in elements.items():
        if keyword in group[0]:
            setattr(frame, classic, group[0][keyword].value)
