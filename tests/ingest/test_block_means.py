"""A copy of a scan that was exported anew has nearly the same block means; another scan has not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from fvlm_data.ingest.volume.block_means import block_means_hu
from fvlm_data.pairing.near_copies import LARGEST_DISTANCE_HU

AFFINE = np.array([[-0.8, 0, 0, 90], [0, -0.8, 0, 90], [0, 0, 2.0, -50], [0, 0, 0, 1]])


def scan(seed: int) -> NDArray[np.int16]:
    """A body with organs at places of its own; axes (k, j, i)."""
    draws = np.random.default_rng(seed)
    z, y, x = np.mgrid[0:50, 0:96, 0:96]
    image = np.where(((x - 48) / 40) ** 2 + ((y - 48) / 30) ** 2 < 1, 40.0, -1000.0)
    for _ in range(12):
        k, j, i = draws.uniform((5, 25, 15), (45, 70, 80))
        radius, hu = draws.uniform(4, 12), draws.uniform(-800, 400)
        image[((z - k) * 2.5) ** 2 + (y - j) ** 2 + (x - i) ** 2 < radius**2 * 4] = hu
    return (image + draws.normal(0, 12, image.shape)).round().astype(np.int16)


def distance(one: Any, other: Any) -> float:
    return float(np.linalg.norm(np.subtract(one, other)))


def turned(image: NDArray[np.int16]) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """The same scan stored RAS, first axis from head to feet."""
    back = np.eye(4)
    back[0, 0] = back[1, 1] = back[2, 2] = -1
    back[:3, 3] = np.array(image.shape[::-1]) - 1
    return image[::-1, ::-1, ::-1], AFFINE @ back


def compressed(image: NDArray[np.int16]) -> NDArray[np.int16]:
    noise = np.random.default_rng(9).normal(0, 6, image.shape)
    return (image + noise).round().astype(np.int16)


def padded(image: NDArray[np.int16]) -> NDArray[np.int16]:
    copy = image.copy()
    copy[:, :12, :12] = -1024
    return copy


COPIES = {
    "lossy": lambda image: (compressed(image), AFFINE),
    "turned": turned,
    "another padding": lambda image: (padded(image), AFFINE),
    "coarser": lambda image: (
        ndimage.zoom(image.astype(float), (1, 0.75, 0.75), order=1, grid_mode=True, mode="nearest")
        .round()
        .astype(np.int16),
        AFFINE @ np.diag([4 / 3, 4 / 3, 1, 1]),
    ),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_lies_near(name: str):
    image = scan(1)
    assert distance(block_means_hu(image, AFFINE), block_means_hu(*COPIES[name](image))) < (
        LARGEST_DISTANCE_HU
    )


def test_another_scan_lies_far():
    means = [block_means_hu(scan(seed), AFFINE) for seed in range(5)]
    apart = [distance(a, b) for n, a in enumerate(means) for b in means[n + 1 :]]
    assert min(apart) > 10 * LARGEST_DISTANCE_HU


def test_blocks_run_along_the_axes_of_the_patient():
    image = np.zeros((8, 8, 8), np.int16)
    image[:2] = 500  # the feet: k grows upwards
    assert block_means_hu(image, AFFINE)[:16] == (500.0,) * 16
    turned_image, affine = turned(image)
    assert block_means_hu(turned_image, affine) == block_means_hu(image, AFFINE)


@pytest.mark.parametrize("shape", [(5, 3, 2), (2, 7, 9), (6, 12, 10)])
def test_the_mean_of_an_even_image_is_its_value(shape: tuple[int, int, int]):
    assert block_means_hu(np.full(shape, 77, np.int16), AFFINE) == (77.0,) * 64
