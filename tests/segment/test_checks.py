from __future__ import annotations

import pytest

from fvlm_data.segment.checks import contrast, phase_flags


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
