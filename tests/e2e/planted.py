"""An archive with identities in every place that a hospital or a scanner may put them."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from tests.e2e.planted_names import TOLD, write_people
from tests.ingest.series import Series, write

ARCHIVE, REPORTS = "Mustermann archive", "Friederike reports.csv"
"""A folder and a file that are called after the patient."""

PLANTED = (
    "Mustermann", "Friederike", "PAT-004217", "ACC0001742", "Quellenhof", "SECRETFOLDER",
    "19300215", "1930-02-15", "15.02.1930", "20240501", "2024-05-01", "4242424242", *TOLD,
)  # fmt: skip
"""What may be found nowhere: names, ids, birth date, true dates, part of every UID."""

TEXT_VALUES = {
    "AE": "MUSTERMANN",
    "AS": "094Y",
    "CS": "MUSTERMANN",
    "DA": "19300215",
    "DT": "19300215101500",
    "LO": "Mustermann Friederike PAT-004217",
    "LT": "Frau Friederike Mustermann, geb. 15.02.1930",
    "PN": "Mustermann^Friederike",
    "SH": "Mustermann",
    "ST": "Quellenhof, Mustermann",
    "TM": "101500",
    "UC": "Mustermann PAT-004217",
    "UI": "1.2.826.4242424242.77",
    "UR": "https://quellenhof.example/Mustermann",
    "UT": "Friederike Mustermann, PAT-004217, ACC0001742",
}
NEEDED = frozenset(
    {"SpecificCharacterSet", "ImageType", "Modality", "PhotometricInterpretation", "RescaleType"}
    | {"BurnedInAnnotation", "PatientPosition", "PatientOrientation", "SOPClassUID", "PatientSex"}
    | {"SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"}
    | {"PatientID", "PatientAge", "AccessionNumber", "ConvolutionKernel"}
)
"""Attributes that keep the value without which the slice would be none, or that are set apart."""

REPORT = (
    "CLINICAL INFORMATION: Mrs. Friederike Mustermann (PAT-004217), born 15.02.1930, sent by the "
    "Quellenhof clinic, accession ACC0001742.\n"
    "FINDINGS: Mustermann's lungs are clear. No pleural effusion on 2024-05-01.\n"
    "IMPRESSION: Clear lungs. Signed by Friederike Mustermann"
)
LATER_REPORT = (
    "FINDINGS: Frau Mustermann, 15.02.1930: there is a pulmonary nodule of 8 mm in the right upper "
    "lobe. No pleural effusion.\nIMPRESSION: Pulmonary nodule, new since 2024-05-01 (ACC0001742)"
)
REFUSED_REPORT = (
    "TECHNIQUE: CT for Mustermann Friederike of Quellenhof.\nFINDINGS: No nodule. Compared with "
    "Mustermann's last scan nothing has changed.\nIMPRESSION: Mustermann is free of disease."
)
"""Of a study whose only series is refused: no table says whose it is."""


@dataclass(frozen=True)
class Chest(Series):
    """A chest in air with two lungs, large enough to be segmented and cut into a sample."""

    slices: int = 24
    rows: int = 48
    columns: int = 48
    step_mm: float = 8.0
    pixel_spacing_mm: tuple[float, float] = (6.0, 6.0)
    series_uid: str = "1.2.826.4242424242.5"
    study_uid: str = "1.2.826.4242424242.4"
    patient_id: str = "PAT-004217"
    patient_name: str = "Mustermann^Friederike"

    def image_hu(self) -> NDArray[np.int16]:
        image = np.full((self.slices, self.rows, self.columns), -1000.0)
        image[2:-2, 8:40, 8:40] = 40
        image[4:-4, 14:34, 14:22] = -800
        image[4:-4, 14:34, 26:34] = -800
        image[2:-2, 34:38, 22:26] = 500
        noise = np.random.default_rng(self.seed).normal(0, 12, image.shape)
        return np.asarray(np.rint(image + noise), np.int16)


def planted_tags() -> Iterator[tuple[int, str, str]]:
    """Tag, VR and value of every attribute of DICOM's dictionary with a text VR."""
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        first = vr.partition(" ")[0]
        if first in TEXT_VALUES and keyword and keyword not in NEEDED and Tag(tag).group > 4:
            yield tag, first, TEXT_VALUES[first]


