from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
import yaml

from fvlm_data.errors import InputError
from fvlm_data.phantom import VERSION, generate
from fvlm_data.phantom.generate import make_patient

# Fixed once: models are compared over years on this phantom. Do not change it; a generator that
# draws otherwise is another VERSION.
PINNED_SHA256 = "81f5700981c9f8196352aed991d41821836ebb32c3b35911d4fa6efeb15cb453"


def axial_series(root: Path) -> list[list[Any]]:
    """All axial series of a phantom, each as datasets sorted along the slice normal."""
    found = []
    for folder in sorted(root.glob("dicom/*/*/*")):
        slices = [pydicom.dcmread(path) for path in folder.glob("*.dcm")]
        if "LOCALIZER" in slices[0].ImageType:
            continue
        orientation = [float(value) for value in slices[0].ImageOrientationPatient]
        normal = np.cross(orientation[:3], orientation[3:])
        slices.sort(key=lambda one: float(np.dot(normal, np.array(one.ImagePositionPatient))))
        found.append(slices)
    return found


def affine_from_headers(slices: list[Any]) -> np.ndarray:
    """RAS affine of (column, row, slice) from the headers alone (DICOM PS3.3 C.7.6.2.1.1)."""
    first, last = slices[0], slices[-1]
    along_row, along_column = np.reshape(np.array(first.ImageOrientationPatient, float), (2, 3))
    row_step, column_step = (float(value) for value in first.PixelSpacing)
    start = np.array(first.ImagePositionPatient, float)
    step = (np.array(last.ImagePositionPatient, float) - start) / (len(slices) - 1)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = along_row * column_step, along_column * row_step
    affine[:3, 2], affine[:3, 3] = step, start
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def masks(root: Path) -> dict[str, Path]:
    with (root / "masks" / "manifest.csv").open(newline="") as file:
        return {row["volume"]: root / "masks" / row["mask"] for row in csv.DictReader(file)}


def centre_ras(path: Path, value: int) -> np.ndarray | None:
    image = nibabel.load(path)
    voxels = np.argwhere(np.asarray(image.dataobj) == value)
    if len(voxels) < 5:
        return None
    return nibabel.affines.apply_affine(image.affine, voxels).mean(axis=0)


def test_content_of_a_seed_is_pinned(tmp_path: Path) -> None:
    summary = generate(tmp_path / "out", patients=3, seed=7)
    assert VERSION == 1
    assert summary.content_sha256 == PINNED_SHA256
    stored = json.loads((tmp_path / "out" / "phantom.json").read_text())
    assert stored["content_sha256"] == PINNED_SHA256
    assert (stored["seed"], stored["patients"], stored["version"]) == (7, 3, 1)


@pytest.mark.full
def test_patient_does_not_depend_on_workers_or_number(phantom: Path, tmp_path: Path) -> None:
    out, calls = tmp_path / "two", []
    generate(out, patients=2, seed=7, workers=2, progress=lambda *args: calls.append(args))
    assert calls == [(1, 2), (2, 2)]
    files = sorted(path.relative_to(out) for path in out.glob("*/**/*.*") if path.is_file())
    images = [path for path in files if path.suffix in {".dcm", ".gz"}]
    assert images
    for path in images:
        if path.suffix == ".dcm":
            mine, other = pydicom.dcmread(out / path), pydicom.dcmread(phantom / path)
            assert mine == other
        else:
            mine, other = nibabel.load(out / path), nibabel.load(phantom / path)
            assert np.array_equal(np.asarray(mine.dataobj), np.asarray(other.dataobj))
    truth = pq.read_table(out / "truth.parquet").to_pylist()
    assert truth == pq.read_table(phantom / "truth.parquet").to_pylist()[: len(truth)]


def test_other_seed_is_another_patient(tmp_path: Path) -> None:
    made = [make_patient(tmp_path / str(seed), seed, 0).digest() for seed in (7, 8)]
    assert made[0] != made[1]


def test_masks_lie_on_the_grid_of_their_series(phantom: Path) -> None:
    paths = masks(phantom)
    series = axial_series(phantom)
    assert len(series) == len(paths)
    for slices in series:
        image = nibabel.load(paths[slices[0].SeriesInstanceUID])
        assert image.shape == (slices[0].Columns, slices[0].Rows, len(slices))
        assert np.array_equal(image.affine, affine_from_headers(slices))


def test_organs_lie_on_their_side(phantom: Path) -> None:
    # RAS: the patient's right has the larger x, the front the larger y.
    names = yaml.safe_load((phantom / "masks" / "classes.yaml").read_text())
    assert names["class_system"] == "phantom"
    values = {name: value for value, name in names["classes"].items()}
    pairs = (
        ("liver", "spleen"),
        ("liver", "stomach"),
        ("kidney_right", "kidney_left"),
        ("adrenal_gland_right", "adrenal_gland_left"),
        ("lung_upper_lobe_right", "lung_upper_lobe_left"),
        ("lung_lower_lobe_right", "lung_lower_lobe_left"),
        ("gallbladder", "stomach"),
    )
    compared = 0
    for path in masks(phantom).values():
        for right, left in pairs:
            one, other = centre_ras(path, values[right]), centre_ras(path, values[left])
            if one is not None and other is not None:
                compared += 1
                assert one[0] > other[0], (right, left)
        heart, liver = centre_ras(path, values["heart"]), centre_ras(path, values["liver"])
        if heart is not None and liver is not None:
            assert heart[2] > liver[2]
        sacrum = centre_ras(path, values["sacrum"])
        bladder = centre_ras(path, values["urinary_bladder"])
        if sacrum is not None and bladder is not None:
            assert sacrum[1] < bladder[1]
    assert compared > 20


def test_simpleitk_reads_the_same_volume(phantom: Path) -> None:
    for slices in axial_series(phantom)[:4]:
        folder = Path(slices[0].filename).parent
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        image = reader.Execute()
        first, uid = slices[0], slices[0].SeriesInstanceUID
        assert image.GetSize() == (first.Columns, first.Rows, len(slices)), uid
        assert np.allclose(image.GetSpacing()[:2], [float(v) for v in first.PixelSpacing][::-1])
        assert np.allclose(image.GetOrigin(), [float(v) for v in first.ImagePositionPatient])
        step = abs(float(slices[1].ImagePositionPatient[2] - first.ImagePositionPatient[2]))
        assert np.isclose(image.GetSpacing()[2], step)
        pixels = np.stack([one.pixel_array for one in slices]).astype(np.float64)
        hu = pixels * float(first.RescaleSlope) + float(first.RescaleIntercept)
        assert np.array_equal(sitk.GetArrayFromImage(image).astype(np.float64), hu)


def test_headers_are_complete_and_hold_an_identity_to_remove(phantom: Path) -> None:
    seen = set()
    for slices in axial_series(phantom):
        first = slices[0]
        for name in ("PatientName", "PatientID", "PatientBirthDate", "FrameOfReferenceUID"):
            assert first[name].value
        uids = {one.SOPInstanceUID for one in slices}
        assert len(uids) == len(slices)
        assert not seen & uids
        seen |= uids
        assert all(uid.startswith("2.25.") and uid.is_valid for uid in uids)
        order = [Path(one.filename).name for one in slices]
        assert order not in (sorted(order), sorted(order, reverse=True))


def test_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        generate(tmp_path, patients=1, seed=7)
    with pytest.raises(InputError, match="patients >= 1"):
        generate(tmp_path / "new", patients=0, seed=7)
    assert (tmp_path / "kept.txt").read_text() == "mine"
