"""Real CT: the masks' anatomies lie where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fvlm_data.segment import merge_labels
from fvlm_data.segment.backend import VolumeImage
from fvlm_data.segment.checks import body_region, mask_rows, volume_check
from fvlm_data.segment.config import SegmentConfig
from fvlm_data.segment.library_classes import recorded_classes
from fvlm_data.segment.nifti import read_nifti
from fvlm_data.segment.stage import mask_path
from fvlm_data.segment.threshold import CLASSES, LUNG_LEFT, LUNG_RIGHT, Threshold
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


def load(path: Path) -> VolumeImage:
    image = nib.load(path)
    return VolumeImage("v_1", np.asarray(image.dataobj).astype(np.int16), image.affine)


def threshold_ml(volume: VolumeImage) -> dict[str, float]:
    made = Threshold()(volume)
    rows = mask_rows(volume, made, "threshold", "p", "threshold", "1")
    return {row.class_name: row.volume_ml for row in rows}


def test_threshold_finds_lungs_of_the_chest(real_data: Path):
    volume = load(real_data / "chest_1p5mm" / "ct.nii.gz")
    ml = threshold_ml(volume)
    assert 700 < ml["lung_right"] < 1100
    assert 700 < ml["lung_left"] < 1100
    labels = Threshold()(volume).labels
    lung = np.isin(labels, [LUNG_LEFT, LUNG_RIGHT])
    assert -900 < np.median(volume.image_hu[lung]) < -700
    artery = nib.load(real_data / "chest_1p5mm" / "pulmonary_artery.nii.gz")
    inside = np.asarray(artery.dataobj) > 0
    assert lung[inside].mean() < 0.02


def test_threshold_against_totalsegmentator_on_the_same_lungs(real_data: Path):
    """Only the thin bases of the lungs, the hardest part: the model sees more of them."""
    volume = load(real_data / "example_ct_sm.nii.gz")
    labels = Threshold()(volume).labels
    model = read_nifti((real_data / "example_seg.nii.gz").read_bytes()).data
    for side, lobes, dice in ((LUNG_LEFT, (10, 11), 0.74), (LUNG_RIGHT, (12, 13, 14), 0.9)):
        ours, theirs = labels == side, np.isin(model, lobes)
        assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) > dice
        assert (ours & theirs).sum() > 0.95 * ours.sum()
    gut = np.isin(model, (6, 18, 19, 20))
    assert not np.isin(labels[gut], (LUNG_LEFT, LUNG_RIGHT)).any()


def test_threshold_finds_bones_of_the_torso(real_data: Path):
    volume = load(real_data / "example_ct.nii.gz")
    ml = threshold_ml(volume)
    assert set(ml) == set(CLASSES.values())
    assert 300 < ml["bone"] < 800
    assert ml["body"] > 20000


def test_threshold_on_fine_slices_equals_its_coarse_self_nearly(real_data: Path):
    """Repeating every voxel changes the grid and not the patient."""
    coarse = load(real_data / "example_ct.nii.gz")
    fine_affine = coarse.affine_ras @ np.diag([0.5, 0.5, 1.0, 1.0])
    image = coarse.image_hu.repeat(2, axis=0).repeat(2, axis=1)
    one = threshold_ml(coarse)
    two = threshold_ml(VolumeImage("v_2", image, fine_affine))
    assert two == pytest.approx(one, rel=0.05)


def test_threshold_of_an_empty_image_finds_nothing():
    volume = VolumeImage("v_0", np.full((20, 20, 10), -1000, np.int16), np.diag([3, 3, 3, 1.0]))
    assert not Threshold()(volume).labels.any()


def test_regions_need_enough_of_an_organ():
    assert body_region({"lung": 300.0, "liver": 1500.0}) == "abdomen"
    assert body_region({"lung": 4000.0, "liver": 1500.0, "hip": 400.0}) == "chest+abdomen+pelvis"
    assert body_region({}) == "unknown"


@pytest.mark.parametrize(
    ("aorta_hu", "portal_hu", "said"),
    [(40, 45, "unenhanced"), (250, 60, "enhanced"), (80, 130, "enhanced"), (90, 90, "unknown")],
)
def test_contrast_is_read_from_the_vessels(aorta_hu: int, portal_hu: int, said: str):
    from fvlm_data.segment.backend import Segmentation

    labels = np.zeros((10, 10, 10), np.uint8)
    labels[:5], labels[5:] = 52, 64
    image = np.where(labels == 52, aorta_hu, portal_hu).astype(np.int16)
    volume = VolumeImage("v_1", image, np.eye(4))
    made = Segmentation(labels, V2, "totalsegmentator_v2")
    check = volume_check(volume, made, mask_rows(volume, made, "total", "p", "b", "1"), EN)
    assert check.contrast == said
