from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from fvlm_train.data.windows import (
    anatomy_tokens,
    centred_box,
    end_padded,
    intensity,
    padded,
    pooled,
    random_box,
    touches_face,
)

sizes = st.tuples(*[st.integers(1, 4)] * 3)


@settings(deadline=None, max_examples=60)
@given(sizes, st.sampled_from([(1, 1, 1), (2, 4, 3), (4, 2, 2)]), st.integers(0, 2**32 - 1))
def test_tokens_of_an_anatomy_equal_max_pooling_of_its_mask(
    grid: tuple[int, int, int], patch: tuple[int, int, int], seed: int
) -> None:
    shape = [g * p for g, p in zip(grid, patch, strict=True)]
    rng = np.random.default_rng(seed)
    label = (rng.integers(0, 4, shape) * (rng.random(shape) < 0.2)).astype(np.uint8)
    for value in range(1, 4):
        mask = label == value
        wanted = functional.max_pool3d(torch.from_numpy(mask).float()[None, None], patch, patch)
        assert np.array_equal(pooled(mask, patch), wanted[0, 0].numpy() > 0)
        found = np.argwhere(mask) if mask.any() else np.full((1, 3), 2)
        wider = rng.integers(0, 3, 6)
        box = (*(found.min(0) - wider[:3]), *(found.max(0) + 1 + wider[3:]))
        tokens = anatomy_tokens(label, value, tuple(map(int, box)), patch)
        assert np.array_equal(tokens, wanted[0, 0].numpy() > 0)


@pytest.mark.parametrize("outside", [(9, 9, 9, 12, 12, 12), (-8, -8, -8, -2, -2, -2)])
def test_an_anatomy_outside_of_the_crop_has_no_token(outside: tuple[int, ...]) -> None:
    label = np.ones((4, 8, 8), np.uint8)
    assert not anatomy_tokens(label, 1, outside, (2, 4, 4)).any()


def test_one_voxel_on_any_face_touches_it() -> None:
    for axis in range(3):
        for end in (0, -1):
            label = np.zeros((4, 5, 6), np.uint8)
            label[2, 2, 2] = 1
            place = [2, 2, 2]
            place[axis] = end
            label[tuple(place)] = 2
            beside = [index % size for index, size in zip(place, label.shape, strict=True)]
            box = (*beside, *(index + 1 for index in beside))
            assert touches_face(label, 2, box)
            assert not touches_face(label, 1, (2, 2, 2, 3, 3, 3))


def test_a_box_at_the_face_alone_does_not_touch_it() -> None:
    label = np.zeros((4, 5, 6), np.uint8)
    label[2, 2, 2] = 1
    assert not touches_face(label, 1, (-3, 2, 2, 9, 3, 3))


def test_padding_is_symmetric_and_end_padding_is_not() -> None:
    array = np.ones((2, 3, 4), np.int16)
    around = padded(array, (5, 3, 2), -1150)
    assert around.shape == (5, 3, 4)
    assert (around[:, 0, 0] == [-1150, 1, 1, -1150, -1150]).all()
    ended = end_padded(array, (4, 3, 3), 0)
    assert ended.shape == (4, 3, 6)
    assert (ended[:, 0, 0] == [1, 1, 0, 0]).all()


def test_air_is_zero_in_both_stored_types() -> None:
    from_hu = intensity(None, (-1150, 350))
    assert from_hu.air * from_hu.scale + from_hu.offset == pytest.approx(0)
    assert 350 * from_hu.scale + from_hu.offset == pytest.approx(1)
    from_byte = intensity((-1150, 350), (-1150, 350))
    assert (from_byte.air, from_byte.offset) == (0, 0)
    assert 255 * from_byte.scale == pytest.approx(1)
    narrower = intensity((-1150, 350), (-300, 400))
    byte = round((50 + 1150) / 1500 * 255)
    assert byte * narrower.scale + narrower.offset == pytest.approx(0.5, abs=0.01)


@settings(deadline=None)
@given(sizes, st.integers(0, 2**32 - 1))
def test_random_box_stays_inside(crop: tuple[int, int, int], seed: int) -> None:
    shape = (3, 2, 4)
    box = random_box(shape, crop, np.random.default_rng(seed))
    for axis in range(3):
        assert 0 <= box[axis] < box[axis + 3] <= shape[axis]
        assert box[axis + 3] - box[axis] == min(crop[axis], shape[axis])


def test_random_box_reaches_both_ends() -> None:
    rng = np.random.default_rng(0)
    starts = {random_box((6, 4, 4), (4, 4, 4), rng)[0] for _ in range(100)}
    assert starts == {0, 1, 2}


@pytest.mark.parametrize(
    ("first", "last", "window", "expected"),
    [
        (8, 11, 6, (6, 12)),  # centred: (8 + 11) // 2 - 3
        (0, 1, 6, (0, 6)),  # shifted inside
        (18, 19, 6, (14, 20)),
        (3, 17, 6, (3, 18)),  # organ larger than the window: whole organ
        (0, 19, 30, (0, 20)),  # window larger than the volume
    ],
)
def test_evaluation_window_by_hand(
    first: int, last: int, window: int, expected: tuple[int, int]
) -> None:
    mask = np.zeros((20, 3, 3), bool)
    mask[first : last + 1] = True
    box = centred_box(mask, (window, 3, 3))
    assert (box[0], box[3]) == expected


def test_no_window_around_nothing() -> None:
    with pytest.raises(ValueError, match="mask is empty"):
        centred_box(np.zeros((2, 2, 2), bool), (1, 1, 1))
