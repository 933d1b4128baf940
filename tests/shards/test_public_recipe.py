"""Equality with the public recipe: MONAI resizes the whole volume, then crops."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from fvlm_data.shards.config import ShardConfig
from fvlm_data.shards.preprocess import planes, prepare
from fvlm_data.shards.target_grid import locate

if TYPE_CHECKING:
    from types import ModuleType

WINDOW_HU = 1500
SIGNS = [(1, 1, 1), (-1, -1, 1), (-1, 1, 1), (1, -1, -1)]


@pytest.fixture(scope="module")
def monai() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's own, at import
        import monai.transforms

    return monai.transforms  # type: ignore[no-any-return]


def scan(shape: tuple[int, int, int], spacing: Any, signs: Any) -> tuple[Any, Any, Any]:
    """Noise with a blob in it, axes i, j, k along LPS times `signs`."""
    rng = np.random.default_rng(sum(shape))
    image = rng.integers(-1100, 300, shape).astype(np.int16)
    label = np.zeros(shape, np.uint8)
    i, j, k = shape
    label[i // 3 : i // 2, j // 3 : j - j // 4, k // 4 : k // 2 + 2] = 1
    label[i // 2 : i - i // 4, j // 4 : j // 2, k // 3 : k - k // 4] = 2
    return (
        image,
        label,
        np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.diag([*(signs * np.array(spacing)), 1]),
    )


def recipe(transforms: Any, image: Any, label: Any, spacing: Any, margins: Any) -> Any:
    """The public recipe on arrays in stored order (i, j, k); HU, not scaled."""
    size = [int(n * s / t) for n, s, t in zip(image.shape, spacing, (1.0, 1.0, 3.0), strict=True)]
    big = transforms.Resize(size, mode="trilinear")(
        torch.from_numpy(image.astype(np.float32))[None]
    )
    small = transforms.Resize(size, mode="nearest")(
        torch.from_numpy(label.astype(np.float32))[None]
    )
    big, small = np.asarray(big)[0], np.asarray(small)[0]
    found = np.argwhere(small)
    low = np.maximum(found.min(axis=0) - margins, 0)
    high = np.minimum(found.max(axis=0) + margins, small.shape)
    part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return big[part], small[part].astype(np.uint8)


def stacked(image: Any, grid: Any, *, antialias: bool) -> Any:
    found = planes(iter([image[grid.source_ijk]]), image.shape, grid, antialias)
    return np.stack([plane for _, plane in sorted(found, key=lambda one: one[0])])


def in_lps(array: Any, signs: Any) -> Any:
    return array[tuple(slice(None, None, s) for s in signs)].transpose(2, 1, 0)


@pytest.mark.parametrize("signs", SIGNS)
@pytest.mark.parametrize(
    ("shape", "spacing"), [((40, 44, 36), (0.7, 0.7, 1.25)), ((37, 41, 30), (0.831, 0.831, 2.1))]
)
def test_reference_reproduces_the_recipe_on_any_grid(
    monai: Any, shape: Any, spacing: Any, signs: Any
):
    image, label, affine = scan(shape, spacing, signs)
    options = ShardConfig(
        anatomies=("liver", "spleen"), grid="reference", margin_slices=2, margin_pixels=3
    )
    ours = prepare(image, label, affine, options)
    assert ours is not None
    theirs, mask = recipe(monai, image, label, spacing, np.array([3, 3, 2]))
    assert np.array_equal(ours.label_zyx, in_lps(mask, signs))
    clipped = np.clip(in_lps(theirs, signs), -1150, 350)
    assert np.abs(ours.image_zyx - clipped).max() <= 1e-3 * WINDOW_HU
    lengths = np.linalg.norm(ours.affine_ras[:3, :3], axis=0)
    counts = [int(n * s / t) for n, s, t in zip(shape, spacing, (1, 1, 3), strict=True)]
    assert np.allclose(lengths, np.array(shape) * spacing / counts)


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((40, 44, 36), (0.5, 0.5, 1.5)), ((40, 44, 36), (1.0, 1.0, 1.0)), ((20, 22, 12), (2, 2, 3))],
)
def test_exact_equals_the_recipe_where_the_grid_divides_evenly(
    monai: Any, shape: Any, spacing: Any
):
    image, label, affine = scan(shape, spacing, (1, 1, 1))
    options = ShardConfig(anatomies=("liver", "spleen"), margin_slices=1, margin_pixels=2)
    grid = locate(label, affine, options)
    assert grid is not None
    ours = stacked(image, grid, antialias=False)
    # the whole resized volume, from which the recipe would crop
    size = [int(n * s / t) for n, s, t in zip(shape, spacing, (1.0, 1.0, 3.0), strict=True)]
    resize = monai.Resize(size, mode="trilinear")
    whole = np.asarray(resize(torch.from_numpy(image.astype(np.float32))[None]))[0].T
    target_mm = np.array([1.0, 1.0, 3.0])
    first_mm = np.diag([-1.0, -1.0, 1.0]) @ grid.affine_ras[:3, 3]
    start = np.rint((first_mm - (target_mm - spacing) / 2) / target_mm).astype(int)[::-1]
    part = tuple(slice(s, s + n) for s, n in zip(start, ours.shape, strict=True))
    assert ours.shape == whole[part].shape
    assert np.abs(ours - whole[part]).max() <= 1e-3 * WINDOW_HU


def test_antialiasing_equals_torch_and_takes_noise_away():
    image, label, affine = scan((48, 52, 39), (0.5, 0.5, 1.0), (1, 1, 1))
    options = ShardConfig(
        anatomies=("liver", "spleen"), margin_slices=99, margin_pixels=99, antialias=True
    )
    grid = locate(label, affine, options)
    assert grid is not None
    ours = stacked(image, grid, antialias=True)
    resize = torch.nn.functional.interpolate
    volume = torch.from_numpy(image.astype(np.float32).T.copy())
    flat = resize(volume[:, None], size=(26, 24), mode="bilinear", antialias=True)
    theirs = resize(
        flat.reshape(1, 1, 39, -1), size=(13, 26 * 24), mode="bilinear", antialias=True
    ).reshape(13, 26, 24)
    assert np.abs(ours - theirs.numpy()).max() <= 1e-3 * WINDOW_HU
    plain = stacked(image, grid, antialias=False)
    assert ours.std() < plain.std() / 2
