"""Harmed masks are set aside with what was seen, true ones are not, however they are cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydantic import ValidationError

from fvlm_data.segment.backend import Segmentation, VolumeImage
from fvlm_data.segment.checks import look
from fvlm_data.segment.config import SegmentConfig
from fvlm_data.segment.library_classes import recorded_classes
from fvlm_data.segment.plausibility.alignment import alignment
from fvlm_data.segment.plausibility.expected import load_expected
from fvlm_data.segment.plausibility.measures import measure, runs_of
from fvlm_data.segment.plausibility.policy import sorted_out
from fvlm_data.segment.plausibility.remark import Remark
from fvlm_data.segment.plausibility.whole import remarks_on
from fvlm_data.testing.harms import Pair, crops, flipped, harms, renamed, shifted

V2 = recorded_classes("totalsegmentator_v2")
V1 = recorded_classes("totalsegmentator_v1")
NUMBER = {name: value for value, name in V2.items()}

NOT_FOUND = {
    "swapped aorta and inferior_vena_cava",  # a remark: a vein on the left is a variant
    "liver given as heart",
    "stomach given as pancreas",
}
"""Harms of one class that leave intensity, order and size as they can be."""


def remarks(pair: Pair, age_years: float | None = None) -> list[Remark]:
    volume = VolumeImage("v_1", pair.image_hu, pair.affine_ras, age_years)
    made = Segmentation(pair.labels, pair.classes, "totalsegmentator_v2")
    return remarks_on(volume, made, look(volume, made).measures)


def faults(pair: Pair) -> dict[str, str]:
    return {one.code: one.seen for one in sorted_out(remarks(pair), {})[0]}


@pytest.fixture(scope="module")
def torso(real_data: Path) -> Pair:
    image, labels = (
        nib.load(real_data / "example_ct_sm.nii.gz"),
        nib.load(real_data / "example_seg.nii.gz"),
    )
    return Pair(
        "torso",
        np.asarray(image.dataobj).astype(np.int16),
        np.asarray(labels.dataobj).astype(np.uint8),
        image.affine,
        V2,
    )


@pytest.fixture(scope="module")
def chest(real_data: Path) -> Pair:
    image = nib.as_closest_canonical(nib.load(real_data / "chest_1p5mm" / "ct.nii.gz"))
    mask = nib.as_closest_canonical(nib.load(real_data / "chest_1p5mm" / "pulmonary_artery.nii.gz"))
    labels = (np.asarray(mask.dataobj) > 0).astype(np.uint8)
    hu = np.asarray(image.dataobj).astype(np.int16)
    return Pair("chest", hu, labels, image.affine, {1: "pulmonary_artery"})


def test_a_true_mask_has_no_fault_however_it_is_cut(torso: Pair, chest: Pair):
    assert remarks(torso) == []
    for pair in (torso, chest):
        for cut in crops(pair, 8, seed=3):
            assert faults(cut) == {}


def test_a_small_class_in_thick_slices_may_mix_with_gas_at_its_edge():
    """A pancreas of 300 voxels: most of it is edge, a fifth of it mixed with the stomach's gas."""
    hu = np.full((40, 40, 20), 40, np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    labels[10:20, 10:16, 8:13] = 1
    hu[10:20, 10, 8:13] = -300
    pair = Pair("pancreas", hu, labels, np.diag([3.25, 3.25, 6.0, 1.0]), {1: "pancreas"})
    assert faults(pair) == {}
    hu[10:20, 10:12, 8:13] = -300
    assert "67 % of its voxels" in faults(pair)["hu_implausible"]


def test_every_harm_of_a_whole_label_map_is_found(torso: Pair, chest: Pair):
    missed = [kind for kind, harmed in harms(torso, [], V1) if not faults(harmed)]
    assert set(missed) == NOT_FOUND


def test_another_patients_mask_is_found(torso: Pair, real_data: Path):
    other = nib.load(real_data / "example_seg_dicom.nii.gz")
    labels = np.asarray(nib.as_closest_canonical(other).dataobj).astype(np.uint8)
    (harmed,) = [
        one
        for kind, one in harms(torso, [replace(torso, labels=labels)])
        if kind == "another patient's mask"
    ]
    assert faults(harmed)


@pytest.mark.parametrize(
    ("axis", "code"), [(0, "sides_exchanged"), (1, "front_back_exchanged"), (2, "upside_down")]
)
def test_image_and_mask_mirrored_together(torso: Pair, axis: int, code: str):
    seen = faults(flipped(torso, axis, image_too=True))
    assert list(seen) == [code]
    assert "relations reversed" in seen[code]


def test_a_moved_mask_is_told_with_how_far(torso: Pair):
    seen = faults(shifted(torso, 1, 24.0))["mask_moved"]
    assert "+24 mm to the front" in seen


def test_version_two_numbers_as_version_one(torso: Pair):
    known = {value: 0 for value in V2 if value not in V1}
    seen = faults(renamed(torso, known, V1))
    assert "hu_implausible" in seen


def test_reversed_viscera_between_true_sides_are_a_situs_inversus(torso: Pair):
    """Viscera mirrored, and the sided structures called by the side on which they lie."""
    mirrored = flipped(torso, 0, image_too=True)
    sided = {
        value: NUMBER[other] for value, name in V2.items() if (other := _other_side(name)) in NUMBER
    }
    harmed = renamed(mirrored, sided)
    assert faults(harmed) == {}
    (flag,) = [one for one in remarks(harmed) if one.code == "situs_inversus"]
    assert "liver lies left of spleen" in flag.seen


def test_reversed_viscera_without_any_sides_are_a_fault(torso: Pair):
    unsided = {value: 0 for value, name in V2.items() if "left" in name or "right" in name}
    harmed = renamed(flipped(torso, 0, image_too=True), unsided)
    assert list(faults(harmed)) == ["viscera_mirrored"]


def test_a_removed_kidney_is_a_remark(torso: Pair):
    harmed = renamed(torso, {NUMBER["kidney_right"]: 0})
    assert faults(harmed) == {}
    assert [one.flag for one in remarks(harmed)] == []  # the left one is cut: nothing is known
    whole = replace(harmed, labels=np.pad(harmed.labels, ((0, 0), (0, 0), (2, 2))))
    image = np.pad(harmed.image_hu, ((0, 0), (0, 0), (2, 2)), mode="edge")
    flags = [one.flag for one in remarks(replace(whole, image_hu=image))]
    assert "kidney_right_missing" in flags


def ball(name: str, hu: int, radius_mm: float = 40.0) -> Pair:
    grid = np.indices((40, 40, 40)) * 3.0 - 58.5
    inside = (grid**2).sum(axis=0) < radius_mm**2
    image = np.where(inside, hu, -100).astype(np.int16)
    return Pair(name, image, inside.astype(np.uint8), np.diag([3.0, 3, 3, 1]), {1: name})


def test_one_dense_lung_is_a_remark_and_two_are_a_fault():
    lung = ball("lung_left", 20)
    both = replace(lung, classes={1: "lung_left", 2: "lung_right"}, labels=lung.labels.copy())
    both.labels[:20] *= 2
    half = replace(both, image_hu=both.image_hu.copy())
    half.image_hu[:20] = np.where(half.labels[:20] == 2, -850, -100)
    # x grows to the right of the patient: the first half is the left one
    named = replace(half, classes={2: "lung_left", 1: "lung_right"})
    assert faults(named) == {}
    assert "lung_right_dense" in [one.flag for one in remarks(named)]
    dense = replace(both, classes={2: "lung_left", 1: "lung_right"})
    assert faults(dense) == {}  # 268 ml: two collapsed bases
    larger = replace(dense, affine_ras=np.diag([4.0, 4, 4, 1]))
    assert "median 25 HU" in faults(larger)["lungs_dense"]


def test_a_pancreas_of_more_than_a_litre_is_impossible():
    seen = faults(ball("pancreas", 40, 56.0))
    assert "possible 0 to 600 ml" in seen["volume_impossible"]


def test_what_is_usual_depends_on_age():
    liver = ball("liver", 50, 50.0)  # 525 ml
    unusual = [one.flag for one in remarks(liver, 40.0)]
    assert unusual == ["liver_volume_unusual"]
    assert remarks(liver, 5.0) == []
    assert remarks(liver, None) == []


def test_what_is_usual_depends_on_sex():
    spleen = ball("spleen", 50, 46.0)  # 407 ml
    volume = VolumeImage("v_1", spleen.image_hu, spleen.affine_ras, 40.0)
    made = Segmentation(spleen.labels, spleen.classes, "totalsegmentator_v2")
    flags = {
        sex: [
            one.flag
            for one in remarks_on(replace(volume, sex=sex), made, look(volume, made).measures)
        ]
        for sex in ("F", "M", None)
    }
    assert flags == {"F": ["spleen_volume_unusual"], "M": [], None: []}


def test_two_pieces_of_a_spleen_are_a_remark():
    spleen = ball("spleen", 50)
    spleen.labels[18:23] = 0
    assert [one.flag for one in remarks(spleen)] == ["spleen_fragments"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_measures_are_those_of_every_voxel(order: tuple[int, ...]):
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 0, 0, 1, 2, 7], (9, 11, 13)).astype(np.uint16)
    image = rng.integers(-1000, 1000, labels.shape).astype(np.int16)
    laid = np.ascontiguousarray(labels.transpose(order)).transpose(np.argsort(order))[:, ::-1]
    found = measure(
        runs_of(laid), image[:, ::-1], np.diag([2.0, 3, 4, 1]), {1: "a", 2: "b", 7: "c"}
    )
    for value, name in ((1, "a"), (2, "b"), (7, "c")):
        places = np.argwhere(labels[:, ::-1] == value)
        assert found[name].voxels == len(places)
        assert found[name].box == (*places.min(axis=0), *(places.max(axis=0) + 1))
        assert found[name].ml == pytest.approx(len(places) * 0.024)
        median = np.median(image[labels == value])
        assert abs(found[name].quantile_hu(0.5) - median) <= 10


