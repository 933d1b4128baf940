"""Measures of every class of a label map, from one pass over its voxels.

The label map is read as runs of equal values along its fastest axis, some hundred times fewer than
voxels; counts, boxes and faces follow from the runs, intensities and places from evenly spaced
voxels of each class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Array = np.ndarray[Any, Any]

VOXELS_LOOKED_AT = 4000
"""Voxels of a class whose intensity and place are read: a share is known to 1 %."""

EXTENT_SHARES = (0.02, 0.98)
"""Shares of a class's voxels between which it extends: stray voxels do not move it."""

BIN_HU = 10
LOWEST_HU, HIGHEST_HU = -1100, 3100
BINS = (HIGHEST_HU - LOWEST_HU) // BIN_HU

UP_AND_FRONT = (0.0, 2**-0.5, 2**-0.5)
"""Direction (RAS) along which lobes and ribs follow each other: fissures and ribs slope so."""

SIDES = (("left", "right"), ("back", "front"), ("bottom", "top"))
"""Sides of the patient at the lower and upper end of each RAS axis."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One class, or several taken together.

    `box` is i0, j0, k0, i1, j1, k1, end exclusive; `faces` are the sides of the volume that it
    touches; `extent_mm` (4, 2) lowest and highest place along RAS and UP_AND_FRONT; `histogram`
    voxels in bins of BIN_HU from LOWEST_HU on.
    """

    name: str
    voxels: int
    ml: float
    box: tuple[int, ...]
    faces: frozenset[str]
    extent_mm: Array
    histogram: Array

    @property
    def cut(self) -> bool:
        """Whether it touches a face of the volume."""
        return bool(self.faces)

    def quantile_hu(self, share: float) -> float:
        """Intensity below which a share of the voxels lies, to BIN_HU."""
        below = np.cumsum(self.histogram)
        place = int(np.searchsorted(below, share * below[-1]))
        return float(LOWEST_HU + BIN_HU * (min(place, BINS - 1) + 0.5))

    def share_within(self, low_hu: float, high_hu: float) -> float:
        """Share of the voxels from `low_hu` up to `high_hu`."""
        first, last = ((hu - LOWEST_HU) // BIN_HU for hu in (low_hu, high_hu))
        part = self.histogram[max(int(first), 0) : max(int(last), 0)].sum()
        return float(part / self.histogram.sum())


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of each value but 0, by value: first voxel (n, 3), length along `axis`."""

    values: Array
    first_ijk: Array
    lengths: Array
    axis: int
    shape: tuple[int, ...]


def runs_of(labels: Array) -> Runs:
    """The runs of `labels` (i, j, k), any memory layout."""
    order = np.argsort([-abs(stride) for stride in labels.strides], kind="stable")
    lines = labels.transpose(order)
    _, middle, fast = lines.shape
    found: list[Array] = []
    values: list[Array] = []
    lengths: list[Array] = []
    changed = np.empty((middle, fast), bool)
    changed[:, 0] = True  # no run goes on in the next line
    for place, strided in enumerate(lines):
        plane = np.ascontiguousarray(strided)
        np.not_equal(plane[:, 1:], plane[:, :-1], out=changed[:, 1:])
        starts = np.flatnonzero(changed)
        mine = plane.reshape(-1)[starts]
        kept = np.flatnonzero(mine)
        if kept.size:
            length = np.diff(starts, append=plane.size)
            found.append(starts[kept] + place * plane.size)
            values.append(mine[kept])
            lengths.append(length[kept].astype(np.int32))
    if not found:
        return Runs(np.zeros(0, int), np.zeros((0, 3), int), np.zeros(0, int), 0, labels.shape)
    value, start, length = (np.concatenate(parts) for parts in (values, found, lengths))
    by_value = np.argsort(value, kind="stable")
    start = start[by_value]
    place_in_lines = (start // (middle * fast), start // fast % middle, start % fast)
    first = np.empty((len(start), 3), np.int32)
    for axis, place_along in zip(order, place_in_lines, strict=True):
        first[:, axis] = place_along
    return Runs(value[by_value], first, length[by_value], int(order[2]), labels.shape)


def measure(
    runs: Runs, image_hu: Array, affine_ras: Array, names: Mapping[int, str]
) -> dict[str, Measure]:
    """A measure of each class present, by name, in the order of their values.

    `image_hu` (i, j, k) lies on the grid of the label map, `affine_ras` maps its voxels to mm.
    """
    if not len(runs.values):
        return {}
    firsts = np.flatnonzero(np.diff(runs.values, prepend=-1))
    classes = runs.values[firsts]
    counts = np.add.reduceat(runs.lengths, firsts, dtype=np.int64)
    boxes = _boxes(runs, firsts)
    places, owners = _looked_at(runs, firsts, counts)
    hu = image_hu[places[:, 0], places[:, 1], places[:, 2]]
    bins = np.clip((hu.astype(np.int64) - LOWEST_HU) // BIN_HU, 0, BINS - 1)
    seen = np.bincount(owners * BINS + bins, minlength=len(classes) * BINS)
    histograms = seen.reshape(len(classes), BINS)
    mm = places @ affine_ras[:3, :3].T + affine_ras[:3, 3]
    mm = np.column_stack([mm, mm @ UP_AND_FRONT])
    ends = np.searchsorted(owners, np.arange(len(classes) + 1))
    voxel_ml = abs(float(np.linalg.det(affine_ras[:3, :3]))) / 1000
    sides = sides_of(affine_ras)
    made = {}
    for n, value in enumerate(classes):
        name = names[int(value)]
        count = int(counts[n])
        made[name] = Measure(
            name=name,
            voxels=count,
            # counts first: the product is the same however the map was read
            ml=float(count) * voxel_ml,
            box=tuple(int(edge) for edge in boxes[n]),
            faces=_faces(boxes[n], runs.shape, sides),
            extent_mm=np.quantile(mm[ends[n] : ends[n + 1]], EXTENT_SHARES, axis=0).T,
            histogram=histograms[n] * (count / histograms[n].sum()),
        )
    return made


def hu_under(runs: Runs, image_hu: Array, values: Sequence[int]) -> Array:
    """Intensities of all voxels with one of `values`."""
    mine = np.flatnonzero(np.isin(runs.values, values))
    lengths = runs.lengths[mine]
    places = np.repeat(runs.first_ijk[mine], lengths, axis=0)
    ends = np.cumsum(lengths, dtype=np.int64)
    places[:, runs.axis] += np.arange(len(places)) - np.repeat(ends - lengths, lengths)
    return np.asarray(image_hu[places[:, 0], places[:, 1], places[:, 2]])


def planes_of(runs: Runs, axis: int, values: int) -> Array:
    """Voxels (values, n) of each value below `values` in each plane across `axis`."""
    size = runs.shape[axis]
    first = runs.values.astype(np.int64) * (size + 1) + runs.first_ijk[:, axis]
    if axis != runs.axis:
        counts = np.bincount(first, weights=runs.lengths, minlength=values * (size + 1))
        return counts.astype(np.int64).reshape(values, size + 1)[:, :-1]
    begun = np.bincount(first, minlength=values * (size + 1))
    ended = np.bincount(first + runs.lengths, minlength=values * (size + 1))
    return np.asarray(np.cumsum((begun - ended).reshape(values, size + 1), axis=1)[:, :-1])


def together(name: str, parts: Iterable[Measure]) -> Measure | None:
    """Several classes as one; None of none."""
    found = list(parts)
    if not found:
        return None
    if len(found) == 1:
        one = found[0]
        return Measure(name, one.voxels, one.ml, one.box, one.faces, one.extent_mm, one.histogram)
    boxes = np.array([part.box for part in found])
    extents = np.array([part.extent_mm for part in found])
    return Measure(
        name,
        sum(part.voxels for part in found),
        sum(part.ml for part in found),
        (*map(int, boxes[:, :3].min(axis=0)), *map(int, boxes[:, 3:].max(axis=0))),
        frozenset().union(*(part.faces for part in found)),
        np.stack([extents[:, :, 0].min(axis=0), extents[:, :, 1].max(axis=0)], axis=1),
        np.sum([part.histogram for part in found], axis=0),
    )


def sides_of(affine_ras: Array) -> list[tuple[str, str]]:
    """Sides of the patient at the first and the last voxel of each axis of the grid."""
    from nibabel.orientations import io_orientation

    sides = []
    for axis, direction in io_orientation(affine_ras):
        low, high = SIDES[int(axis)]
        sides.append((low, high) if direction > 0 else (high, low))
    return sides


def _boxes(runs: Runs, firsts: Array) -> Array:
    """Boxes (n, 6) of the classes whose runs begin at `firsts`."""
    last = runs.first_ijk.copy()
    last[:, runs.axis] += runs.lengths - 1
    low = np.minimum.reduceat(runs.first_ijk, firsts, axis=0)
    return np.concatenate([low, np.maximum.reduceat(last, firsts, axis=0) + 1], axis=1)


def _looked_at(runs: Runs, firsts: Array, counts: Array) -> tuple[Array, Array]:
    """Voxels (n, 3), evenly spaced in each class, and the number of the class of each."""
    taken = np.minimum(counts, VOXELS_LOOKED_AT)
    owners = np.repeat(np.arange(len(counts)), taken)
    number = np.arange(len(owners)) - np.repeat(np.cumsum(taken) - taken, taken)
    before = np.cumsum(counts) - counts
    wanted = before[owners] + (2 * number + 1) * counts[owners] // (2 * taken[owners])
    run_ends = np.cumsum(runs.lengths, dtype=np.int64)
    run = np.searchsorted(run_ends, wanted, side="right")
    places = runs.first_ijk[run].copy()
    places[:, runs.axis] += wanted - (run_ends[run] - runs.lengths[run])
    return places, owners


def _faces(box: Array, shape: Sequence[int], sides: Sequence[tuple[str, str]]) -> frozenset[str]:
    first = {sides[axis][0] for axis in range(3) if box[axis] == 0}
    return frozenset(first | {sides[axis][1] for axis in range(3) if box[axis + 3] == shape[axis]})