def plant(one: Dataset, tags: list[tuple[int, str, str]]) -> Dataset:
    """Identities in every text attribute, in sequences, private blocks and overlay comments."""
    one.SpecificCharacterSet = "ISO_IR 192"
    for tag, vr, value in tags:
        one.add_new(tag, vr, value)
    one.AccessionNumber = "ACC0001742"
    one.StudyDate = one.AcquisitionDate = one.SeriesDate = one.ContentDate = "20240501"
    nested = Dataset()
    nested.PatientID, nested.PatientName = "PAT-004217", "Mustermann^Friederike"
    nested.CodeMeaning = "Mustermann"
    one.OtherPatientIDsSequence = [nested]
    one.RequestAttributesSequence = [nested]
    one.AnatomicRegionSequence = [nested]
    block = one.private_block(0x0019, "MUSTERMANN GMBH", create=True)
    block.add_new(0x01, "LO", "Mustermann Friederike")
    block.add_new(0x02, "OB", b"PAT-004217 Mustermann ")
    one.add_new(0x60004000, "LT", "Overlay of Mustermann")
    return one


def make_archive(folder: Path) -> Path:
    """Write ARCHIVE and REPORTS below `folder`; returns the archive.

    A study in two reconstructions (one is not picked), a later study of the same patient, a
    series that is refused, a study of nothing else, a capture, a damaged file, a note, a zip
    with a series of its own, and people with names of other forms.
    """
    archive, tags = folder / ARCHIVE, list(planted_tags())
    chest = Chest(tags={"ConvolutionKernel": "B30f"})
    sharp = Chest(series_uid="1.2.826.4242424242.6", tags={"ConvolutionKernel": "B70f"})
    short = Chest(series_uid="1.2.826.4242424242.7", slices=3, tags={"ConvolutionKernel": "B30f"})
    later = Chest(
        series_uid="1.2.826.4242424242.9",
        study_uid="1.2.826.4242424242.10",
        seed=5,
        tags={"ConvolutionKernel": "B30f"},
    )
    refused = Chest(series_uid="1.2.826.4242424242.12", study_uid="1.2.826.4242424242.11", slices=3)
    for number, series in enumerate((chest, sharp, short, later, refused)):
        datasets = [plant(one, tags) for one in series.datasets()]
        place = archive / "SECRETFOLDER Mustermann" / f"Friederike {number}"
        names = [f"Mustermann_{place}.dcm" for place in range(len(datasets))]
        write(datasets, place, names)
    capture = plant(chest.datasets()[0], tags)
    capture.SOPClassUID = capture.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    (whole,) = write([capture], archive / "Mustermann capture")
    (archive / "Mustermann damaged.dcm").write_bytes(whole.read_bytes()[:3000])
    (archive / "Mustermann notes.txt").write_text("Friederike Mustermann")
    inner = io.BytesIO()
    plant(Chest(series_uid="1.2.826.4242424242.8").datasets()[0], tags).save_as(inner)
    with zipfile.ZipFile(archive / "Mustermann.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("SECRETFOLDER/Mustermann.dcm", inner.getvalue())
    with (folder / REPORTS).open("w", encoding="utf-8", newline="") as handle:
        rows = [
            (chest.study_uid, REPORT),
            (later.study_uid, LATER_REPORT),
            (refused.study_uid, REFUSED_REPORT),
            *write_people(archive),
        ]
        csv.writer(handle).writerows([("study_uid", "report"), *rows])
    return archive
