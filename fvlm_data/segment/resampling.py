"""Label maps on another grid: nearest voxels, where both grids overlap in the body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]

LEAST_INSIDE = 0.5
"""Share of the labelled voxels that must lie inside the volume; less is another body part."""

FOLLOWS = 0.05
"""Voxels by which an axis may drift from the one that it follows over the whole grid."""


def resampled(
    labels: Array, affine_ras: Array, shape: Sequence[int], target_affine_ras: Array
) -> tuple[Array, float] | str:
    """`labels` (a, b, c) at the voxel centres of the grid (i, j, k) of `shape`, or why not.

    Both affines map voxel to RAS mm. Each target voxel takes the value of the nearest voxel, 0
    outside. With it comes the share of the labelled voxels that lie inside the target.
    """
    try:
        to_source = np.linalg.inv(affine_ras) @ target_affine_ras
        to_target = np.linalg.inv(to_source)
    except np.linalg.LinAlgError:
        return "an affine cannot be inverted"
    inside = _share_inside(labels, to_target, shape)
    if inside < LEAST_INSIDE:
        return (
            f"{100 * inside:.0f} % of its labelled voxels lie inside the volume, expected "
            f"{100 * LEAST_INSIDE:.0f} % at least"
        )
    main = np.abs(to_source[:3, :3]).argmax(axis=1)
    off = to_source[:3, :3].copy()
    off[np.arange(3), main] = 0
    if sorted(main.tolist()) == [0, 1, 2] and np.abs(off * (np.array(shape) - 1)).max() < FOLLOWS:
        return _along_axes(labels, to_source, main.tolist(), shape), inside
    return _oblique(labels, to_source, shape), inside


def _share_inside(labels: Array, to_target: Array, shape: Sequence[int]) -> float:
    step = tuple(slice(None, None, max(1, size // 128)) for size in labels.shape)
    places = np.argwhere(labels[step])
    if not len(places):
        return 1.0
    places = places * [part.step for part in step]
    there = places @ to_target[:3, :3].T + to_target[:3, 3]
    within = (there > -0.5) & (there < np.array(shape) - 0.5)
    return float(within.all(axis=1).mean())


def _along_axes(
    labels: Array, to_source: Array, main: Sequence[int], shape: Sequence[int]
) -> Array:
    """Where each axis of the source follows one of the target: three index vectors do."""
    made = np.zeros(shape, labels.dtype, order="F")
    index: list[Array] = [np.empty(0)] * 3
    kept: list[Array] = [np.empty(0)] * 3
    for source, target in enumerate(main):
        at = to_source[source, target] * np.arange(shape[target]) + to_source[source, 3]
        nearest = np.floor(at + 0.5).astype(int)
        kept[target] = np.flatnonzero((nearest >= 0) & (nearest < labels.shape[source]))
        index[source] = nearest[kept[target]]
    turned = labels.transpose(np.argsort(main))
    ordered = [index[main.index(target)] for target in range(3)]
    for place, k in zip(ordered[2], kept[2], strict=True):
        plane = turned[:, :, place][np.ix_(ordered[0], ordered[1])]
        made[:, :, k][np.ix_(kept[0], kept[1])] = plane
    return made


def _oblique(labels: Array, to_source: Array, shape: Sequence[int]) -> Array:
    from scipy import ndimage

    made = np.zeros(shape, labels.dtype, order="F")
    for k in range(shape[2]):
        offset = to_source[:3, 3] + to_source[:3, 2] * k
        matrix = np.concatenate([to_source[:3, :2], np.zeros((3, 1))], axis=1)
        made[:, :, k] = ndimage.affine_transform(
            labels, matrix, offset, (shape[0], shape[1], 1), order=0, mode="grid-constant", cval=0
        )[:, :, 0]
    return made
