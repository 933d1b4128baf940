from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fvlm_data.radiomics.config import RadiomicsConfig
from fvlm_data.radiomics.features import prepared, region_features, shares
from fvlm_data.radiomics.grid import box_of, new_box, new_shape, resampled
from fvlm_data.radiomics.regions import is_banded, regions_of
from fvlm_data.radiomics.surface import surface_of
from fvlm_data.vocabulary import Vocabulary

EN = Vocabulary.load()
CONFIG = RadiomicsConfig()


def by_name(found: Any) -> dict[tuple[str, str], Any]:
    assert found is not None
    return {(one.family, one.name): one.value for one in found}


def test_a_linear_field_is_the_same_on_every_grid():
    """So that centres lie where they should: at a shift of half a voxel the values would differ."""
    spacing = (0.8, 0.7, 2.5)
    at = np.moveaxis(np.indices((30, 28, 12)), 0, -1)
    middle = (np.array(at.shape[:3]) - 1) / 2
    field = ((at - middle) * spacing) @ np.array([3.0, -2.0, 1.0])
    found = resampled(field, spacing, 2.0)
    assert found.shape == new_shape((30, 28, 12), spacing, 2.0) == (12, 10, 15)
    new_at = np.moveaxis(np.indices(found.shape), 0, -1)
    expected = ((new_at - (np.array(found.shape) - 1) / 2) * 2.0) @ np.array([3.0, -2.0, 1.0])
    inside = (slice(1, -1),) * 3
    assert found[inside] == pytest.approx(expected[inside], abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(
    corner=st.tuples(*[st.integers(0, 8)] * 3),
    size=st.tuples(*[st.integers(1, 9)] * 3),
    spacing=st.tuples(*[st.floats(0.5, 3.0)] * 3),
    new_mm=st.floats(0.7, 4.0),
)
def test_the_box_on_the_new_grid_holds_the_whole_region(
    corner: Any, size: Any, spacing: Any, new_mm: float
):
    mask = np.zeros((18, 18, 18), np.float32)
    mask[tuple(slice(a, a + b) for a, b in zip(corner, size, strict=True))] = 1
    whole = resampled(mask, spacing, new_mm)
    box = new_box(box_of(mask > 0), mask.shape, spacing, new_mm)
    assert resampled(mask, spacing, new_mm, box) == pytest.approx(whole[box], abs=1e-5)
    whole[box] = 0
    assert not (whole >= 0.5).any()


def test_a_ball_keeps_volume_and_axes_when_it_is_resampled():
    spacing = (0.8, 0.8, 1.5)
    at = (np.moveaxis(np.indices((80, 80, 44)), 0, -1) - (39.5, 39.5, 21.5)) * spacing
    mask = (at**2).sum(-1) <= 24.0**2
    hu = np.where(mask, 60, -900).astype(np.int16)
    found = by_name(region_features(prepared(hu, spacing, CONFIG), mask, CONFIG, banded=False))
    assert found["shape", "volume_mesh"] == pytest.approx(4 / 3 * np.pi * 24**3, rel=0.02)
    # up to half a voxel of either grid more at each end
    assert 48 <= found["shape", "maximum_diameter"] <= 48 + 2 * (1.0 + 0.75)
    assert found["shape", "major_axis_length"] == pytest.approx(48 * 2 / 5**0.5, rel=0.03)
    assert found["shape", "flatness"] == pytest.approx(1, abs=0.02)
    assert ("bands", "consolidation") not in found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**27 - 1))
def test_the_mesh_of_any_mask_is_closed(bits: int):
    """The enclosed volume is the same wherever the mask lies, which of an open mesh it is not."""
    mask = np.array([bits >> n & 1 for n in range(27)], bool).reshape(3, 3, 3)
    here = surface_of(np.pad(mask, ((0, 9), (0, 0), (0, 5))), (1, 2, 3))
    there = surface_of(np.pad(mask, ((9, 0), (0, 0), (5, 0))), (1, 2, 3))
    assert there.volume_mm3 == pytest.approx(here.volume_mm3, abs=1e-6)
    assert here.volume_mm3 <= mask.sum() * 6 + 1e-9


