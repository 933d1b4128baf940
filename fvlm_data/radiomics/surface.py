"""The surface of a mask: a mesh by marching cubes, of which only area and volume are kept.

For a binary mask all vertices lie in the middle between two voxels, so that a cube of eight voxels
has one of 256 forms. The forms are worked out here, once: on each face of a cube the edges that are
cut are joined so that voxels of the mask which touch at a corner only are apart (Lorensen and
Cline, SIGGRAPH 1987, with the ambiguous faces of one kind, so that the mesh is closed).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Array = np.ndarray[Any, Any]
Point = tuple[float, float, float]

Corner = tuple[int, int, int]

CORNERS: tuple[Corner, ...] = tuple((i, j, k) for i, j, k in product((0, 1), repeat=3))


@dataclass(frozen=True, slots=True)
class Surface:
    """Area, mm2, and the volume that it encloses, mm3, of a mask's mesh."""

    area_mm2: float
    volume_mm3: float


def surface_of(mask: Array, spacing_mm: Sequence[float]) -> Surface:
    """The surface of a bool mask (i, j, k)."""
    forms = _forms_of(np.pad(mask, 1))
    steps = np.asarray(spacing_mm, float)
    area, volume = 0.0, 0.0
    flat = forms.ravel()
    counts = np.bincount(flat, minlength=256)
    # sums of the places of the cubes of each form, by axis
    places = [
        np.bincount(flat, np.broadcast_to(_along(axis, forms.shape), forms.shape).ravel(), 256)
        for axis in range(3)
    ]
    for form in np.flatnonzero(counts):
        for triangle in _triangles()[form]:
            a, b, c = (np.array(point) * steps for point in triangle)
            normal = np.cross(b - a, c - a)
            area += counts[form] * float(np.linalg.norm(normal)) / 2
            moved = np.array([place[form] for place in places]) * steps
            volume += float((moved + counts[form] * a) @ normal) / 6
    return Surface(area, abs(volume))


def vertices_of(mask: Array, spacing_mm: Sequence[float]) -> Array:
    """Vertices (n, 3), mm, of the surface of a bool mask (i, j, k), without order."""
    padded = np.pad(mask, 1)
    found = []
    for axis in range(3):
        ahead = np.diff(padded.astype(np.int8), axis=axis) != 0
        half = np.zeros(3)
        half[axis] = 0.5
        found.append((np.argwhere(ahead) + half) * np.asarray(spacing_mm, float))
    return np.concatenate(found)


def _along(axis: int, shape: tuple[int, ...]) -> Array:
    size = [1, 1, 1]
    size[axis] = shape[axis]
    return np.arange(shape[axis], dtype=np.float64).reshape(size)


def _forms_of(padded: Array) -> Array:
    """Form uint8 of each cube of eight voxels: bit n is corner n."""
    size = [length - 1 for length in padded.shape]
    forms = np.zeros(size, np.uint8)
    for bit, corner in enumerate(CORNERS):
        part = tuple(slice(at, at + length) for at, length in zip(corner, size, strict=True))
        forms |= padded[part].astype(np.uint8) * np.uint8(1 << bit)
    return forms


@cache
def _triangles() -> tuple[tuple[tuple[Point, Point, Point], ...], ...]:
    """Triangles of each form, which look outwards all alike."""
    return tuple(tuple(_of_form(form)) for form in range(256))


def _of_form(form: int) -> Iterator[tuple[Point, Point, Point]]:
    inside = {corner for bit, corner in enumerate(CORNERS) if form >> bit & 1}
    following: dict[Point, Point] = {}
    for face in _faces():
        following.update(_segments(face, inside))
    while following:
        start, at = following.popitem()
        loop = [start]
        while at != start:
            loop.append(at)
            at = following.pop(at)
        yield from _fan(loop)


def _fan(loop: Sequence[Point]) -> list[tuple[Point, Point, Point]]:
    """Triangles of a loop, of those fans the one with the greatest area.

    A loop of more than three vertices is not flat, and each way of cutting it encloses another
    volume. The usual tables do not say by which rule they cut; this one meets the IBSI's values.
    """
    fans = []
    for start in range(len(loop)):
        turned = [*loop[start:], *loop[:start]]
        fans.append([(turned[0], turned[n], turned[n + 1]) for n in range(1, len(loop) - 1)])
    return max(fans, key=lambda fan: round(sum(map(_area, fan)), 9))


def _area(triangle: tuple[Point, Point, Point]) -> float:
    a, b, c = map(np.array, triangle)
    return float(np.linalg.norm(np.cross(b - a, c - a)) / 2)


def _faces() -> Iterator[tuple[Corner, ...]]:
    """Corners of each face, in order about its normal that looks out of the cube."""
    for axis, side in product(range(3), (0, 1)):
        u, v = [(1, 2), (2, 0), (0, 1)][axis]
        around = ((0, 0), (1, 0), (1, 1), (0, 1))
        corners = []
        for at_u, at_v in around if side else around[::-1]:
            corner = [0, 0, 0]
            corner[axis], corner[u], corner[v] = side, at_u, at_v
            corners.append((corner[0], corner[1], corner[2]))
        yield tuple(corners)


def _segments(face: Sequence[Corner], inside: set[Corner]) -> Iterator[tuple[Point, Point]]:
    """Lines of the surface on a face, from where the way around it leaves the mask to the entry.

    It is the entry before: so each piece of the mask is cut off by itself.
    """
    for n in range(4):
        here, there = face[n], face[(n + 1) % 4]
        if here in inside and there not in inside:
            m = n
            while face[m % 4] in inside:
                m -= 1
            yield _middle(here, there), _middle(face[m % 4], face[(m + 1) % 4])


def _middle(one: Sequence[int], other: Sequence[int]) -> Point:
    x, y, z = ((a + b) / 2 for a, b in zip(one, other, strict=True))
    return x, y, z
