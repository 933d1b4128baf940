"""Parts of one scan whose ImageOrientationPatient differs although their planes are parallel."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.volume.geometry import SliceGeometry

PARALLEL_COSINE = 0.999


def turned_parts(
    parts: Sequence[Sequence[SliceGeometry]], config: IngestConfig
) -> list[tuple[int, int]]:
    """Pairs of parts (by number) of different orientation that together are one even scan.

    Rows or columns that change their direction halfway, or are rounded otherwise, cut a scan into
    halves, each of which is an even grid. Their images lie over each other by their centres, where
    the header is true and begins with another corner, or by their corners, where it is not.
    """
    axes = [_axes(part) for part in parts]
    found = []
    for one, other in combinations(range(len(parts)), 2):
        mine, theirs = axes[one], axes[other]
        if mine is None or theirs is None or not _are_parallel(mine, theirs):
            continue
        if _is_one_scan(parts[one], parts[other], mine, config):
            found.append((one, other))
    return found


def mixed_orientation(sizes: Sequence[int]) -> Fault:
    """The fault of a scan whose parts, of so many slices, have orientations of their own."""
    shown = ", ".join(map(str, sorted(sizes, reverse=True)[:3])) + (
        ", ..." if len(sizes) > 3 else ""
    )
    return Fault(
        "mixed_header",
        f"{sum(sizes)} slices are one even grid, one scan, within which ImageOrientationPatient "
        f"has {len(sizes)} values (on {shown} slices); expected one: correct the headers in the "
        "archive and send the series again",
    )


def _axes(part: Sequence[SliceGeometry]) -> NDArray[np.float64] | None:
    """Unit directions of columns, rows and normal as rows of a 3 x 3 array; None: not stated."""
    orientation = part[0].orientation
    if orientation is None or any(one.position_mm is None for one in part):
        return None
    along = np.array(orientation, dtype=np.float64).reshape(2, 3)
    lengths = np.linalg.norm(along, axis=1)
    if not (lengths > 0).all():
        return None
    along /= lengths[:, None]
    axes: NDArray[np.float64] = np.vstack([along, np.cross(along[0], along[1])])
    return axes


def _are_parallel(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two different pairs of directions span planes that are parallel."""
    cosine = abs(float(one[2] @ other[2]))
    return cosine >= PARALLEL_COSINE and not np.array_equal(one, other)


def _is_one_scan(
    one: Sequence[SliceGeometry],
    other: Sequence[SliceGeometry],
    axes: NDArray[np.float64],
    config: IngestConfig,
) -> bool:
    centres = [np.array([_centre(slice_) for slice_ in part]) @ axes.T for part in (one, other)]
    corners = [np.array([slice_.position_mm for slice_ in part]) @ axes.T for part in (one, other)]
    if min(_apart_mm(centres), _apart_mm(corners)) > _half_field_mm(one[0]):
        return False
    distances = np.diff(np.sort(np.concatenate([part[:, 2] for part in centres])))
    usual = float(np.median(distances))
    allowed = max(config.position_tolerance_mm, config.spacing_tolerance_relative * usual)
    return usual > allowed and float(np.abs(distances - usual).max()) <= 2 * allowed


def _apart_mm(placed: Sequence[NDArray[np.float64]]) -> float:
    """How far two parts, as rows of coordinates in the axes of the first, lie apart sideways."""
    return float(np.abs(placed[0].mean(axis=0) - placed[1].mean(axis=0))[:2].max())


def _centre(one: SliceGeometry) -> NDArray[np.float64]:
    """Patient coordinates (LPS) of the middle of an image, mm."""
    along = np.array(one.orientation, dtype=np.float64).reshape(2, 3)
    # PixelSpacing names rows first; the first direction runs across columns
    between_rows, between_columns = one.pixel_spacing_mm or (0.0, 0.0)
    half = np.array([(one.columns - 1) * between_columns, (one.rows - 1) * between_rows]) / 2
    centre: NDArray[np.float64] = np.array(one.position_mm, dtype=np.float64) + half @ along
    return centre


def _half_field_mm(one: SliceGeometry) -> float:
    between_rows, between_columns = one.pixel_spacing_mm or (1.0, 1.0)
    return max(one.rows * between_rows, one.columns * between_columns) / 2
