"""The canvas: HU and labels on one series' grid, and smooth shapes that are painted on it.

Coordinates are patient coordinates in mm: +x left, +y posterior, +z superior (DICOM's LPS), with
the origin between the hips at the height of the tip of the sacrum. Arrays are (z, y, x), z
ascending. Only sums, products, quotients and square roots are used on arrays: these are exactly
rounded everywhere, so that stored integers do not depend on the processor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

Point = tuple[float, float, float]
Region = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """A deformed ellipsoid.

    Attributes:
        center: (x, y, z) in mm.
        semi: semi-axes along the turned x, y, z in mm.
        tilt: tangents of the shears x by z, and y by z, and x by y, that lean the shape.
        bumps: coefficients of low-order deformations of the radius (0 = a true ellipsoid).
    """

    center: Point
    semi: Point
    tilt: Point = (0.0, 0.0, 0.0)
    bumps: Point = (0.0, 0.0, 0.0)

    def grown(self, by_mm: float) -> Ellipsoid:
        """Return the same shape with semi-axes larger (or smaller) by `by_mm`, at least 0.5 mm."""
        a, b, c = (max(0.5, half + by_mm) for half in self.semi)
        return Ellipsoid(self.center, (a, b, c), self.tilt, self.bumps)

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Ellipsoid:
        """Return the same shape elsewhere."""
        center = (self.center[0] + x, self.center[1] + y, self.center[2] + z)
        return Ellipsoid(center, self.semi, self.tilt, self.bumps)

    def inside(self, u: float, v: float, w: float) -> Point:
        """Return the point at fractions (u, v, w) of the semi-axes."""
        dz = w * self.semi[2]
        dy = v * self.semi[1] + self.tilt[1] * dz
        dx = u * self.semi[0] + self.tilt[0] * dz + self.tilt[2] * dy
        return (self.center[0] + dx, self.center[1] + dy, self.center[2] + dz)

    def reach(self) -> Point:
        """Return half the sides of a box around the shape, in mm."""
        swell = 1.0 + sum(abs(bump) for bump in self.bumps)
        c = self.semi[2] * swell
        b = self.semi[1] * swell + abs(self.tilt[1]) * c
        a = self.semi[0] * swell + abs(self.tilt[0]) * c + abs(self.tilt[2]) * b
        return (a, b, c)


@dataclass(frozen=True, slots=True)
class Tube:
    """A tube along straight pieces through `points` (mm), with a radius (mm) at each point."""

    points: tuple[Point, ...]
    radii: tuple[float, ...]

    def grown(self, by_mm: float) -> Tube:
        """Return the tube with radii larger (or smaller) by `by_mm`, at least 0.5 mm."""
        return Tube(self.points, tuple(max(0.5, radius + by_mm) for radius in self.radii))

    def scaled(self, factors: Sequence[float]) -> Tube:
        """Return the tube with each radius multiplied by its factor."""
        return Tube(self.points, tuple(r * f for r, f in zip(self.radii, factors, strict=True)))

    def at(self, fraction: float) -> tuple[Point, float]:
        """Return the point at `fraction` (0 to 1) of the pieces, and the radius there."""
        place = min(max(fraction, 0.0), 0.9999) * (len(self.points) - 1)
        piece, part = int(place), place - int(place)
        (x0, y0, z0), (x1, y1, z1) = self.points[piece], self.points[piece + 1]
        point = (x0 + (x1 - x0) * part, y0 + (y1 - y0) * part, z0 + (z1 - z0) * part)
        r0, r1 = self.radii[piece], self.radii[piece + 1]
        return point, r0 + (r1 - r0) * part


@dataclass(frozen=True, slots=True)
class Scene:
    """One series while it is painted.

    Attributes:
        x_mm, y_mm, z_mm: coordinates of voxel centres along each axis.
        hu_zyx: density, float64.
        label_zyx: class values, uint8.
        blur_mm: width over which a surface fades from one density to the next.
    """

    x_mm: Floats
    y_mm: Floats
    z_mm: Floats
    hu_zyx: Floats
    label_zyx: NDArray[np.uint8]
    blur_mm: float

    @classmethod
    def empty(cls, x_mm: Floats, y_mm: Floats, z_mm: Floats) -> Scene:
        """Return a scene of air."""
        shape = (z_mm.size, y_mm.size, x_mm.size)
        pixel, step = float(x_mm[1] - x_mm[0]), float(z_mm[1] - z_mm[0])
        hu = np.full(shape, -1000.0)
        return cls(x_mm, y_mm, z_mm, hu, np.zeros(shape, np.uint8), 0.7 * pixel + 0.3 * step)

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in ml."""
        steps = (axis[1] - axis[0] for axis in (self.x_mm, self.y_mm, self.z_mm))
        dx, dy, dz = (float(step) for step in steps)
        return dx * dy * dz / 1000.0

    def region(self, low: Point, high: Point) -> Region:
        """Return the index box of the voxels between two corners (mm), one blur wider."""
        axes = (self.z_mm, self.y_mm, self.x_mm)
        low_zyx, high_zyx = (low[2], low[1], low[0]), (high[2], high[1], high[0])
        slices = []
        for axis, start, stop in zip(axes, low_zyx, high_zyx, strict=True):
            first = int(np.searchsorted(axis, start - self.blur_mm))
            last = int(np.searchsorted(axis, stop + self.blur_mm))
            slices.append(slice(first, last))
        return (slices[0], slices[1], slices[2])

    def axes(self, region: Region) -> tuple[Floats, Floats, Floats]:
        """Return x, y, z of a region, shaped to broadcast over (z, y, x)."""
        z = self.z_mm[region[0]][:, None, None]
        y = self.y_mm[region[1]][None, :, None]
        x = self.x_mm[region[2]][None, None, :]
        return x, y, z

    def around(self, shape: Ellipsoid) -> Region:
        """Return the index box around an ellipsoid."""
        low, high = zip(
            *((c - r, c + r) for c, r in zip(shape.center, shape.reach(), strict=True)),
            strict=True,
        )
        return self.region(low, high)

    def cover(self, distance_mm: Floats) -> Floats:
        """Turn a signed distance (negative inside) into the share of a voxel that is covered."""
        # a surface through the voxel's centre covers half of it: the partial volume effect
        return np.clip(0.5 - distance_mm / self.blur_mm, 0.0, 1.0)

    def blend(
        self,
        region: Region,
        share: Floats,
        hu: float | Floats,
        label: int | None = None,
        only: Bools | None = None,
    ) -> float:
        """Mix `hu` into a region by `share`; label what is more than half covered.

        `only` limits the change to some voxels. `label` None leaves labels, 0 clears them.
        Returns the painted volume in ml.
        """
        if share.size == 0:
            return 0.0
        if only is not None:
            share = share * only
        view = self.hu_zyx[region]
        view += share * (hu - view)
        if label is not None:
            self.label_zyx[region][share > 0.5] = label
        return float(np.count_nonzero(share > 0.5)) * self.voxel_ml

    def ellipsoid(
        self,
        shape: Ellipsoid,
        hu: float,
        label: int | None = None,
        *,
        over: Sequence[int] | None = None,
    ) -> float:
        """Paint an ellipsoid; `over` limits it to voxels that carry one of these labels."""
        region = self.around(shape)
        share = self.cover(ellipsoid_distance(shape, *self.axes(region)))
        return self.blend(region, share, hu, label, self.labelled(region, over))

    def tube(
        self,
        shape: Tube,
        hu: float,
        label: int | None = None,
        *,
        over: Sequence[int] | None = None,
    ) -> float:
        """Paint a tube piece by piece; `over` as for `ellipsoid`."""
        volume = 0.0
        for index in range(len(shape.points) - 1):
            ends, radii = shape.points[index : index + 2], shape.radii[index : index + 2]
            region, distance = self.piece(ends[0], ends[1], radii[0], radii[1])
            only = self.labelled(region, over)
            volume += self.blend(region, self.cover(distance), hu, label, only)
        return volume

    def piece(self, start: Point, stop: Point, r0: float, r1: float) -> tuple[Region, Floats]:
        """Return region and signed distance of one piece of a tube."""
        widest = max(r0, r1)
        low = tuple(min(a, b) - widest for a, b in zip(start, stop, strict=True))
        high = tuple(max(a, b) + widest for a, b in zip(start, stop, strict=True))
        region = self.region((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        x, y, z = self.axes(region)
        dx, dy, dz = (b - a for a, b in zip(start, stop, strict=True))
        square = max(dx * dx + dy * dy + dz * dz, 1e-9)
        px, py, pz = x - start[0], y - start[1], z - start[2]
        along = np.clip((px * dx + py * dy + pz * dz) / square, 0.0, 1.0)
        qx, qy, qz = px - along * dx, py - along * dy, pz - along * dz
        return region, np.sqrt(qx * qx + qy * qy + qz * qz) - (r0 + (r1 - r0) * along)

    def labelled(self, region: Region, values: Sequence[int] | None) -> Bools | None:
        """Return where a region carries one of `values` (None: no limit)."""
        if values is None:
            return None
        here = self.label_zyx[region]
        mask: Bools = here == values[0]
        for value in values[1:]:
            mask |= here == value
        return mask


def ellipsoid_distance(shape: Ellipsoid, x: Floats, y: Floats, z: Floats) -> Floats:
    """Return an approximate signed distance (mm) to the shape's surface, negative inside."""
    dz = z - shape.center[2]
    dy = y - shape.center[1] - shape.tilt[1] * dz
    dx = x - shape.center[0] - shape.tilt[0] * dz - shape.tilt[2] * dy
    u, v, w = dx / shape.semi[0], dy / shape.semi[1], dz / shape.semi[2]
    radius = np.sqrt(u * u + v * v + w * w)
    p, q, r = shape.bumps
    if p or q or r:
        # not 0 at the centre, where the direction is undefined
        safe = radius + 0.05
        radius = radius * (1.0 - (p * u * v + q * v * w + r * u * w) / (safe * safe))
    a, b, c = shape.semi
    mean = 3.0 / (1.0 / a + 1.0 / b + 1.0 / c)
    # the harmonic mean of the semi-axes turns the relative radius into mm, near the surface
    distance: Floats = (radius - 1.0) * mean
    return distance
