from __future__ import annotations

import numpy as np
import pytest

from fvlm_data.segment.backend import Segmentation, VolumeImage
from fvlm_data.segment.checks import contrast, mask_rows, phase_flags, volume_check
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
    assert phase_flags(vessels_hu) == flags


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
