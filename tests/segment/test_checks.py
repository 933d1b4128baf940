from __future__ import annotations

import numpy as np
import pytest

from fvlm_data.segment.backend import Segmentation, VolumeImage
from fvlm_data.segment.checks import mask_rows, volume_check
from fvlm_data.segment.header_check import header_remarks
from fvlm_data.segment.phase import Phase, contrast, phase_flags, phase_of
from fvlm_data.vocabulary import Vocabulary

EN = Vocabulary.load()


@pytest.mark.parametrize(
    ("vessels_hu", "told", "flags"),
    [
        ({"aorta": 320.0, "portal_vein": 90.0}, "enhanced", {"phase_arterial"}),
        ({"aorta": 150.0, "portal_vein": 170.0}, "enhanced", {"phase_portal_venous"}),
        ({"aorta": 105.0, "portal_vein": 95.0}, "enhanced", set()),
        ({"aorta": 320.0}, "enhanced", set()),
        ({"portal_vein": 170.0}, "enhanced", set()),
        ({"aorta": 40.0, "portal_vein": 45.0}, "unenhanced", set()),
        ({"portal_vein": 45.0}, "unknown", set()),
        ({"aorta": 85.0, "portal_vein": 80.0}, "unknown", set()),
        ({}, "unknown", set()),
    ],
)
def test_contrast_and_phase_from_the_blood_in_two_vessels(
    vessels_hu: dict[str, float], told: str, flags: set[str]
):
    assert contrast(vessels_hu) == told
    assert phase_flags(vessels_hu, phase_of(vessels_hu, None)) == flags


@pytest.mark.parametrize(
    ("vessels_hu", "urine_hu", "name", "least", "most"),
    [
        ({"aorta": 320.0, "portal_vein": 90.0}, 220.0, "arterial", 1.0, 1.0),
        ({"aorta": 158.0, "portal_vein": 105.0}, 180.0, "arterial", 0.5, 0.55),
        ({"aorta": 151.0, "portal_vein": 133.0}, None, "portal_venous", 0.7, 0.71),
        ({"aorta": 110.0, "portal_vein": 115.0}, 900.0, "delayed", 0.99, 1.0),
        ({"aorta": 380.0}, None, "arterial", 0.7, 0.75),
        ({"aorta": 150.0}, None, "unknown", 0.0, 0.0),
        ({"aorta": 40.0, "portal_vein": 38.0}, 30.0, "unenhanced", 0.9, 1.0),
        ({"aorta": 40.0}, 800.0, "unknown", 0.0, 0.0),  # given hours ago
        ({"portal_vein": 170.0}, None, "unknown", 0.0, 0.0),
        ({}, None, "unknown", 0.0, 0.0),
    ],
)
def test_phase_says_how_sure_it_is(
    vessels_hu: dict[str, float], urine_hu: float | None, name: str, least: float, most: float
):
    told = phase_of(vessels_hu, urine_hu)
    assert told.name == name
    assert least <= told.confidence <= most


PORTAL = Phase("portal_venous", 0.9)


@pytest.mark.parametrize(
    ("region", "phase", "header", "flags"),
    [
        ("chest", PORTAL, ("ABDOMEN", "yes"), ["region_header_differs"]),
        ("chest+abdomen", PORTAL, ("ABDOMEN", "portal_venous"), []),
        ("abdomen", PORTAL, ("CHESTABDPELVIS", "delayed"), []),
        ("abdomen", PORTAL, ("WHOLEBODY", "arterial"), ["contrast_header_differs"]),
        ("abdomen", Phase("portal_venous", 0.6), (None, "arterial"), []),
        ("abdomen", PORTAL, (None, "no"), ["contrast_header_differs"]),
        ("unknown", PORTAL, ("CHEST", None), []),
    ],
)
def test_a_header_that_the_image_contradicts_is_told(
    region: str, phase: Phase, header: tuple[str | None, str | None], flags: list[str]
):
    found = header_remarks(region, phase, "enhanced", *header)
    assert [remark.flag for remark in found] == flags
    assert all(remark.code == "header_differs" for remark in found)


@pytest.mark.parametrize("said", ["yes", "arterial", "portal_venous"])
def test_contrast_medium_that_is_not_there_is_told(said: str):
    phase = Phase("unenhanced", 0.9)
    assert header_remarks("abdomen", phase, "unenhanced", None, said)
    assert not header_remarks("abdomen", phase, "unenhanced", None, "no")


@pytest.mark.parametrize(
    ("system", "classes", "searched"),
    [
        ("totalsegmentator_v2", {5: "liver", 1: "spleen"}, ("liver", "spleen")),
        ("totalsegmentator_v2", {5: "liver", 2: "kidney_right"}, ("kidney", "liver")),
        ("anatomy", {5: "liver", 1: "heart", 2: "aorta"}, ("aorta", "heart", "liver")),
        ("threshold", {5: "lung_left", 6: "body"}, ("lung",)),
        ("totalsegmentator_task", {5: "lung_nodule"}, ()),
    ],
)
def test_what_was_searched_hangs_on_the_declared_classes(
    system: str, classes: dict[int, str], searched: tuple[str, ...]
):
    labels = np.full((4, 4, 4), 5, np.uint8)
    volume = VolumeImage("v_1", np.zeros(labels.shape, np.int16), np.eye(4))
    made = Segmentation(labels, classes, system)
    rows = mask_rows(volume, made, "total", "p", "b", "1")
    assert volume_check(volume, made, rows, EN).searched == searched
