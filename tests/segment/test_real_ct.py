"""Real CT: the masks' anatomies lie where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fvlm_data.segment import merge_labels
from fvlm_data.segment.checks import body_region, mask_rows, volume_check
from fvlm_data.segment.config import SegmentConfig
from fvlm_data.segment.library_classes import recorded_classes
from fvlm_data.segment.nifti import read_nifti
from fvlm_data.segment.stage import mask_path
from fvlm_data.vocabulary import Vocabulary

EN = Vocabulary.load()

V2 = recorded_classes("totalsegmentator_v2")
LIVER = 5


@pytest.fixture(scope="module")
def dicom(real_data: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The DICOM series as (i, j, k) int16 HU in LPS order, and its affine to RAS mm."""
    sitk = pytest.importorskip("SimpleITK")
    reader = sitk.ImageSeriesReader()
    folder = str(real_data / "example_ct_dicom")
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
    image = reader.Execute()
    matrix = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = image.GetOrigin()
    lps_to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    return sitk.GetArrayFromImage(image).T.astype(np.int16), lps_to_ras @ affine


def mean_x_mm(labels: np.ndarray[Any, Any], value: int, affine: np.ndarray[Any, Any]) -> float:
    center = np.append(np.argwhere(labels == value).mean(axis=0), 1.0)
    return float((affine @ center)[0])


def test_files_name_their_classes_as_the_record_does(real_data: Path):
    for name in ("example_seg.nii.gz", "example_seg_fast.nii.gz", "example_seg_dicom.nii.gz"):
        embedded = read_nifti((real_data / name).read_bytes()).embedded_classes
        assert dict(embedded) == V2


@pytest.mark.parametrize("codes", ["LPS", "RAS", "LAS"])
def test_the_las_mask_lands_on_the_dicom_volume(
    codes: str, bench: Any, kit: Any, dicom: Any, real_data: Path, tmp_path: Path
):
    image, affine = kit.turned(*dicom, codes)
    volume = bench.add_volume(image, affine, series_uid="1.3.12.2")
    source = real_data / "example_seg_dicom.nii.gz"
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / "1.3.12.2.nii.gz").write_bytes(source.read_bytes())
    config = SegmentConfig(backend="precomputed", masks=masks, classes="totalsegmentator_v2")
    bench.segment(config)
    assert bench.rows("quarantine") == []

    rows = {row["class_name"]: row for row in bench.rows("masks")}
    assert len(rows) == 31
    given = nib.load(source)
    before_ml = (np.asarray(given.dataobj) == LIVER).sum() * 0.9765625**2 * 2.0 / 1000
    assert rows["liver"]["volume_ml"] == pytest.approx(before_ml, rel=1e-4)
    stored = nib.load(bench.context.store.location(mask_path(volume, "total")))
    labels = np.asarray(stored.dataobj)
    assert mean_x_mm(labels, LIVER, stored.affine) > mean_x_mm(labels, 1, stored.affine) + 100
    assert 20 < np.median(image[labels == LIVER]) < 200
    (check,) = bench.rows("volume_checks")
    assert "abdomen" in check["body_region"]
    assert "liver_cut" in check["flags"]
    assert check["contrast"] == "enhanced"
    # aorta 151 HU, portal vein 133 HU
    assert check["phase"] == "portal_venous"
    assert check["phase_confidence"] > 0.7
    assert check["region_confidence"] > 0.9
    assert not [flag for flag in check["flags"] if flag.endswith("header_differs")]


def test_normal_and_fast_maps_agree_on_the_anatomies(real_data: Path):
    anatomies = ["liver", "spleen", "kidney", "aorta", "stomach", "lung"]
    merged = [
        merge_labels(
            [(read_nifti((real_data / name).read_bytes()).data, V2, "totalsegmentator_v2")],
            anatomies,
            EN,
        )
        for name in ("example_seg.nii.gz", "example_seg_fast.nii.gz")
    ]
    for value in range(1, 6):
        one, two = (labels == value for labels in merged)
        assert 2 * (one & two).sum() / (one.sum() + two.sum()) > 0.75


def test_regions_need_enough_of_an_organ():
    assert body_region({"lung": 300.0, "liver": 1500.0}) == "abdomen"
    assert body_region({"lung": 4000.0, "liver": 1500.0, "hip": 400.0}) == "chest+abdomen+pelvis"
    assert body_region({}) == "unknown"


@pytest.mark.parametrize(
    ("aorta_hu", "portal_hu", "said"),
    [(40, 45, "unenhanced"), (250, 60, "enhanced"), (80, 130, "enhanced"), (90, 90, "unknown")],
)
def test_contrast_is_read_from_the_vessels(aorta_hu: int, portal_hu: int, said: str):
    from fvlm_data.segment.backend import Segmentation, VolumeImage

    labels = np.zeros((10, 10, 10), np.uint8)
    labels[:5], labels[5:] = 52, 64
    image = np.where(labels == 52, aorta_hu, portal_hu).astype(np.int16)
    volume = VolumeImage("v_1", image, np.eye(4))
    made = Segmentation(labels, V2, "totalsegmentator_v2")
    check = volume_check(volume, made, mask_rows(volume, made, "total", "p", "b", "1"), EN)
    assert check.contrast == said
