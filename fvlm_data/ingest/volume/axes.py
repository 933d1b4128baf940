"""Whether voxels were read with the lengths of axes that they were written with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

BETTER = 0.6
"""Rows are as long as another axis if pixels so far apart differ by so much less."""

LEAST_HU = 20.0
"""Noise and uniform images differ by less at any distance, in the mean of a pixel."""

MOST_HU = 300
NEXT = 2
"""Lengths this close to that of the rows tell nothing: rows then lean, and still follow."""

SAMPLES = 1 << 18


def check_axes(image_zyx: NDArray[np.int16]) -> Fault | None:
    """Catch a volume (k, j, i) in HU whose axes' lengths were exchanged: `axes_exchanged`.

    A pixel is like the one below it. Where rows are read with the length of another axis (Rows and
    Columns exchanged, sizes written in the order of NumPy), pixels below each other come from
    anywhere, and those as far apart in the file as the true rows are long are alike.
    """
    slices, rows, columns = image_zyx.shape
    flat = np.ascontiguousarray(image_zyx).reshape(-1)
    lengths = {one for one in (slices, rows) if abs(one - columns) > NEXT and one < flat.size // 4}
    if not lengths:
        return None
    start = max(0, (flat.size - SAMPLES) // 2)
    as_told = _change(flat, start, columns)
    for length in sorted(lengths):
        found = _change(flat, start, length)
        if as_told - found > LEAST_HU and found < BETTER * as_told:
            return Fault(
                "axes_exchanged",
                f"rows of {columns} pixels do not follow each other, rows of {length} (the length "
                f"of another of the axes, {columns} x {rows} x {slices}) do: sizes stand in the "
                "wrong order in the header; write the file anew from the original",
            )
    return None


def _change(flat: NDArray[np.int16], start: int, distance: int) -> float:
    """Mean change, HU, over so many voxels of a file; edges count as `MOST_HU` at most."""
    end = min(start + SAMPLES, flat.size - distance)
    one = flat[start:end].astype(np.int32)
    other = flat[start + distance : end + distance].astype(np.int32)
    return float(np.minimum(np.abs(one - other), MOST_HU).mean())
