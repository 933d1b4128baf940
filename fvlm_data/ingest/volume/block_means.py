"""A fingerprint of a volume that survives a re-export: means of its 64 blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.geometry import axis_codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCKS = 4
"""Blocks along each axis."""

LEAST_HU, MOST_HU = -1000, 1000
"""Values are clipped: what lies outside the field of view, and metal, differ between exports."""

TARGET = "LPS"


def block_means_hu(
    image_zyx: NDArray[np.int16], affine_ras: NDArray[np.float64]
) -> tuple[float, ...]:
    """Mean HU of 4 x 4 x 4 blocks, from right, front and foot; along the patient's axes.

    `image_zyx` is int16 HU, axes (k, j, i); `affine_ras` is 4 x 4, voxel (i, j, k, 1) to RAS+ mm.
    A mean over thousands of voxels hardly changes with lossy compression, rounding, another
    order of axes or a resampling, and differs by tens of HU between two scans of one patient.
    """
    view = _upright(image_zyx, affine_ras)
    weights = [_weights(size) for size in view.shape]
    sums = np.zeros((BLOCKS, BLOCKS, BLOCKS))
    # a slice at a time: a clipped copy of the whole would double the memory
    for number, part in enumerate(view):
        blocks = weights[1] @ part.clip(LEAST_HU, MOST_HU).astype(np.float64) @ weights[2].T
        sums += weights[0][:, number, None, None] * blocks
    voxels = np.einsum("i,j,k->ijk", *(one.sum(axis=1) for one in weights))
    return tuple(round(float(value), 2) for value in (sums / voxels).ravel())


def _weights(size: int) -> NDArray[np.float64]:
    """How much of each of `size` voxels lies in each block, 4 x `size`.

    A block's border may cut a voxel: else borders would move with a resampling. In parts of 1/256,
    so that all sums are exact in float64 and the same in whatever order they are made.
    """
    edges = np.arange(BLOCKS + 1) * size / BLOCKS
    first = np.arange(size)
    overlap = np.minimum(edges[1:, None], first + 1) - np.maximum(edges[:-1, None], first)
    weights: NDArray[np.float64] = np.round(overlap.clip(0) * 256) / 256
    return weights


def _upright(image_zyx: NDArray[np.int16], affine_ras: NDArray[np.float64]) -> NDArray[np.int16]:
    """A view with axes (S, P, L), whatever the order and direction of the stored ones."""
    codes = axis_codes(affine_ras)
    pairs = ("LR", "PA", "IS")
    image = image_zyx.transpose(2, 1, 0)
    order = [next(n for n, code in enumerate(codes) if code in pair) for pair in pairs]
    steps = tuple(
        slice(None, None, 1 if codes[axis] == letter else -1)
        for axis, letter in zip(order, TARGET, strict=True)
    )
    return image.transpose(order)[steps].transpose(2, 1, 0)
