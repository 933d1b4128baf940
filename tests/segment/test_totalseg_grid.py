"""The library's steps on grids, against SciPy on float64 copies, which is what the library does."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from fvlm_data.segment.totalseg_call import Call, TimeLimitError, calling, device_turn
from fvlm_data.segment.totalseg_grid import (
    box_of,
    labels_at,
    put_back,
    resampled,
    third_slices,
    voxels,
)

SIDE = st.integers(2, 23)


@settings(max_examples=60, deadline=None)
@given(st.tuples(SIDE, SIDE, SIDE), st.tuples(SIDE, SIDE, SIDE), st.integers(0, 99))
def test_nearest_voxels_by_axis_are_those_of_the_whole_grid(
    shape: tuple[int, int, int], target: tuple[int, int, int], seed: int
):
    labels = np.random.default_rng(seed).integers(0, 117, shape).astype(np.uint8)
    zoom = np.array(target) / np.array(shape)
    expected = ndimage.zoom(labels.astype(float), zoom, order=0, mode="nearest")
    found = labels_at(nib.Nifti1Image(labels, np.eye(4)), target, np.eye(4))
    np.testing.assert_array_equal(voxels(found), expected)


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(st.floats(0.4, 3), st.floats(0.4, 3), st.floats(0.4, 5)),
    st.floats(0.5, 6),
    st.sampled_from([0, 1]),
)
def test_an_image_in_its_own_type_resamples_as_its_copy_in_float64(
    zooms: tuple[float, float, float], spacing: float, order: int
):
    image_hu = np.random.default_rng(0).integers(-1024, 3071, (9, 11, 13)).astype(np.int16)
    turned = image_hu[::-1, :, ::-1].transpose(1, 0, 2)
    image = nib.Nifti1Image(turned, np.diag([*zooms, 1]))
    zoom = np.array(image.header.get_zooms()) / np.array([spacing] * 3)
    expected = ndimage.zoom(turned.astype(float), zoom, order=order, mode="nearest")
    found = resampled(image, [spacing] * 3, order, np.int32)
    np.testing.assert_array_equal(voxels(found), expected.astype(np.int32))


def test_a_box_with_a_margin_ends_at_the_image_and_goes_back_to_its_place():
    mask = np.zeros((6, 7, 8), np.uint8)
    mask[1, 3:5, 7] = 3
    box = box_of(mask, [2, 1, 1])
    assert box == (slice(0, 4), slice(2, 6), slice(6, 8))
    np.testing.assert_array_equal(put_back(mask[box], box, mask.shape), mask)


@pytest.mark.parametrize("slices", [61, 200, 202, 1201])
def test_three_parts_fill_each_slice_once_with_itself(slices: int):
    here = np.arange(slices)
    whole = np.full(slices, -1)
    for part, filled, of_part in third_slices(slices):
        assert (whole[filled] == -1).all()
        whole[filled] = here[part][of_part]
    np.testing.assert_array_equal(whole, here)


def test_waiting_for_the_device_is_not_held_against_a_volume():
    with calling(Call(ends=float("-inf"))) as late, pytest.raises(TimeLimitError):
        late.check_time()
    with calling(Call(ends=0.0)) as call, device_turn():
        assert call.ends is not None
        assert call.ends >= 0.0
