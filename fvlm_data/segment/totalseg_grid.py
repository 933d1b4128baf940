"""Grids of TotalSegmentator, voxel for voxel as its own steps, without copies in float64.

Each function names the step of TotalSegmentator 2.18 that it equals; a test compares them where
the library is installed. Images are nibabel's, (i, j, k), affines voxel to RAS mm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]

SPLIT_MARGIN = 20
"""Slices that parts of a split image share (nnunet.nnUNet_predict_image)."""


def voxels(image: Any) -> Array:
    """The array of an image as it is, where `get_fdata` would copy it to float64."""
    return np.asanyarray(image.dataobj)


def resampled(image: Any, spacing_mm: Sequence[float], order: int, dtype: Any) -> Any:
    """The image at another spacing, cut to `dtype` (resampling.change_spacing).

    The library interpolates a float64 copy of the image; SciPy reads any type and calculates in
    float64, so the values are the same.
    """
    from nibabel import Nifti1Image
    from scipy import ndimage

    zooms = np.array(image.header.get_zooms())
    wanted = np.array(spacing_mm)
    if np.array_equal(zooms, wanted):
        return image
    zoom = zooms / wanted
    found = ndimage.zoom(voxels(image), zoom, output=np.float64, order=order, mode="nearest")
    affine = np.copy(image.affine)
    affine[:3, :3] = affine[:3, :3] / zoom
    return Nifti1Image(found.astype(dtype), affine)


def labels_at(image: Any, shape: Sequence[int], affine_ras: Array) -> Any:
    """The labels on a grid of `shape`, by nearest voxels (resampling.change_spacing, order 0).

    A nearest voxel is found along each axis by itself: SciPy is asked for three lists of indices,
    not for the whole grid in float64.
    """
    from nibabel import Nifti1Image
    from scipy import ndimage

    labels = voxels(image)
    if labels.shape == tuple(shape):
        return image
    zoom = np.array(shape) / np.array(labels.shape)
    nearest = [
        ndimage.zoom(np.arange(size, dtype=float), by, order=0, mode="nearest").astype(np.intp)
        for size, by in zip(labels.shape, zoom, strict=True)
    ]
    return Nifti1Image(labels[np.ix_(*nearest)].astype(np.uint8, copy=False), affine_ras)


def box_of(mask: Array, margin: Sequence[int]) -> tuple[slice, slice, slice]:
    """The box of what is not 0, with a margin in voxels (cropping.get_bbox_from_mask)."""
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        found = np.flatnonzero(mask.any(axis=others))
        first, last = int(found[0]) - margin[axis], int(found[-1]) + 1 + margin[axis]
        box.append(slice(max(0, first), min(mask.shape[axis], last)))
    return box[0], box[1], box[2]


def margin_of(image: Any, margin_mm: Sequence[float]) -> list[int]:
    """A margin in mm as voxels along each axis (cropping.crop_to_mask)."""
    return [int(one) for one in (np.array(margin_mm) / image.header.get_zooms()).astype(int)]


def cropped(image: Any, box: tuple[slice, slice, slice], dtype: Any) -> Any:
    """The image within a box (cropping.crop_to_bbox_nifti)."""
    from nibabel import Nifti1Image

    affine = np.copy(image.affine)
    affine[:3, 3] = np.dot(affine, np.array([*(one.start for one in box), 1]))[:3]
    return Nifti1Image(voxels(image)[box].astype(dtype), affine)


def put_back(labels: Array, box: tuple[slice, slice, slice], shape: Sequence[int]) -> Array:
    """Labels of a box in an empty map of `shape` (cropping.undo_crop)."""
    whole = np.zeros(shape, np.uint8)
    whole[box] = labels
    return whole


def third_slices(slices: int) -> list[tuple[slice, slice, slice]]:
    """The library's split along z: what of the image each part is, what it fills, what of it."""
    third, margin = slices // 3, SPLIT_MARGIN
    return [
        (slice(0, third + margin), slice(0, third), slice(0, -margin)),
        (
            slice(third + 1 - margin, third * 2 + margin),
            slice(third, third * 2),
            slice(margin - 1, -margin),
        ),
        (slice(third * 2 + 1 - margin, None), slice(third * 2, None), slice(margin - 1, None)),
    ]
