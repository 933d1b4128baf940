from __future__ import annotations

import tracemalloc
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvlm_data.errors import ConfigError
from fvlm_data.segment import merge_labels
from fvlm_data.segment.library_classes import recorded_classes
from fvlm_data.vocabulary import Vocabulary

EN = Vocabulary.load()

TRAINED = [
    "adrenal_gland",
    "aorta",
    "bladder",
    "colon",
    "esophagus",
    "gallbladder",
    "heart",
    "kidney",
    "liver",
    "lung",
    "pancreas",
    "portal_vein",
    "sacrum",
    "small_intestine",
    "spleen",
    "stomach",
]


@pytest.mark.parametrize("system", ["totalsegmentator_v1", "totalsegmentator_v2", "phantom"])
def test_all_trained_anatomies_have_classes(system: str):
    assert set(TRAINED) <= set(EN.classes_of(system))


@pytest.mark.parametrize("system", ["totalsegmentator_v1", "totalsegmentator_v2"])
def test_every_class_named_in_the_vocabulary_exists_in_the_library(system: str):
    names = set(recorded_classes(system).values())
    used = {name for classes in EN.classes_of(system).values() for name in classes}
    assert used <= names
    assert names - used <= {"spinal_cord"}


def test_heart_of_both_versions():
    assert EN.classes_of("totalsegmentator_v2")["heart"] == (
        "heart",
        "atrial_appendage_left",
    )
    assert "heart_myocardium" in EN.classes_of("totalsegmentator_v1")["heart"]


def test_v1_and_v2_label_maps_of_one_scene_give_one_anatomy_map():
    anatomies = ["liver", "heart", "kidney"]
    v1 = np.array([5, 45, 46, 2, 3, 0])
    v2 = np.array([5, 51, 61, 2, 24, 0])
    merged = [
        merge_labels([(labels, recorded_classes(system), system)], anatomies, EN)
        for labels, system in ((v1, "totalsegmentator_v1"), (v2, "totalsegmentator_v2"))
    ]
    for result in merged:
        assert result.tolist() == [1, 2, 2, 3, 3, 0]
        assert result.dtype == np.uint8


def test_precedence_is_the_order_of_the_vocabulary_not_of_maps_or_request():
    lung = np.array([[2, 2, 0, 0]], np.uint8)
    total = np.array([[5, 0, 5, 300]], np.uint16)
    threshold = {1: "body", 2: "lung_left", 3: "lung_right"}
    maps = [
        (lung, threshold, "threshold"),
        (total, recorded_classes("totalsegmentator_v2"), "totalsegmentator_v2"),
    ]
    assert merge_labels(maps, ["lung", "liver"], EN).tolist() == [[2, 1, 2, 0]]
    assert merge_labels(maps[::-1], ["liver", "lung"], EN).tolist() == [[1, 2, 1, 0]]


def test_a_group_yields_to_the_anatomy_within_it():
    labels = np.array([27, 92, 25])
    maps = [(labels, recorded_classes("totalsegmentator_v2"), "totalsegmentator_v2")]
    assert merge_labels(maps, ["bone", "lumbar_vertebra"], EN).tolist() == [2, 1, 1]
    assert merge_labels(maps, ["bone"], EN).tolist() == [1, 1, 1]


@given(st.permutations(TRAINED), st.integers(1, 16), st.randoms())
def test_the_order_asked_for_changes_values_only(order: list[str], count: int, random: Random):
    asked = order[:count]
    classes = recorded_classes("totalsegmentator_v2")
    labels = np.array([random.choice([0, *classes]) for _ in range(50)], np.uint8)
    result = merge_labels([(labels, classes, "totalsegmentator_v2")], asked, EN)
    names = EN.classes_of("totalsegmentator_v2")
    for label, value in zip(labels.tolist(), result.tolist(), strict=True):
        expected = [a for a in asked if label and classes[label] in names[a]]
        assert ([asked[value - 1]] if value else []) == expected


def test_subtasks_of_totalsegmentator_make_no_anatomy():
    maps = [(np.array([1]), {1: "lung"}, "totalsegmentator_task")]
    assert merge_labels(maps, TRAINED, EN).tolist() == [0]


def test_unknown_names_are_refused_with_what_is_known():
    with pytest.raises(
        ConfigError, match="class system mine: not known; known are totalsegmentato"
    ):
        EN.classes_of("mine")
    with pytest.raises(ConfigError, match="found livre; expected"):
        merge_labels([(np.array([1]), {1: "liver"}, "anatomy")], ["livre"], EN)
    with pytest.raises(ConfigError, match="repeated names"):
        merge_labels([(np.array([1]), {1: "liver"}, "anatomy")], ["liver", "liver"], EN)


def test_maps_of_different_shapes_are_refused():
    one = (np.zeros(3, np.uint8), {1: "liver"}, "anatomy")
    with pytest.raises(ValueError, match="one shape"):
        merge_labels([one, (np.zeros(4, np.uint8), {1: "liver"}, "anatomy")], ["liver"], EN)


def test_anatomies_by_their_own_names():
    result = merge_labels([(np.array([7, 9]), {7: "spleen", 9: "colon"}, "anatomy")], TRAINED, EN)
    assert [TRAINED[value - 1] for value in result] == ["spleen", "colon"]
    assert len(EN.imaged) == len(set(EN.imaged))
    assert "anatomy" in EN.systems


def test_merging_takes_hardly_more_memory_than_its_result():
    labels = np.asfortranarray(np.random.default_rng(0).integers(0, 118, (256, 256, 200), np.uint8))
    named = (labels, recorded_classes("totalsegmentator_v2"), "totalsegmentator_v2")
    tracemalloc.start()
    try:
        for maps in ([named], [named, named]):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            merge_labels(maps, list(EN.trained), EN)
            assert tracemalloc.get_traced_memory()[1] - before < 1.2 * labels.nbytes
    finally:
        tracemalloc.stop()


def test_face_and_pulmonary_artery_come_from_the_tasks_of_version_two():
    labels = np.array([[[0, 1, 2]]], np.uint8)
    classes = {1: "face", 2: "pulmonary_artery"}
    total = np.array([[[52, 0, 52]]], np.uint8)
    made = merge_labels(
        [
            (total, recorded_classes("totalsegmentator_v2"), "totalsegmentator_v2"),
            (labels, classes, "totalsegmentator_task"),
        ],
        ["face", "pulmonary_artery", "aorta"],
        EN,
    )
    # where both claim a voxel, the order of the anatomies decides: the aorta stands first
    assert made.ravel().tolist() == [3, 1, 3]
