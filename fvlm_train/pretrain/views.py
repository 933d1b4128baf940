"""Two views of a sample, drawn from seed, epoch and sample id alone.

Who reads the sample, when, and what lies beside it in its shard changes nothing.
Arrays and boxes are (z, y, x).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_train.data.windows import intensity, padded
from fvlm_train.pretrain.augment import augmented

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.shards.stream import Row, ShardStream
    from fvlm_train.config.pretrain import ViewsConfig
    from fvlm_train.config.section import SizeZYX
    from fvlm_train.data.windows import Box

Array = np.ndarray[Any, Any]
VIEWS = 5
"""Stream of random numbers drawn from the seed; others are those of `data.order` and crops."""


def generator(seed: int, epoch: int, sample_id: str) -> np.random.Generator:
    """The generator of a sample in an epoch."""
    told = hashlib.sha256(sample_id.encode()).digest()[:8]
    return np.random.default_rng([seed, VIEWS, epoch, int.from_bytes(told)])


def boxes(
    shape_zyx: Sequence[int], crop_zyx: SizeZYX, config: ViewsConfig, rng: np.random.Generator
) -> tuple[Box, Box]:
    """The boxes of both views: the second's middle lies near the first's, sizes by the zoom."""
    found: list[Box] = []
    middle: Array | None = None
    for _ in range(2):
        sizes = _sizes(shape_zyx, crop_zyx, config.augmentations.get("zoom", 0.0), rng)
        span = np.array(shape_zyx) - sizes
        if middle is None:
            start = rng.uniform(0, 1, 3) * span
        else:
            reach = config.shift * np.array(crop_zyx)
            start = middle + rng.uniform(-1, 1, 3) * reach - sizes / 2
        start = np.clip(np.rint(start), 0, span).astype(int)
        middle = start + sizes / 2
        z, y, x = (int(one) for one in start)
        dz, dy, dx = (int(one) for one in sizes)
        found.append((z, y, x, z + dz, y + dy, x + dx))
    return found[0], found[1]


def _sizes(
    shape_zyx: Sequence[int], crop_zyx: SizeZYX, zoom: float, rng: np.random.Generator
) -> Array:
    """Size of a box: the crop's times 1 - zoom to 1 + zoom, no more than the sample has."""
    factor = rng.uniform(1 - zoom, 1 + zoom)
    # a slice stays one slice
    wanted = [size if size == 1 else max(1, round(size * factor)) for size in crop_zyx]
    return np.minimum(wanted, shape_zyx)


def two_views(
    stream: ShardStream,
    row: Row,
    crop_zyx: SizeZYX,
    window_hu: tuple[float, float],
    config: ViewsConfig,
    seed: int,
    epoch: int,
) -> Array:
    """Both views (2, z, y, x) of a sample, float32 in [0, 1].

    Raises:
        StoreError: the sample cannot be read.
    """
    rng = generator(seed, epoch, row["sample_id"])
    views = []
    for box in boxes(row["shape_zyx"], crop_zyx, config, rng):
        sample = stream.read(row, box)
        mapping = intensity(sample.hu_window, window_hu)
        scaled = np.clip(sample.image_zyx * np.float32(mapping.scale) + mapping.offset, 0, 1)
        view = _fitted(scaled.astype(np.float32), crop_zyx, row["shape_zyx"])
        views.append(augmented(view, config.augmentations, rng))
    return np.stack(views)


def _fitted(view_zyx: Array, crop_zyx: SizeZYX, shape_zyx: Sequence[int]) -> Array:
    """A box's voxels on the crop's grid: resized where it was zoomed, padded where it is short."""
    from scipy import ndimage

    # an axis that the sample does not fill is padded with air, not drawn out
    wanted = [min(crop, size) for crop, size in zip(crop_zyx, shape_zyx, strict=True)]
    if list(view_zyx.shape) != wanted:
        factors = [new / old for new, old in zip(wanted, view_zyx.shape, strict=True)]
        view_zyx = ndimage.zoom(view_zyx, factors, order=1, mode="nearest", grid_mode=True)
    return padded(view_zyx, crop_zyx, 0)
