"""Gantry tilt: slices are moved within their own planes until the stack has right angles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.geometry import WHOLE_VOXEL
from fvlm_data.ingest.volume.hounsfield import AIR_HU

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fvlm_data.ingest.volume.geometry import Grid


def shear(image_zyx: NDArray[np.int16], grid: Grid) -> NDArray[np.int16]:
    """Slices (k, j, i) in HU, ordered as the grid's, on the grid with right angles.

    Values are interpolated linearly within each slice, never between slices; voxels that a
    slice does not cover become air.
    """
    columns, rows, slices = grid.shape
    out = np.full((slices, rows, columns), AIR_HU, np.int16)
    for number, (along_i, along_j) in enumerate(grid.offsets_voxels):
        # a shift along i and j separates into two passes of linear interpolation
        plane = _shifted(image_zyx[number].astype(np.float64), along_i, columns)
        plane = _shifted(plane.T, along_j, rows).T
        covered = np.isfinite(plane)
        out[number][covered] = np.rint(plane[covered]).astype(np.int16)
    return out


def _shifted(lines: NDArray[np.float64], offset: float, length: int) -> NDArray[np.float64]:
    """Lines (any, length) moved by `offset` voxels along the last axis; NaN where not covered."""
    whole, part = math.floor(offset + WHOLE_VOXEL), offset - math.floor(offset + WHOLE_VOXEL)
    size = lines.shape[1]
    out = np.full((lines.shape[0], length), np.nan)
    if part < WHOLE_VOXEL:
        out[:, whole : whole + size] = lines
    else:
        # one voxel fewer than the line: beyond its ends there is nothing to interpolate with
        between = lines[:, :-1] * part + lines[:, 1:] * (1 - part)
        out[:, whole + 1 : whole + size] = between
    return out
