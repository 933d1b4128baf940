"""Classic CT slices of tests as one Enhanced multi-frame CT."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"


def _item(**elements: object) -> Sequence:
    one = Dataset()
    for keyword, value in elements.items():
        setattr(one, keyword, value)
    return Sequence([one])


def _frame(one: Dataset) -> Dataset:
    frame = Dataset()
    frame.PlanePositionSequence = _item(ImagePositionPatient=one.ImagePositionPatient)
    frame.PixelValueTransformationSequence = _item(
        RescaleSlope=one.RescaleSlope, RescaleIntercept=one.RescaleIntercept, RescaleType="HU"
    )
    content = {}
    if "TemporalPositionIdentifier" in one:
        content["TemporalPositionIndex"] = one.TemporalPositionIdentifier
    frame.FrameContentSequence = _item(FrameAcquisitionNumber=1, **content)
    return frame


def enhanced(slices: list[Dataset]) -> Dataset:
    """One data set with a frame for each slice, in the order given."""
    whole = slices[0]
    first = slices[0]
    shared = Dataset()
    shared.PlaneOrientationSequence = _item(ImageOrientationPatient=first.ImageOrientationPatient)
    shared.PixelMeasuresSequence = _item(
        PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness
    )
    shared.CTImageFrameTypeSequence = _item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
    frames = Sequence([_frame(one) for one in slices])
    pixels = b"".join(one.PixelData for one in slices)
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "RescaleIntercept",
        "SliceThickness",
    ):
        delattr(whole, keyword)
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = ENHANCED_CT
    whole.SharedFunctionalGroupsSequence = Sequence([shared])
    whole.PerFrameFunctionalGroupsSequence = frames
    whole.NumberOfFrames = len(frames)
    whole.PixelData = pixels
    return whole
