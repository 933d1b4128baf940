"""Backend threshold on real CT: what it finds, and what it must not take for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fvlm_data.segment.backend import Segmentation, VolumeImage
from fvlm_data.segment.checks import mask_rows
from fvlm_data.segment.library_classes import recorded_classes
from fvlm_data.segment.nifti import read_nifti
from fvlm_data.segment.threshold import AIRWAY, BODY, BONE, LUNG_LEFT, LUNG_RIGHT, Threshold
from fvlm_data.store.declared import Reject

Array = np.ndarray[Any, Any]

V2 = recorded_classes("totalsegmentator_v2")
SKELETON = ("vertebrae_", "rib_", "sternum", "hip_", "sacrum", "femur_", "humerus_", "scapula_")


def load(path: Path) -> VolumeImage:
    image = nib.load(path)
    return VolumeImage("v_1", np.asarray(image.dataobj).astype(np.int16), image.affine)


def segment(volume: VolumeImage) -> Array:
    made = Threshold()(volume)
    assert isinstance(made, Segmentation), made
    return made.labels


def threshold_ml(volume: VolumeImage) -> dict[str, float]:
    made = Threshold()(volume)
    assert isinstance(made, Segmentation), made
    rows = mask_rows(volume, made, "threshold", "p", "threshold", "1")
    return {row.class_name: row.volume_ml for row in rows}


def dice(one: Array, two: Array) -> float:
    return float(2 * (one & two).sum() / (one.sum() + two.sum()))


@pytest.fixture(scope="module")
def aorta(real_data: Path) -> tuple[VolumeImage, Array]:
    volume = load(real_data / "aorta_1p5mm" / "ct.nii.gz")
    return volume, segment(volume)


@pytest.fixture(scope="module")
def torso(real_data: Path) -> tuple[VolumeImage, Array]:
    volume = load(real_data / "example_ct.nii.gz")
    return volume, segment(volume)


def test_lungs_of_the_chest(real_data: Path):
    volume = load(real_data / "chest_1p5mm" / "ct.nii.gz")
    labels = segment(volume)
    voxel_ml = 1.5**3 / 1000
    assert 700 < (labels == LUNG_RIGHT).sum() * voxel_ml < 1100
    assert 700 < (labels == LUNG_LEFT).sum() * voxel_ml < 1100
    lung = np.isin(labels, [LUNG_LEFT, LUNG_RIGHT])
    assert -900 < np.median(volume.image_hu[lung]) < -700
    artery = nib.load(real_data / "chest_1p5mm" / "pulmonary_artery.nii.gz")
    inside = np.asarray(artery.dataobj) > 0
    assert lung[inside].mean() < 0.02
    assert (labels[inside] == BONE).mean() < 0.01


def test_bases_of_the_lungs_and_bones_as_the_model_has_them(real_data: Path):
    """The bases are the hardest part of the lungs; two runs of the model agree by 0.97."""
    labels = segment(load(real_data / "example_ct_sm.nii.gz"))
    model = read_nifti((real_data / "example_seg.nii.gz").read_bytes()).data
    assert dice(labels == LUNG_LEFT, np.isin(model, (10, 11))) > 0.94
    assert dice(labels == LUNG_RIGHT, np.isin(model, (12, 13, 14))) > 0.96
    bones = [value for value, name in V2.items() if name.startswith(SKELETON)]
    assert dice(labels == BONE, np.isin(model, bones)) > 0.85
    gut = np.isin(model, (6, 18, 19, 20))
    assert not np.isin(labels[gut], (LUNG_LEFT, LUNG_RIGHT, AIRWAY)).any()


@pytest.mark.full
def test_airways_are_one_tree_between_the_lungs(aorta: tuple[VolumeImage, Array]):
    from scipy import ndimage

    volume, labels = aorta
    tree = labels == AIRWAY
    ml = tree.sum() * abs(np.linalg.det(volume.affine_ras[:3, :3])) / 1000
    assert 30 < ml < 80  # trachea and main bronchi of an adult
    pieces, _ = ndimage.label(tree, np.ones((3, 3, 3)))
    assert np.bincount(pieces.ravel())[1:].max() > 0.98 * tree.sum()
    assert np.median(volume.image_hu[tree]) < -920
    x = [np.argwhere(labels == value)[:, 0].mean() for value in (LUNG_RIGHT, AIRWAY, LUNG_LEFT)]
    assert x == sorted(x) or x == sorted(x, reverse=True)


def test_contrast_medium_and_a_stent_are_mostly_no_bone(
    aorta: tuple[VolumeImage, Array], real_data: Path
):
    _, labels = aorta
    for name, least, most in (("aorta", 0.0, 0.15), ("vertebrae_T12", 0.6, 1.0)):
        mask = nib.load(real_data / "aorta_1p5mm" / f"{name}.nii.gz")
        share = (labels[np.asarray(mask.dataobj) > 0] == BONE).mean()
        assert least <= share <= most, name


def test_an_abdomen_has_no_airway_and_a_mattress_is_no_lung(torso: tuple[VolumeImage, Array]):
    volume, labels = torso
    assert not (labels == AIRWAY).any()
    pelvis = labels[:, :, :60]  # RAS: the lower half
    assert not np.isin(pelvis, (LUNG_LEFT, LUNG_RIGHT)).any()
    ml = {value: (labels == value).sum() * 27 / 1000 for value in (BODY, BONE)}
    assert 800 < ml[BONE] < 1800
    assert ml[BODY] > 20000
    assert volume.image_hu.shape == labels.shape


@pytest.mark.full
def test_fine_slices_equal_the_coarse_nearly(torso: tuple[VolumeImage, Array]):
    """Repeating every voxel changes the grid and not the patient."""
    whole, _ = torso
    coarse = VolumeImage("v_1", whole.image_hu[:, :, 70:], whole.affine_ras)
    fine_affine = coarse.affine_ras @ np.diag([0.5, 0.5, 1.0, 1.0])
    image = coarse.image_hu.repeat(2, axis=0).repeat(2, axis=1)
    one = threshold_ml(coarse)
    two = threshold_ml(VolumeImage("v_2", image, fine_affine))
    assert two.pop("bone") == pytest.approx(one.pop("bone"), rel=0.15)
    assert two == pytest.approx(one, rel=0.05)


def made_of(hu: float | Array, shape: tuple[int, int, int] = (40, 40, 20)) -> VolumeImage:
    image = np.broadcast_to(np.asarray(hu), shape).astype(np.int16)
    return VolumeImage("v_0", image, np.diag([5, 5, 5, 1.0]))


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (made_of(-1000), "no_body"),
        # an MR image: nothing below zero, the air around the patient included
        (made_of(np.random.default_rng(0).integers(0, 900, (40, 40, 20))), "values_no_hu"),
    ],
)
def test_what_is_no_body_or_no_ct_is_told(image: VolumeImage, reason: str):
    made = Threshold()(image)
    assert isinstance(made, Reject)
    assert made.reason == reason
    assert "look at" in made.detail


def test_a_body_without_lungs_bones_or_airways_has_none():
    inside = np.hypot(*np.meshgrid(np.arange(40) - 20, np.arange(40) - 20, indexing="ij")) < 15
    water = np.where(inside, 40, -1000)[:, :, None].repeat(20, axis=2)
    fat = water.copy()
    fat[18:22, 18:22] = -100
    labels = segment(made_of(fat))
    assert set(np.unique(labels).tolist()) == {0, BODY}
    assert (labels == BODY).sum() == pytest.approx(inside.sum() * 20, rel=0.05)