def test_shares_of_bands_are_of_the_voxels_as_they_are_stored():
    hu = np.full((20, 20, 20), -850, np.int16)
    hu[:5] = -600  # a quarter ground glass
    hu[5:7] = 0  # a tenth consolidation
    hu[7, :, :10] = -1000  # a fortieth without tissue
    hu[8, 0, 0], hu[8, 0, 1] = -750, -950  # borders belong to the band that they begin
    mask = np.ones(hu.shape, bool)
    found = by_name(region_features(prepared(hu, (1, 1, 3), CONFIG), mask, CONFIG, banded=True))
    told = {name: value for (family, name), value in found.items() if family == "bands"}
    assert told == {
        "emphysema_like": 0.025,
        "aerated": (8000 - 2000 - 800 - 200 - 1) / 8000,
        "ground_glass": (2000 + 1) / 8000,
        "consolidation": 0.1,
    }
    assert shares(np.array([50, -301]), {"a": (-300, 50)}) == {"a": 0.0}


def test_bins_begin_at_the_lower_end_of_the_range_and_what_lies_outside_is_left_out():
    config = RadiomicsConfig(spacing_mm=None, range_hu=(-100, 100), families=("histogram",))
    hu = np.zeros((10, 10, 10), np.int16)
    hu[:5] = -76  # the first bin, which ends below -75
    hu[5] = 3000
    found = by_name(region_features(prepared(hu, (1, 1, 1), config), hu > -2000, config,
                                    banded=False))  # fmt: skip
    assert found["histogram", "mode"] == 1
    assert found["histogram", "mean"] == pytest.approx((500 * 1 + 400 * 5) / 900)


def test_a_region_of_few_voxels_has_no_features():
    hu = np.zeros((10, 10, 10), np.int16)
    mask = np.zeros(hu.shape, bool)
    mask[4:7, 4:7, 4:7] = True
    assert region_features(prepared(hu, (1, 1, 1), CONFIG), mask, CONFIG, banded=True) is None


def test_a_region_of_one_value_is_defined_where_it_can_be():
    config = RadiomicsConfig(spacing_mm=None)
    hu = np.zeros((6, 6, 6), np.int16)
    found = by_name(region_features(prepared(hu, (1, 1, 1), config), hu == 0, config, banded=True))
    assert found["statistics", "variance"] == 0
    assert found["statistics", "coefficient_of_variation"] is None
    assert found["shape", "centre_of_mass_shift"] is None
    assert found["glcm", "correlation"] == 1
    assert all(value is None or np.isfinite(value) for value in found.values())


def row(
    name: str, value: int, ml: float, task: str = "total", system: str = "totalsegmentator_v2"
) -> dict[str, Any]:
    return {
        "class_system": system, "class_name": name, "class_value": value, "volume_ml": ml,
        "path": f"{task}.nii.gz", "task": task,
    }  # fmt: skip


def test_regions_are_anatomies_lobes_and_lesions():
    masks = [
        row("lung_upper_lobe_left", 10, 900.0),
        row("lung_lower_lobe_right", 14, 800.0),
        row("liver", 5, 1500.0),
        row("liver", 2, 1400.0, "other"),
        row("lung_nodules", 2, 3.0, "nodules", "totalsegmentator_task"),
        row("rib_left_7", 98, 20.0),
    ]
    found = {(one.kind, one.name): (one.path, one.values) for one in regions_of(masks, CONFIG, EN)}
    assert found == {
        ("anatomy", "lung"): ("total.nii.gz", (10, 14)),
        ("anatomy", "liver"): ("total.nii.gz", (5,)),
        ("class", "lung_upper_lobe_left"): ("total.nii.gz", (10,)),
        ("class", "lung_lower_lobe_right"): ("total.nii.gz", (14,)),
        ("class", "lung_nodules"): ("nodules.nii.gz", (2,)),
    }
    kept = regions_of(masks, CONFIG, EN, {"lung"})
    assert [one.name for one in kept] == ["liver", "lung_nodules"]
    assert {one.name for one in regions_of(masks, CONFIG, EN) if is_banded(one, CONFIG)} == {
        "lung", "lung_upper_lobe_left", "lung_lower_lobe_right", "lung_nodules",
    }  # fmt: skip


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="band thin ends at 0, expected above 0"):
        RadiomicsConfig(bands={"thin": (0, 0)})
    with pytest.raises(ValueError, match="expected its lower end first"):
        RadiomicsConfig(range_hu=(100, -100))
