"""Writing a series as CT Image Storage files (DICOM PS3.3 A.3), and its mask as NIfTI."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.phantom.acquisition import RLE, stored_values
from fvlm_data.phantom.draws import shuffled, stream, uid

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from fvlm_data.phantom.acquisition import SeriesPlan
    from fvlm_data.phantom.patient import Patient, Study
    from fvlm_data.phantom.render import Rendered

_CT = "1.2.840.10008.5.1.4.1.1.2"
_PROTOCOLS = {
    "chest": "CHEST ROUTINE",
    "abdomen": "ABDOMEN PELVIS",
    "both": "CHEST ABDOMEN PELVIS",
}
_BODY_PARTS = {"chest": "CHEST", "abdomen": "ABDOMEN", "both": "CHESTABDPELVIS"}


def write_series(
    folder: Path, patient: Patient, study: Study, plan: SeriesPlan, rendered: Rendered
) -> str:
    """Write one series as a folder of DICOM files.

    Args:
        folder: is made; must not hold files of another series.
        patient: whose header fields are written.
        study: the visit.
        plan: the series' grid and encoding.
        rendered: HU and labels (z, y, x).

    Returns:
        SHA-256 of the stored values and their positions (not of the compressed bytes).
    """
    folder.mkdir(parents=True)
    stored = stored_values(rendered.hu_zyx, plan)
    row_sign, column_sign = plan.directions
    stored = stored[:, ::column_sign, ::row_sign]
    dataset = _common(patient, study, plan)
    dataset.Rows, dataset.Columns = stored.shape[1:]
    count = stored.shape[0]
    digest = hashlib.sha256()
    rng = stream(patient.seed, patient.index, 14, study.order, plan.number)
    # file names say nothing about the order of slices, as in real exports
    names = shuffled(rng, [f"{number:04d}" for number in range(count)])
    for index in range(count):
        origin = _origin(plan, index)
        dataset.ImagePositionPatient = [_text(value) for value in origin]
        dataset.SliceLocation = _text(origin[2])
        dataset.InstanceNumber = count - index if plan.instances_descend else index + 1
        dataset.SOPInstanceUID = uid("instance", plan.series_uid, index)
        pixels = np.ascontiguousarray(stored[index]).astype(stored.dtype.newbyteorder("<"))
        digest.update(f"{origin}{pixels.dtype.str}{pixels.shape}".encode() + pixels.tobytes())
        _save(dataset, pixels, plan.syntax, folder / f"IM{names[index]}.dcm")
    return digest.hexdigest()


def write_scout(
    folder: Path, patient: Patient, study: Study, plan: SeriesPlan, rendered: Rendered
) -> str:
    """Write a frontal localizer made from a rendered series; return its SHA-256."""
    folder.mkdir(parents=True)
    projection = rendered.hu_zyx.astype(np.int64).sum(axis=1) // rendered.hu_zyx.shape[1]
    pixels = np.clip(projection[::-1] + 1024, 0, 4095).astype("<u2")
    series_uid = uid("scout", plan.series_uid)
    dataset = _common(patient, study, plan)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.SeriesInstanceUID, dataset.SeriesNumber = series_uid, 1
    dataset.SeriesDescription = "Topogram" if plan.manufacturer == "SIEMENS" else "Scout"
    dataset.SOPInstanceUID = uid("instance", series_uid, 0)
    dataset.InstanceNumber = 1
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "0", "-1"]
    x, y, z = (
        _text(axis + float(offset))
        for axis, offset in zip(
            (float(plan.x_mm[0]), 0.0, float(plan.z_mm[-1])), plan.offset_mm, strict=True
        )
    )
    dataset.ImagePositionPatient = [x, y, z]
    dataset.PixelSpacing = [_text(plan.step_mm), _text(plan.pixel_mm)]
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelRepresentation = 0
    dataset.RescaleSlope, dataset.RescaleIntercept = "1", "-1024"
    for name in ("PixelPaddingValue", "SliceThickness", "ConvolutionKernel"):
        if name in dataset:
            delattr(dataset, name)
    _save(dataset, pixels, "1.2.840.10008.1.2.1", folder / "IM0000.dcm")
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def write_mask(path: Path, plan: SeriesPlan, label_zyx: NDArray[np.uint8]) -> str:
    """Write labels as NIfTI on the series' grid: (column, row, slice along the normal).

    Returns:
        SHA-256 of affine and labels.
    """
    import nibabel

    row_sign, column_sign = plan.directions
    # along the slice normal, row direction x column direction, as ingest orders slices
    labels = label_zyx[:: row_sign * column_sign, ::column_sign, ::row_sign]
    labels_ijk = np.ascontiguousarray(labels.transpose(2, 1, 0))
    affine = affine_ras(plan)
    image = nibabel.Nifti1Image(labels_ijk, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return hashlib.sha256(affine.tobytes() + labels_ijk.tobytes()).hexdigest()


def affine_ras(plan: SeriesPlan) -> NDArray[np.float64]:
    """Return the 4 x 4 affine (mm, RAS) of indices (column, row, slice along the normal)."""
    row_sign, column_sign = plan.directions
    normal_sign = row_sign * column_sign
    first = 0 if normal_sign > 0 else plan.z_mm.size - 1
    x, y, z = _origin(plan, first)
    affine = np.diag(
        [-row_sign * plan.pixel_mm, -column_sign * plan.pixel_mm, normal_sign * plan.step_mm, 1.0]
    )
    affine[:3, 3] = (-x, -y, z)
    return affine


def _origin(plan: SeriesPlan, index: int) -> tuple[float, float, float]:
    """Return the patient position (LPS, mm) of the first pixel of slice `index` (z ascending)."""
    row_sign, column_sign = plan.directions
    x = float(plan.x_mm[0 if row_sign > 0 else -1])
    y = float(plan.y_mm[0 if column_sign > 0 else -1])
    z = float(plan.z_mm[index])
    return (x + plan.offset_mm[0], y + plan.offset_mm[1], z + plan.offset_mm[2])


def _text(number: float) -> str:
    """Return a Decimal String (at most 16 characters) that holds the number exactly."""
    text = repr(float(number))
    return text.removesuffix(".0")


def _common(patient: Patient, study: Study, plan: SeriesPlan) -> Any:
    """Return a dataset with all that the slices of a series share."""
    from pydicom.dataset import Dataset

    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = _CT
    dataset.Modality = "CT"
    date = study.date.strftime("%Y%m%d")
    for name in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(dataset, name, date)
    minute = 10 * study.order + plan.number
    dataset.StudyTime, dataset.SeriesTime = "101500", f"10{minute:02d}30"
    dataset.AcquisitionTime = dataset.ContentTime = f"10{minute:02d}31"
    dataset.AccessionNumber = study.accession
    dataset.InstitutionName = "Phantom General Hospital"
    dataset.ReferringPhysicianName = "Referrer^Synthetic"
    dataset.StudyDescription = f"CT {_PROTOCOLS[study.protocol].title()}"
    dataset.StationName = "CT01"
    _fill_patient(dataset, patient, study)
    dataset.StudyInstanceUID, dataset.StudyID = study.study_uid, str(study.order + 1)
    dataset.FrameOfReferenceUID = uid("frame", study.study_uid)
    dataset.PositionReferenceIndicator = ""
    _fill_series(dataset, study, plan)
    _fill_pixels(dataset, plan)
    return dataset


def _fill_patient(dataset: Any, patient: Patient, study: Study) -> None:
    dataset.PatientName = patient.name
    dataset.PatientID = patient.patient_id
    dataset.PatientBirthDate = patient.birth_date.strftime("%Y%m%d")
    dataset.PatientSex = patient.sex
    # integers: floats could round a birthday differently elsewhere
    years = (study.date - patient.birth_date).days * 100 // 36525
    dataset.PatientAge = f"{years:03d}Y"
    dataset.PatientSize = f"{1.68 * patient.stature:.2f}"


def _fill_series(dataset: Any, study: Study, plan: SeriesPlan) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SeriesInstanceUID, dataset.SeriesNumber = plan.series_uid, plan.number
    dataset.AcquisitionNumber = 1
    dataset.SeriesDescription = f"Axial {plan.thickness_mm:g} {plan.kernel}"
    dataset.Manufacturer, dataset.ManufacturerModelName = plan.manufacturer, plan.model
    dataset.ProtocolName = _PROTOCOLS[study.protocol]
    dataset.BodyPartExamined = _BODY_PARTS[study.protocol]
    dataset.PatientPosition = plan.position
    dataset.KVP, dataset.XRayTubeCurrent = "120", 210
    dataset.ConvolutionKernel = plan.kernel
    dataset.SliceThickness = _text(plan.thickness_mm)
    dataset.GantryDetectorTilt = "0"
    dataset.ReconstructionDiameter = _text(plan.pixel_mm * plan.x_mm.size)
    if study.phase != "none":
        dataset.ContrastBolusAgent = "IOHEXOL 350"
        dataset.ContrastBolusRoute = "IV"


def _fill_pixels(dataset: Any, plan: SeriesPlan) -> None:
    row_sign, column_sign = plan.directions
    dataset.ImageOrientationPatient = [str(row_sign), "0", "0", "0", str(column_sign), "0"]
    dataset.PixelSpacing = [_text(plan.pixel_mm)] * 2
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = int(plan.signed)
    if plan.padding is not None:
        # PixelPaddingValue is US or SS, as PixelRepresentation says; pydicom is told which
        dataset.add_new(0x00280120, "SS" if plan.signed else "US", plan.padding)
    dataset.RescaleSlope, dataset.RescaleIntercept = _text(plan.slope), _text(plan.intercept)
    dataset.RescaleType = "HU"
    dataset.WindowCenter, dataset.WindowWidth = "40", "400"


def _save(dataset: Any, pixels: NDArray[Any], syntax: str, path: Path) -> None:
    from pydicom.dataset import FileMetaDataset

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _CT
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    dataset.file_meta = meta
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    if syntax == RLE:
        # `compress` takes uncompressed pixels and sets the syntax itself
        meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        dataset.compress(RLE, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
