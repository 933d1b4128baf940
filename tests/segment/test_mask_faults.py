"""Masks that are right in part: each kind of fault is told, each true mask and its cuts pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fvlm_data.segment.backend import Segmentation, VolumeImage
from fvlm_data.segment.checks import look
from fvlm_data.segment.library_classes import recorded_classes
from fvlm_data.segment.plausibility.continuity import continuity_remarks
from fvlm_data.segment.plausibility.ends import end_remarks
from fvlm_data.segment.plausibility.expected import load_expected
from fvlm_data.segment.plausibility.measures import runs_of
from fvlm_data.segment.plausibility.place import place
from fvlm_data.segment.plausibility.policy import sorted_out
from fvlm_data.segment.plausibility.whole import remarks_on
from fvlm_data.testing.harms import Pair, cropped, crops, renamed, shifted

V2 = recorded_classes("totalsegmentator_v2")
V1 = recorded_classes("totalsegmentator_v1")
NUMBER = {name: value for value, name in V2.items()}
OF_V1 = {name: value for value, name in V1.items()}
TO_V1 = {value: OF_V1.get(name, 0) for value, name in V2.items()}

BUT_TWELVE = {value: 0 for value, name in V2.items() if OF_V1.get(name, 999) > 12}
"""All but the first twelve organs of version 1 taken out."""

Array = np.ndarray[Any, Any]
Harm = Callable[[Array], Array]


@pytest.fixture(scope="module")
def torso(real_data: Path) -> Pair:
    image, labels = (
        nib.load(real_data / "example_ct_sm.nii.gz"),
        nib.load(real_data / "example_seg.nii.gz"),
    )
    hu = np.asarray(image.dataobj).astype(np.int16)
    return Pair("torso", hu, np.asarray(labels.dataobj).astype(np.uint8), image.affine, V2)


def seen(pair: Pair, system: str = "totalsegmentator_v2") -> tuple[dict[str, str], set[str]]:
    """What sets the label map aside, by code, and the flags."""
    volume = VolumeImage("v_1", pair.image_hu, pair.affine_ras)
    made = Segmentation(pair.labels, pair.classes, system)
    looked = look(volume, made)
    faults, flags = sorted_out(remarks_on(volume, made, looked.measures, looked.runs), {})
    return {one.code: one.seen for one in faults}, {one.flag for one in flags}


def of_slices(pair: Pair) -> dict[str, str]:
    """What is said of losses and of the order of slices."""
    found = continuity_remarks(pair.labels, runs_of(pair.labels), pair.affine_ras, pair.classes)
    return {one.code: one.seen for one in found}


def of_ends(pair: Pair) -> list[str]:
    runs, expected = runs_of(pair.labels), load_expected()
    found = end_remarks(pair.labels, pair.image_hu, pair.affine_ras, runs, pair.classes, expected)
    return [one.flag for one in found]


class TestNumbersOfAnotherVersion:
    """No names stand in the file: only image and anatomy tell the two apart."""

    def test_v1_as_v2(self, torso: Pair):
        harmed = renamed(renamed(torso, BUT_TWELVE), TO_V1)
        faults, _ = seen(harmed)
        assert "the values fit the classes of totalsegmentator_v1" in faults["another_numbering"]
        assert seen(replace(harmed, classes=V1), "totalsegmentator_v1") == ({}, set())

    def test_v2_as_v1(self, torso: Pair):
        harmed = replace(renamed(torso, BUT_TWELVE), classes=V1)
        assert next(iter(seen(harmed, "totalsegmentator_v1")[0])) == "another_numbering"

    def test_of_a_few_organs_it_is_a_flag(self, torso: Pair):
        few = {v: 0 for v, name in V2.items() if name not in ("liver", "spleen", "pancreas")}
        harmed = renamed(renamed(torso, few), TO_V1)
        assert seen(harmed) == ({}, {"numbering_doubtful"})

    def test_an_aorta_alone_is_no_pancreas(self, torso: Pair):
        """Cut at both ends, 84 mm of it: no height tells, that it is an upright tube does."""
        alone = renamed(torso, {v: 0 for v, name in V2.items() if name != "aorta"})
        harmed = renamed(alone, TO_V1)
        assert seen(harmed) == ({}, {"numbering_doubtful"})
        assert seen(replace(harmed, classes=V1), "totalsegmentator_v1") == ({}, set())

    def test_a_pancreas_is_no_aorta_however_it_is_cut(self, torso: Pair):
        alone = renamed(torso, {v: 0 for v, name in V2.items() if name != "pancreas"})
        inside = np.argwhere(alone.labels)
        first, last = inside.min(axis=0), inside.max(axis=0) + 1
        near = cropped(alone, [slice(int(a), int(b)) for a, b in zip(first, last, strict=True)])
        told = [seen(one)[1] for one in [alone, *crops(near, 8)] if one.labels.any()]
        assert "numbering_doubtful" not in set().union(*told)

    def test_a_map_of_ones_own_is_not_compared(self, torso: Pair):
        own = {**V2, NUMBER["aorta"]: "pancreas", NUMBER["pancreas"]: "aorta"}
        assert "another_numbering" not in seen(replace(torso, classes=own))[0]


class TestLosses:
    @pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
    def test_voxels_lost_at_random(self, torso: Pair, share: float):
        lost = np.random.default_rng(0).random(torso.labels.shape) < share
        found = of_slices(replace(torso, labels=np.where(lost, 0, torso.labels)))
        assert "expected below 10 %" in found["voxels_scattered"]

    def test_of_one_class_it_is_named(self, torso: Pair):
        lost = np.random.default_rng(0).random(torso.labels.shape) < 0.5
        lost &= torso.labels == NUMBER["spleen"]
        found = of_slices(replace(torso, labels=np.where(lost, 0, torso.labels)))
        assert "(spleen" in found["voxels_scattered"]

    def test_classes_within_each_other_are_no_loss(self):
        labels = np.ones((20, 20, 20), np.uint8)
        labels[::4] = 2
        assert continuity_remarks(labels, runs_of(labels), np.eye(4), {1: "body", 2: "bone"}) == []


class TestSlices:
    @pytest.mark.parametrize("first", [0, 1, 14, 28])
    def test_two_in_each_others_place(self, torso: Pair, first: int):
        labels = torso.labels.copy()
        labels[:, :, [first, first + 1]] = labels[:, :, [first + 1, first]]
        found = of_slices(replace(torso, labels=labels))["slices_out_of_order"]
        assert "1 pairs of neighbouring slices fit better in each other's place" in found
        assert f"(from slice {first + 1})" in found

    @pytest.mark.parametrize("kept", [2, 3])
    def test_one_in_a_few_is_labelled(self, torso: Pair, kept: int):
        labels = np.where(np.arange(30) % kept == 0, torso.labels, 0)
        assert of_ends(replace(torso, labels=labels)) == ["slices_missing"]

    def test_an_emptied_slice(self, torso: Pair):
        labels = torso.labels.copy()
        labels[:, :, 12] = 0
        found = of_slices(replace(torso, labels=labels))["slices_out_of_order"]
        assert "1 slices are unlike both neighbours, which are alike (13)" in found

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
    def test_whatever_the_order_of_axes(self, torso: Pair, order: tuple[int, int, int]):
        labels = torso.labels.copy()
        labels[:, :, [14, 15]] = labels[:, :, [15, 14]]
        columns = torso.affine_ras[:, [*order, 3]]
        turned = replace(torso, labels=labels.transpose(order), affine_ras=columns)
        assert "slices_out_of_order" in of_slices(turned)

    @pytest.mark.parametrize("part", [slice(0, 1), slice(-1, None), slice(-3, None)])
    @pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)], ids=["sides", "front", "both"])
    def test_mirrored_at_an_end(self, torso: Pair, part: slice, axes: tuple[int, ...]):
        labels = torso.labels.copy()
        labels[:, :, part] = np.flip(labels[:, :, part], axes)
        found = of_slices(replace(torso, labels=labels))["slices_out_of_order"]
        assert "1 slices follow the mirror image of the one before better" in found

    def test_no_true_map_is_mirrored_however_it_is_cut(self, torso: Pair):
        assert [of_slices(one) for one in [torso, *crops(torso, 10)] if one.labels.any()] == [
            {} for one in [torso, *crops(torso, 10)] if one.labels.any()
        ]


class TestEnds:
    @pytest.mark.parametrize(
        "part", [slice(0, 10), slice(10, 20), slice(20, 30)], ids=["lower", "middle", "upper"]
    )
    def test_a_third_of_the_slices(self, torso: Pair, part: slice):
        labels = np.zeros_like(torso.labels)
        labels[:, :, part] = torso.labels[:, :, part]
        assert of_ends(replace(torso, labels=labels)) == ["mask_incomplete"]

    def test_one_organ_is_a_flag(self, torso: Pair):
        labels = torso.labels.copy()
        upper = labels[:, :, 12:]
        upper[upper == NUMBER["spleen"]] = 0
        assert of_ends(replace(torso, labels=labels)) == ["spleen_cut_inside"]

    def test_where_the_image_ends_too_it_is_the_field_of_view(self, torso: Pair):
        padded = [
            np.pad(one, ((0, 0), (0, 0), (3, 3)), constant_values=fill)
            for one, fill in ((torso.labels, 0), (torso.image_hu, -1024))
        ]
        assert of_ends(replace(torso, labels=padded[0], image_hu=padded[1])) == []


class TestMovedOrgans:
    @pytest.mark.parametrize("mm", [-9, 9, 15, 21])
    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_the_place_is_found(self, torso: Pair, axis: int, mm: int):
        for name in ("spleen", "kidney_right", "vertebrae_L1"):
            moved = moved_alone(torso, name, axis, mm)
            box = look_box(moved, NUMBER[name])
            told = load_expected().placed(name)
            assert told is not None
            found = place(
                moved.labels, moved.image_hu, moved.affine_ras, NUMBER[name], box, told.by
            )
            assert found is not None
            assert found.gain > told.flag
            assert found.moved_mm[axis] == pytest.approx(mm, abs=3.1)

    def test_a_moved_organ_sets_the_label_map_aside(self, torso: Pair):
        faults, _ = seen(moved_alone(torso, "spleen", 0, 15))
        assert "organ_moved" in faults
        assert "it lies +15 mm to the right" in faults["organ_moved"]

    def test_one_whose_place_is_less_clear_is_flagged(self, torso: Pair):
        assert seen(moved_alone(torso, "gallbladder", 2, -9)) == (
            {},
            {"gallbladder_organ_off_place"},
        )

    @pytest.mark.parametrize("name", ["stomach", "pancreas"])
    @pytest.mark.parametrize(("axis", "mm"), [(0, 15), (1, -9), (2, 9)])
    def test_so_are_stomach_and_pancreas(self, torso: Pair, name: str, axis: int, mm: int):
        _, flags = seen(moved_alone(torso, name, axis, mm))
        assert f"{name}_organ_off_place" in flags

    @pytest.mark.parametrize("name", ["stomach", "pancreas"])
    def test_none_is_told_where_it_is_cut(self, torso: Pair, name: str):
        inside = np.argwhere(torso.labels == NUMBER[name])
        first, last = np.maximum(inside.min(axis=0) - 4, 0), inside.max(axis=0) + 5
        near = cropped(torso, [slice(int(a), int(b)) for a, b in zip(first, last, strict=True)])
        told = [seen(one)[1] for one in [near, *crops(near, 4, seed=1)] if one.labels.any()]
        assert f"{name}_organ_off_place" not in set().union(*told)

    @pytest.mark.parametrize("name", ["spleen", "pancreas", "stomach", "rib_left_9"])
    def test_the_layout_in_memory_changes_nothing(self, torso: Pair, name: str):
        moved, value = moved_alone(torso, name, 0, 15), NUMBER[name]
        box, told = look_box(moved, value), load_expected().placed(name)
        assert told is not None
        found = {
            place(lay(moved.labels), lay(moved.image_hu), moved.affine_ras, value, box, told.by)
            for lay in (np.ascontiguousarray, np.asfortranarray)
        }
        assert len(found) == 1
        assert None not in found


class TestNeighboursExchanged:
    @pytest.mark.parametrize(
        "pair",
        [
            ("rib_left_7", "rib_left_8"),
            ("rib_right_9", "rib_right_10"),
            ("rib_left_9", "rib_right_9"),
            ("lung_upper_lobe_left", "lung_lower_lobe_left"),
            ("adrenal_gland_left", "adrenal_gland_right"),
            ("kidney_left", "kidney_right"),
            ("vertebrae_L1", "vertebrae_L2"),
        ],
    )
    def test_by_the_names_of_their_files(self, torso: Pair, pair: tuple[str, str]):
        one, other = (NUMBER[name] for name in pair)
        faults, _ = seen(renamed(torso, {one: other, other: one}))
        assert "class_misplaced" in faults

    @pytest.mark.parametrize(
        ("pair", "flag"),
        [
            (("rib_left_12", "rib_right_12"), "order_unusual"),
            (("vertebrae_T11", "vertebrae_T12"), "order_unusual"),
            (("rib_left_11", "rib_left_12"), "rib_left_11_size_order"),
        ],
    )
    def test_of_a_few_voxels_they_are_a_flag(self, torso: Pair, pair: tuple[str, str], flag: str):
        one, other = (NUMBER[name] for name in pair)
        faults, flags = seen(renamed(torso, {one: other, other: one}))
        assert faults == {}
        assert flag in flags


def test_a_true_mask_and_its_cuts_are_not_taken_for_any_of_these(torso: Pair):
    for pair in (torso, *crops(torso, 4, seed=8)):
        assert of_slices(pair) == {}
        assert "mask_incomplete" not in of_ends(pair)


def moved_alone(pair: Pair, name: str, axis: int, mm: int) -> Pair:
    """The label map with one class moved over the others."""
    alone = replace(pair, labels=(pair.labels == NUMBER[name]).astype(np.uint8))
    moved = shifted(alone, axis, mm).labels > 0
    rest = np.where(alone.labels > 0, 0, pair.labels)
    return replace(pair, labels=np.where(moved, NUMBER[name], rest).astype(np.uint8))


def look_box(pair: Pair, value: int) -> tuple[int, ...]:
    places = np.argwhere(pair.labels == value)
    return (*map(int, places.min(axis=0)), *map(int, places.max(axis=0) + 1))
