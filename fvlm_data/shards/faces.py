"""Faces in samples: made air, refused, or kept, by `shard.faces`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.shards.preprocess import PreparedSample

    Maps = Sequence[tuple[np.ndarray[Any, Any], Mapping[int, str], str]]

Array = np.ndarray[Any, Any]

FACE = frozenset({"face"})
HEAD = FACE | {"brain", "skull", "eye_left", "eye_right", "mandible", "teeth_lower", "teeth_upper"}
"""Classes (of TotalSegmentator's tasks) that only a head shows."""

HEAD_REGIONS = frozenset(
    {"HEAD", "BRAIN", "SKULL", "FACE", "ORBIT", "EYE", "EAR", "SINUS", "MAXILLA", "MANDIBLE"}
    | {"HEADNECK"}
)
"""Terms of BodyPartExamined that say the same where no mask does."""

RIM_MM = 3.0
AIR_HU = -1024


def class_mask(maps: Maps, names: frozenset[str]) -> Array | None:
    """Voxels (i, j, k) of the named classes in any of the label maps; None: there are none."""
    found: Array | None = None
    for labels, classes, _ in maps:
        values = [value for value, name in classes.items() if name in names]
        if values:
            mine = np.isin(labels, values)
            found = mine if found is None else found | mine
    return found if found is not None and found.any() else None


def rim(face_ijk: Array, spacing_mm: Sequence[float]) -> Array:
    """The face and `RIM_MM` around it, bool (i, j, k).

    The class ends at the skin; the rim takes the blurred skin surface with it.
    """
    from scipy import ndimage

    steps = [int(np.ceil(RIM_MM / spacing)) for spacing in spacing_mm]
    box = ndimage.find_objects(face_ijk.astype(np.uint8))[0]
    around = tuple(
        slice(max(0, one.start - step), one.stop + step)
        for one, step in zip(box, steps, strict=True)
    )
    removed = np.zeros(face_ijk.shape, bool)
    # in its box only: the transform of a whole volume is slow, and its result would be the same
    distance = ndimage.distance_transform_edt(~face_ijk[around], sampling=spacing_mm)
    removed[around] = distance <= RIM_MM
    return removed


def without(removed_ijk: Array, slabs: Iterator[Array]) -> Iterator[Array]:
    """Slabs along k of an image (HU) with the voxels of `removed_ijk` made air."""
    start = 0
    for slab in slabs:
        stop = start + slab.shape[2]
        yield np.where(removed_ijk[:, :, start:stop], slab.dtype.type(AIR_HU), slab)
        start = stop


def within(mask_ijk: Array, affine_ras: Array, prepared: PreparedSample) -> bool:
    """Whether a voxel of the mask lies in the part of the volume that the sample keeps.

    The sample's axes are those of the volume, exchanged and turned, so that its part is a box.
    """
    # outer corners, half a voxel beyond the outermost centres
    corners_xyz = np.array(list(np.ndindex(2, 2, 2))) * prepared.image_zyx.shape[::-1] - 0.5
    homogeneous = np.column_stack([corners_xyz, np.ones(8)])
    ijk = np.linalg.solve(affine_ras, prepared.affine_ras @ homogeneous.T)[:3]
    low = np.maximum(np.floor(ijk.min(axis=1) + 0.5), 0).astype(int)
    high = np.ceil(ijk.max(axis=1) + 0.5).astype(int)
    part = tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))
    return bool(mask_ijk[part].any())
