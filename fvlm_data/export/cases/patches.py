"""Cubes that a volume is divided into."""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Box = tuple[int, int, int, int, int, int]


def patches(shape: Sequence[int], spacing_mm: Sequence[float], patch_mm: float) -> list[Box]:
    """Boxes (i0, j0, k0, i1, j1, k1; end exclusive) that cover a volume without overlap.

    Along each axis as many as come nearest to `patch_mm`, at least one, of sizes that differ by a
    voxel at most: no rest is left at the end.
    """
    axes = [
        list(_parts(size, size * spacing / patch_mm))
        for size, spacing in zip(shape, spacing_mm, strict=True)
    ]
    return [(i[0], j[0], k[0], i[1], j[1], k[1]) for i, j, k in product(*axes)]


def overlaps(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two boxes share a voxel."""
    return all(one[n] < other[n + 3] and other[n] < one[n + 3] for n in range(3))


def _parts(size: int, wanted: float) -> Iterator[tuple[int, int]]:
    count = min(max(round(wanted), 1), size)
    ends = [round(number * size / count) for number in range(count + 1)]
    yield from pairwise(ends)
