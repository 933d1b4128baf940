"""A volume's grid as DICOM tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pydicom

    from fvlm_data.export.dicom.curated import Volume

Array = np.ndarray[Any, Any]

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])


class Grid(NamedTuple):
    """A volume's grid in mm, LPS: its axes i, j, k are columns, rows, slices.

    `positions` (k, 3) are the centres of each slice's first voxel, `orientation` the directions in
    which columns, then rows count up, `pixel_spacing` the distance of rows, then of columns.
    """

    positions: Array
    orientation: tuple[float, ...]
    pixel_spacing: tuple[float, float]
    slice_mm: float


def grid_of(volume: Volume) -> Grid:
    """The grid that the table's affine gives; ingestion has proved that its axes are orthogonal."""
    affine = RAS_TO_LPS @ np.reshape(volume.affine_ras, (4, 4))[:3]
    steps = affine[:, :3]
    column_mm, row_mm, slice_mm = np.linalg.norm(steps, axis=0).tolist()
    along_columns, along_rows = steps[:, 0] / column_mm, steps[:, 1] / row_mm
    positions = affine[:, 3] + np.arange(volume.shape[2])[:, None] * steps[:, 2]
    orientation = (*along_columns.tolist(), *along_rows.tolist())
    return Grid(positions, orientation, (row_mm, column_mm), slice_mm)


def place(dataset: pydicom.Dataset, volume: Volume, grid: Grid, number: int) -> None:
    """Have an image be slice `number` (from 0) of a volume's grid."""
    dataset.Columns, dataset.Rows = int(volume.shape[0]), int(volume.shape[1])
    dataset.ImagePositionPatient = _decimals(grid.positions[number])
    dataset.ImageOrientationPatient = _decimals(grid.orientation)
    dataset.PixelSpacing = _decimals(grid.pixel_spacing)
    dataset.SliceThickness = dataset.SpacingBetweenSlices = _decimals([grid.slice_mm])[0]


def _decimals(values: Any) -> list[Any]:
    """Decimal strings of at most 16 characters, as near as they can be."""
    from pydicom.valuerep import DSfloat

    return [DSfloat(float(value), auto_format=True) for value in values]
