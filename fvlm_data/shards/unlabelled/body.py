"""Where the body lies in a CT volume: what is denser than air, in one part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.shards.nifti_slabs import NiftiSlabs

Array = np.ndarray[Any, Any]

COARSE_MM = 4.0
"""Parts are told apart on a grid of about this distance: exact enough for a box, and quick."""


def body_of(voxels: NiftiSlabs, spacing_mm: Sequence[float], above_hu: int | None) -> Array:
    """The body (i, j, k; uint8, 1 where it is): read slab by slab, one byte a voxel is held.

    Voxels above `above_hu` in the box of their largest connected part, so that a table, a cushion
    or a label apart from the patient widens no crop. None: every voxel.

    Raises:
        NiftiError: the file is damaged.
    """
    body = np.ones(voxels.shape, np.uint8, order="F")
    if above_hu is None:
        return body
    for place, slab in voxels.slabs(voxels.slices_at_once()):
        np.greater(slab, above_hu, out=body[:, :, place], casting="unsafe")
    box = _largest_part(body, spacing_mm)
    if box is not None:
        inside = body[box].copy()
        body[:] = 0
        body[box] = inside
    return body


def _largest_part(body: Array, spacing_mm: Sequence[float]) -> tuple[slice, ...] | None:
    """Box of the largest connected part; None where the coarse grid shows none."""
    from scipy import ndimage

    steps = [max(1, int(COARSE_MM / spacing)) for spacing in spacing_mm]
    parts, count = ndimage.label(body[tuple(slice(None, None, step) for step in steps)])
    if not count:
        return None
    largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    (found,) = ndimage.find_objects((parts == largest).astype(np.uint8))
    # the coarse grid may miss what lies less than a step beyond its voxels
    return tuple(
        slice(max(0, (one.start - 1) * step), one.stop * step)
        for one, step in zip(found, steps, strict=True)
    )