def test_a_label_map_without_comparable_classes_is_not_aligned():
    labels = np.ones((5, 5, 5), np.uint8)
    assert alignment(labels, labels.astype(np.int16), np.eye(4), {}) is None


class TestPolicy:
    SEEN = Remark("volume_unusual", "spleen_volume_unusual", "spleen of 700 ml")

    @pytest.mark.parametrize(
        ("policy", "kept"),
        [
            ({}, (0, 1)),
            ({"volume_unusual": "exclude"}, (1, 0)),
            ({"volume_unusual": "exclude", "spleen_volume_unusual": "ignore"}, (0, 0)),
            ({"liver_volume_unusual": "exclude"}, (0, 1)),
        ],
    )
    def test_the_nearer_key_decides(self, policy: Any, kept: tuple[int, int]):
        found = sorted_out([self.SEEN], policy)
        assert tuple(map(len, found)) == kept

    def test_an_unknown_check_is_refused_with_those_there_are(self):
        with pytest.raises(ValidationError, match="no check gives volume_odd; checks are hu_impl"):
            SegmentConfig(policy={"volume_odd": "flag"})

    def test_every_check_has_a_default(self):
        assert set(load_expected().policy.values()) == {"exclude", "flag"}


def _other_side(name: str) -> str:
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left") if "right" in name else ""
