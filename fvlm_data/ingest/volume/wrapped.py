"""Images that begin in the middle: what lies beyond one border goes on at the opposite one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

TISSUE_HU = -500
CLIPPED_HU = (-1000, 300)

BORDER_TISSUE = 0.1
"""Share of both borders that shows tissue: a body that the field of view does not cut has none."""

GOES_ON = 0.8
"""Correlation of opposite borders from which one goes on at the other: 0.87 to 0.99 in wrapped
images; cuts through a body reach it where both sides look alike."""

SEAM, EMPTY = 0.6, 0.02
"""A seam: two neighbouring columns that have no more in common than this (0.9 in true images), or a
column of air."""


def check_wrapped(image_zyx: NDArray[np.int16]) -> Fault | None:
    """Catch slices (k, j, i) in HU whose rows or columns begin in the middle: `image_wrapped`.

    Pixel data that are read from a wrong place (half a row too late) show the right half of a body
    on the left and its left half on the right: opposite borders go on in each other, and somewhere
    within there is a seam, where the true borders meet.
    """
    for axis, name in ((2, "columns"), (1, "rows")):
        lines = np.moveaxis(image_zyx, axis, 0)
        if len(lines) < 4 or not _go_on(lines[0], lines[-1]):
            continue
        seam = _seam(lines)
        if seam is not None:
            return Fault(
                "image_wrapped",
                f"the first and last {name} of the slices go on in each other, and {name} "
                f"{seam} and {seam + 1} of {len(lines)} do not: images begin in their middle, "
                "pixels were read from a wrong place; send the series again",
            )
    return None


def _go_on(first: NDArray[np.int16], last: NDArray[np.int16]) -> bool:
    shares = [float((border > TISSUE_HU).mean()) for border in (first, last)]
    return min(shares) >= BORDER_TISSUE and _alike(_thin(first), _thin(last)) >= GOES_ON


def _seam(lines: NDArray[np.int16]) -> int | None:
    """Number of the line (counted from 1) behind which a seam lies, if there is one."""
    step = max(1, min(lines.shape[1:]) // 64)
    thin = lines[:, ::step, ::step]
    empty = (thin > TISSUE_HU).mean(axis=(1, 2)) < EMPTY
    inner = np.arange(1, len(lines) - 2)
    if empty[inner].any():
        return int(inner[empty[inner]][0]) + 1
    alike = [_alike(_thin(thin[n]), _thin(thin[n + 1])) for n in inner.tolist()]
    worst = int(np.argmin(alike))
    return int(inner[worst]) + 1 if alike[worst] < SEAM else None


def _thin(border: NDArray[np.int16]) -> NDArray[Any]:
    return np.clip(border, *CLIPPED_HU).ravel().astype(np.float64)


def _alike(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Correlation of two borders; 0 where one is even."""
    if not (one.std() > 0 and other.std() > 0):
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
