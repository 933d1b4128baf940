from __future__ import annotations

from collections.abc import Callable
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.orientations import aff2axcodes

from fvlm_data.segment.grid import from_canonical, reoriented, to_canonical

CODES = [
    "".join(pair[turn] for pair, turn in zip(order, turns, strict=True))
    for order in permutations(("RL", "AP", "SI"))
    for turns in product((0, 1), repeat=3)
]


def oblique(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([0.7, 0.8, 2.5])
    affine[:3, 3] = [-101.3, 55.5, 900.25]
    return affine


def turned(data: np.ndarray, affine: np.ndarray, codes: str) -> tuple[np.ndarray, np.ndarray]:
    import nibabel as nib
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    change = ornt_transform(io_orientation(affine), axcodes2ornt(tuple(codes)))
    image = nib.Nifti1Image(data, affine).as_reoriented(change)
    return np.asarray(image.dataobj), np.asarray(image.affine)


@given(st.sampled_from(CODES), st.sampled_from(CODES), st.floats(-0.4, 0.4))
def test_any_axis_order_comes_back_voxel_for_voxel(mask: str, volume: str, angle: float):
    labels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    target, target_affine = turned(labels, oblique(angle), volume)
    given_labels, given_affine = turned(labels, oblique(angle), mask)
    result = reoriented(given_labels, given_affine, target.shape, target_affine, 0.05)
    np.testing.assert_array_equal(result, target)


@given(st.sampled_from(CODES), st.floats(-0.4, 0.4))
def test_canonical_and_back(codes: str, angle: float):
    data, affine = turned(np.arange(24, dtype=np.uint8).reshape(2, 3, 4), oblique(angle), codes)
    canonical, orientation = to_canonical(data, affine)
    np.testing.assert_array_equal(canonical, turned(data, affine, "RAS")[0])
    np.testing.assert_array_equal(from_canonical(canonical, orientation), data)
    assert aff2axcodes(affine) == tuple(codes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a @ np.diag([1.02, 1, 1, 1]), "corners are up to 0.961 voxels apart"),
        (lambda a: a @ np.diag([2, 1, 1, 1]), "the axes or spacings differ"),
        (lambda a: a + np.array([[0, 0, 0, 0.7], *np.zeros((3, 4))]), "corners are up to 1"),
        (lambda a: a * 0, "cannot be inverted"),
    ],
)
def test_another_grid_is_refused_with_numbers(
    change: Callable[[np.ndarray], np.ndarray], said: str
):
    affine = np.diag([0.7, 0.7, 2.0, 1.0])
    result = reoriented(np.zeros((50, 50, 10), np.uint8), affine, (50, 50, 10), affine, 0.05)
    assert isinstance(result, np.ndarray)
    target = change(affine)
    result = reoriented(np.zeros((50, 50, 10), np.uint8), affine, (50, 50, 10), target, 0.05)
    assert isinstance(result, str)
    assert said in result


def test_a_cropped_mask_is_refused():
    result = reoriented(np.zeros((4, 4, 3), np.uint8), np.eye(4), (4, 4, 4), np.eye(4), 0.05)
    assert isinstance(result, str)
    assert "found shape (4, 4, 3)" in result
    assert "the sizes differ" in result
