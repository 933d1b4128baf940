"""Pairs of neighbouring voxels in 3D: what all matrices of texture are made from."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = np.ndarray[Any, Any]
Step = tuple[int, int, int]

DIRECTIONS: tuple[Step, ...] = tuple(
    (i, j, k) for i, j, k in product((-1, 0, 1), repeat=3) if (i, j, k) > (0, 0, 0)
)
"""The 13 directions to neighbours at Chebyshev distance 1, one of each opposite pair."""


def padded(levels: Array) -> Array:
    """Levels (i, j, k) with a border of 0, which is outside of the region, all around."""
    return np.pad(levels, 1)


def pairs(bordered: Array) -> Iterator[tuple[Array, Array]]:
    """For each direction the flat places of voxels and neighbours that both lie in the region."""
    flat = bordered.ravel()
    inside = np.flatnonzero(flat)
    for step in DIRECTIONS:
        there = inside + offset(step, bordered.shape)
        both = flat[there] > 0
        yield inside[both], there[both]


def offset(step: Step, shape: tuple[int, ...]) -> int:
    """Distance of a neighbour in the flat array."""
    return int(step[0] * shape[1] * shape[2] + step[1] * shape[2] + step[2])
