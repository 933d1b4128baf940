"""Images that begin in the middle: what lies beyond one border goes on at the opposite one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 5
TISSUE_HU = -500
CLIPPED_HU = (-1000, 300)

LEAST_PIXELS = 1000
BORDER_TISSUE = 0.4
"""Size of a border, and share of both that shows tissue: half a body cut along its middle has 0.5
and more, a body that the field of view does not cut none."""

GOES_ON = 0.8
"""Correlation of opposite borders from which one goes on at the other: 0.87 to 0.99 in wrapped
images; cuts through a body reach it where both sides look alike."""

NEARLY, TIMES = 0.95, 4.5
"""And it goes on nearly as well as to the next column: so much, or of what lacks to 1 so many times
(2 to 4 in wrapped images, 7 and more between an arm and the body)."""

SEAM, EMPTY, FOLLOWS = 0.4, 0.02, 0.94
"""A seam: a column of air, or two neighbouring columns with no more in common than this (0.15 at
most where images are wrapped) while columns at the border follow each other so well."""


def check_wrapped(image_zyx: NDArray[np.int16]) -> Fault | None:
    """Catch slices (k, j, i) in HU whose rows or columns begin in the middle: `image_wrapped`.

    Pixel data that are read from a wrong place (half a row too late) show the right half of a body
    on the left and its left half on the right: opposite borders go on in each other, and somewhere
    within there is a seam, where the true borders meet.
    """
    for axis, name in ((2, "columns"), (1, "rows")):
        lines = np.moveaxis(image_zyx, axis, 0)
        seam = _seam(lines) if len(lines) >= FEWEST else None
        if seam is not None:
            return Fault(
                "image_wrapped",
                f"the first and last {name} of the slices go on in each other, and {name} "
                f"{seam} and {seam + 1} of {len(lines)} do not: images begin in their middle, "
                "pixels were read from a wrong place; send the series again",
            )
    return None


def _seam(lines: NDArray[np.int16]) -> int | None:
    """Number (from 1) of the line behind which a seam lies, if the first goes on from the last."""
    first, last = lines[0], lines[-1]
    if (
        first.size < LEAST_PIXELS
        or min(float((border > TISSUE_HU).mean()) for border in (first, last)) < BORDER_TISSUE
    ):
        return None
    around, beside = _alike(_thin(first), _thin(last)), _alike(_thin(first), _thin(lines[1]))
    if around < GOES_ON or (around < NEARLY and 1 - around > TIMES * (1 - beside)):
        return None
    step = max(1, min(lines.shape[1:]) // 64)
    thin = lines[:, ::step, ::step]
    inner = np.arange(1, len(lines) - 2)
    empty = (thin[inner] > TISSUE_HU).mean(axis=(1, 2)) < EMPTY
    if empty.any():
        return int(inner[empty][0]) + 1
    if beside < FOLLOWS:
        return None
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
