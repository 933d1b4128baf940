"""A small store by hand for the export `dicom`: three volumes of two patients, one report."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from fvlm_data.export import EXPORTS
from fvlm_data.export.run import Form, run_tables_export
from fvlm_data.store.tables import Store
from schemas import StudyReport
from tests.core.hand_store import finding, mask, sentence, volume

PLANTED = "Rumpelstilz"
"""A name that stands in whatever the export must not read."""

CLASSES = {3: "kidney_left", 5: "liver", 98: "rib_left_7", 200: "oddity"}
DATE = "2003-02-01"
TEXTS = {
    0: "There is a 14 mm cyst in the left kidney, Größe unverändert.",
    1: "No liver lesion.",
    2: "Family history of emphysema.",
    3: "Question of pneumonia.",
}


def turned(spacing: tuple[float, float, float], degrees: float, flips: tuple[int, int, int]) -> Any:
    """RAS affine of a grid turned about two axes, each axis in the given direction."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag(np.multiply(spacing, flips))
    affine[:3, 3] = (-31.25, 17.5, -402.75)
    return affine


SAGITTAL = np.eye(4)
SAGITTAL[:3, :3] = [[0, 0, 3.5], [0.8, 0, 0], [0, -0.6, 0]]

GRIDS = {
    "v_1": ((13, 11, 7), turned((0.7, 0.9, 2.5), 0, (-1, -1, 1))),  # as CT is stored: LPS
    "v_2": ((9, 12, 6), turned((0.8, 0.8, 3.0), 25, (1, -1, -1))),  # oblique, turned over
    "v_3": ((10, 8, 5), SAGITTAL),  # sagittal slices, left-handed
}
STUDY_OF = {"v_1": "st_1", "v_2": "st_1", "v_3": "st_2", "v_4": "st_3"}
"""The last one is a volume of which no file is there: nothing reads it."""


def labels_of(volume_id: str) -> Any:
    """A label map of all classes, uint8 (i, j, k); one slice shows nothing."""
    shape, _ = GRIDS[volume_id]
    rng = np.random.default_rng(len(volume_id) + int(volume_id[-1]))
    labels = rng.choice([0, *CLASSES], shape, p=[0.6, 0.1, 0.1, 0.1, 0.1]).astype(np.uint8)
    labels[:, :, 2] = 0
    return labels


def hu_of(volume_id: str) -> Any:
    """HU of a volume, int16 (i, j, k)."""
    rng = np.random.default_rng(int(volume_id[-1]))
    return rng.integers(-1024, 3000, GRIDS[volume_id][0]).astype(np.int16)


def make_store(folder: Path) -> Store:
    """Study st_1 has two volumes and a report, st_2 a volume, st_3 a volume without anything."""
    made = Store.create(folder / "store")
    volumes, masks = [], []
    for number, (volume_id, study) in enumerate(STUDY_OF.items(), 1):
        shape, affine = GRIDS.get(volume_id, ((2, 2, 2), np.eye(4)))
        volumes.append(
            volume(
                number, study, patient="p_2" if study == "st_3" else "p_1", shape=shape,
                affine_ras=tuple(affine.ravel().tolist()),
                source_files=(f"{PLANTED}/1.2.840.777.{number}.dcm",),
                acquired_on=DATE if study == "st_1" else None,
                series_description=PLANTED, manufacturer=PLANTED, kernel=PLANTED,
                sex="F", age_years=61.5,
            )
        )  # fmt: skip
    for volume_id in GRIDS:
        (told,) = (one for one in volumes if one.volume_id == volume_id)
        made.write_bytes(told.path, _nifti(hu_of(volume_id), GRIDS[volume_id][1]))
        path = f"masks/{volume_id}.total.nii.gz"
        made.write_bytes(path, _nifti(labels_of(volume_id), GRIDS[volume_id][1]))
        masks += [
            replace(mask(volume_id, path), class_value=value, class_name=name)
            for value, name in CLASSES.items()
        ]
    made.replace_all("volumes", volumes)
    made.replace_all("masks", masks)
    _report(made)
    return made


def _report(made: Store) -> None:
    sections = ("findings", "impression", "other", "clinical_information")
    made.replace_all(
        "sentences",
        [sentence(number, section, TEXTS[number]) for number, section in enumerate(sections)],
    )
    said = [
        replace(
            finding(0, "kidney_cyst", laterality="left", anatomy="kidney"),
            size_mm=14.0, severity="mild", change="stable",
        ),
        finding(1, "no_such_finding_any_vocabulary", status="absent"),
        finding(2, "emphysema", status="family", anatomy="lung"),
        finding(3, "pneumonia", status="hypothetical", anatomy="lung"),
    ]  # fmt: skip
    made.replace_all("findings", said)
    joined = StudyReport(study_id="st_1", report_id="r_1", matched_by="study_uid", order=0)
    made.replace_all("study_reports", [joined])


def _nifti(labels: Any, affine: Any) -> bytes:
    image = nib.Nifti1Image(labels, affine)
    image.header["descrip"] = PLANTED.encode()
    buffer = io.BytesIO()
    image.to_file_map({"image": nib.FileHolder(fileobj=buffer)})
    return buffer.getvalue()


def exported(store: Store, folder: Path, **options: Any) -> Path:
    """The folder of an export `dicom`."""
    entry = EXPORTS.load("dicom")
    form = Form("dicom", entry, entry.options(**options))
    run_tables_export(store, form, folder, lambda _done, _total: None)
    return folder
