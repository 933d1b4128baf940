"""Embeddings of an anatomy as points of a plane: principal components by singular values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]

SIDE = 900
EDGE = 12
"""Pixels of the longer side of the picture, and of its margin."""


@dataclass(frozen=True, slots=True)
class Map:
    """Points (x, y) in pixels from the left and the top; `shares` of the variance of each axis."""

    points: list[tuple[float, float]]
    width: int
    height: int
    shares: tuple[float, float]


def principal_map(embeddings: Sequence[Sequence[float]]) -> Map:
    """Points of at least three embeddings along the two directions in which they differ most.

    The sign of a direction is chosen so that the largest part of it is positive: the same
    embeddings give the same picture.
    """
    features = np.asarray(embeddings, np.float64)
    centred = features - features.mean(axis=0)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(len(directions)), largest])
    found = centred @ (directions * signs[:, None])[:2].T
    spread = np.ptp(found, axis=0)
    scale = (SIDE - 2 * EDGE) / max(float(spread.max()), 1e-12)
    placed = (found - found.min(axis=0)) * scale + EDGE
    width, height = (round(float(one) * scale) + 2 * EDGE for one in spread)
    total = max(float((values**2).sum()), 1e-24)
    first, second = (float(one) for one in values[:2] ** 2 / total)
    # upwards is what grows, as in any chart
    points = [(round(x, 1), round(height - y, 1)) for x, y in placed.tolist()]
    return Map(points, width, height, (first, second))
