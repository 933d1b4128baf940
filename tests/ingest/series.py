"""Synthetic CT series for tests: what is asked for, right or wrong, as DICOM files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Series:
    """A CT series; `image_hu` has axes (slice, row, column), slice n lies at n steps."""

    slices: int = 6
    rows: int = 12
    columns: int = 10
    orientation: tuple[float, ...] = AXIAL
    origin_mm: tuple[float, float, float] = (-50.0, -60.0, 100.0)
    step_mm: float = 2.5
    pixel_spacing_mm: tuple[float, float] = (0.8, 0.7)
    slope: float = 1.0
    intercept: float = -1024.0
    series_uid: str = "1.2.3.4.5"
    study_uid: str = "1.2.3.4"
    patient_id: str = "PAT-0042"
    patient_name: str = "Mustermann^Erika"
    seed: int = 1
    tags: dict[str, Any] = field(default_factory=dict)

    def image_hu(self) -> NDArray[np.int16]:
        noise = np.random.default_rng(self.seed).integers(
            -30, 30, (self.slices, self.rows, self.columns)
        )
        image = np.full((self.slices, self.rows, self.columns), -1000)
        image[:, 2:-2, 2:-2] = 40
        image[:, :, :3] += 100 * np.arange(self.slices)[:, None, None] // self.slices
        return (image + noise).astype(np.int16)

    def normal(self) -> NDArray[np.float64]:
        return np.cross(self.orientation[:3], self.orientation[3:])

    def position(self, number: float) -> NDArray[np.float64]:
        return np.array(self.origin_mm) + number * self.step_mm * self.normal()

    def datasets(self) -> list[Dataset]:
        image = self.image_hu()
        return [self._slice(number, image[number]) for number in range(self.slices)]

    def _slice(self, number: int, image_hu: NDArray[np.int16]) -> Dataset:
        one = Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.file_meta.MediaStorageSOPClassUID = CT
        one.SOPClassUID = CT
        one.SOPInstanceUID = f"{self.series_uid}.{number + 1}"
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        one.StudyInstanceUID = self.study_uid
        one.SeriesInstanceUID = self.series_uid
        one.FrameOfReferenceUID = f"{self.study_uid}.9"
        one.Modality = "CT"
        one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        one.PatientID, one.PatientName = self.patient_id, self.patient_name
        one.PatientBirthDate, one.PatientSex, one.PatientAge = "19300215", "F", "094Y"
        one.StudyDate, one.AcquisitionDate = "20240501", "20240501"
        one.AccessionNumber = "ACC00017"
        one.InstanceNumber = number + 1
        one.ImageOrientationPatient = [round(value, 9) for value in self.orientation]
        one.ImagePositionPatient = [round(float(value), 9) for value in self.position(number)]
        one.PixelSpacing = list(self.pixel_spacing_mm)
        one.SliceThickness = 5 * self.step_mm  # a lie that nobody may believe
        one.RescaleSlope, one.RescaleIntercept = self.slope, self.intercept
        one.PhotometricInterpretation, one.SamplesPerPixel = "MONOCHROME2", 1
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        for keyword, value in self.tags.items():
            setattr(one, keyword, value)
        set_hu(one, image_hu)
        return one


def set_hu(one: Dataset, image_hu: NDArray[Any]) -> None:
    """Store HU values in a slice by its own slope and intercept."""
    stored = np.rint((image_hu - float(one.RescaleIntercept)) / float(one.RescaleSlope))
    one.Rows, one.Columns = image_hu.shape
    one.PixelData = stored.astype("<i2" if one.PixelRepresentation else "<u2").tobytes()


def write(datasets: list[Dataset], folder: Path, names: list[str] | None = None) -> list[Path]:
    """Write slices as files, under names that follow no order unless given."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, one in enumerate(datasets):
        path = folder / (names[number] if names else f"{(number * 7919) % 1009:04d}.dcm")
        one.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def move(one: Dataset, *, by_mm: tuple[float, float, float]) -> None:
    """Shift a slice's position."""
    one.ImagePositionPatient = [
        float(old) + more for old, more in zip(one.ImagePositionPatient, by_mm, strict=True)
    ]


def fresh_uid(one: Dataset) -> None:
    """Give a slice a SOP instance UID of its own."""
    one.SOPInstanceUID = generate_uid(entropy_srcs=[str(one.SOPInstanceUID)])
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
