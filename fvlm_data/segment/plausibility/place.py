"""Whether each organ lies where the image shows it, by what is inside and around its mask.

Each voxel's intensity says how much it is the organ's own: bone is dense, lung is air, the pancreas
is soft tissue in fat, another organ has the intensities in the middle of what its mask covers, or
those that are more frequent there than around it. What is the organ's own should fill the mask and
not, where nothing else is labelled, a rim around it. The mask is moved over the image; if it is
filled better elsewhere, it was moved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.plausibility.remark import Remark, of
from fvlm_data.segment.plausibility.tissue import enough

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fvlm_data.segment.plausibility.expected import Expected
    from fvlm_data.segment.plausibility.measures import Measure

Array = np.ndarray[Any, Any]

GRID_MM = 4.0
REACH_MM = 24.0
RIM = 2
"""Thickness of the rim, voxels of the grid."""

LEAST_VOXELS = 30
LEAST_MM = 6.0
PLACES = 2000
NEARBY_GAIN = 0.03
"""A mask that gains less in three steps of the reach along each axis lies where it belongs."""

INSIDE_SHARE, RIM_SHARE = 0.6, 0.4
"""A place counts where so much of the mask and of its rim lies inside the volume."""

SPREAD_HU = (25.0, 60.0)
"""Least and greatest standard deviation that counts as an organ's own."""

BONE_HU, LUNG_HU = (80, 230), (-300, -500)
"""From where on a voxel may be bone or lung, and where it is for certain."""

SOFT_HU = ((-60, 0), (300, 200))
"""The same of soft tissue at its lower and upper end: fat, and blood or bowel full of contrast."""

FREE_AIR_HU = -980
LEAST_AIR = 0.5

BIN_HU, LOWEST_HU, BINS = 20, -1100, 121


@dataclass(frozen=True, slots=True)
class Place:
    """`moved_mm` (3) RAS from where the organ fits best to where its mask lies; `gain`, 0 to 2."""

    moved_mm: tuple[float, float, float]
    gain: float

    @property
    def distance_mm(self) -> float:
        """How far the mask lies from where it fits best."""
        return float(np.linalg.norm(self.moved_mm))


def place_remarks(
    labels: Array,
    image_hu: Array,
    affine_ras: Array,
    present: Mapping[int, tuple[str, Measure]],
    expected: Expected,
) -> list[Remark]:
    """Organs that fit better elsewhere: `organ_moved` for certain, else `organ_off_place`.

    `present` gives name and measure of each value; those of `expected.placed` are looked at.
    """
    remarks = []
    for value, (name, one) in present.items():
        canonical = expected.canonical(name)
        told = expected.placed(canonical)
        if told is None or not enough(one):
            continue
        if told.by == "lung" and one.share_within(-1100, LUNG_HU[0]) < LEAST_AIR:
            continue  # what is filled with fluid cannot be found by air
        found = place(labels, image_hu, affine_ras, value, one.box, told.by)
        if found is None or found.distance_mm < LEAST_MM or found.gain < told.flag:
            continue
        right, front, up = found.moved_mm
        seen = (
            f"{name} fits the image better if it is moved back by {found.distance_mm:.0f} mm: it "
            f"lies {right:+.0f} mm to the right, {front:+.0f} mm to the front, {up:+.0f} mm up "
            f"from there (gain {found.gain:.2f})"
        )
        code = "organ_moved" if found.gain >= told.fault else "organ_off_place"
        remarks.append(of(code, canonical, seen))
    return remarks


def place(
    labels: Array, image_hu: Array, affine_ras: Array, value: int, box: Sequence[int], by: str
) -> Place | None:
    """Where the class of a value fits best; None if too little of it is shown.

    `labels` and `image_hu` (i, j, k) lie on one grid; `box` is that of the class; `by` names one of
    OWN.
    """
    spacing_mm = np.linalg.norm(affine_ras[:3, :3], axis=0)
    steps = np.maximum(np.floor(GRID_MM / spacing_mm + 0.5), 1).astype(int)
    reach = np.maximum(np.rint(REACH_MM / (spacing_mm * steps)), 1).astype(int)
    around = (reach + RIM) * steps
    part = tuple(
        slice(max(box[axis] - int(around[axis]), 0), box[axis + 3] + int(around[axis]), int(step))
        for axis, step in enumerate(steps)
    )
    # one strided read of each: what follows goes over them often
    near = np.ascontiguousarray(labels[part])
    mask, other = near == value, near != 0
    if np.count_nonzero(mask) < LEAST_VOXELS:
        return None
    other &= ~mask
    own = OWN[by](np.ascontiguousarray(image_hu[part], np.float32), mask, other)
    own[other] = 0
    rim = _grown(mask) & ~mask
    if not _better_nearby(own, mask, rim, reach):
        return Place((0.0, 0.0, 0.0), 0.0)
    score = _fits(own, mask, rim, reach)
    at_home = float(score[tuple(reach)])
    best = np.unravel_index(int(score.argmax()), score.shape)
    moved = -(affine_ras[:3, :3] @ ((np.array(best) - reach) * steps))
    gain = float(score[best]) - at_home
    return Place((float(moved[0]), float(moved[1]), float(moved[2])), gain)


def _better_nearby(own: Array, mask: Array, rim: Array, reach: Array) -> bool:
    """Whether a mask fits better somewhere along the axes: else no place farther off is tried."""
    flat = own.ravel()
    parts = [_some_of(one, least) for one, least in ((mask, INSIDE_SHARE), (rim, RIM_SHARE))]
    at_home = _fit_at(flat, own.shape, parts, 0, 0)
    for axis, most in enumerate(reach.tolist()):
        for far in sorted({max(1, most * part // 3) for part in (1, 2, 3)}):
            for step in (far, -far):
                if _fit_at(flat, own.shape, parts, axis, step) > at_home + NEARBY_GAIN:
                    return True
    return False


@dataclass(frozen=True, slots=True)
class _Some:
    """Evenly many voxels of a mask, PLACES or a few more, by their number in C order.

    `along` (3, n) are their places, `ends` (3, 2) the first and last of these, `least` the share
    that must stay inside.
    """

    flat: Array
    along: tuple[Array, ...]
    ends: tuple[tuple[int, int], ...]
    least: float


def _some_of(mask: Array, least: float) -> _Some:
    flat = np.flatnonzero(mask)
    flat = flat[:: max(1, len(flat) // PLACES)]
    along = np.unravel_index(flat, mask.shape)
    ends = tuple((int(one.min()), int(one.max())) if one.size else (0, 0) for one in along)
    return _Some(flat, along, ends, least)


def _fit_at(
    flat: Array, shape: tuple[int, ...], parts: Sequence[_Some], axis: int, step: int
) -> float:
    """How well a mask is filled and its rim is not, moved by `step` along `axis`.

    `flat` is how much each voxel is the organ's own, in C order; -2 where the mask would leave.
    """
    offset = step * math.prod(shape[axis + 1 :])
    shares = []
    for part in parts:
        places = part.flat
        first, last = part.ends[axis]
        if first + step < 0 or last + step >= shape[axis]:
            moved = part.along[axis] + step
            places = places[(moved >= 0) & (moved < shape[axis])]
        if len(places) < max(1, part.least * len(part.flat)):
            return -2.0
        shares.append(float(flat[places + offset].mean()))
    return shares[0] - shares[1]


def _fits(own: Array, mask: Array, rim: Array, reach: Array) -> Array:
    """How well a mask is filled and its rim is not, for each shift of up to `reach`, -1 to 1.

    -2 where too much of either would lie outside.
    """
    from scipy import fft

    first, last = _ends(mask | rim)
    # so large that what is moved beyond one end comes back where nothing is
    shape = np.array(mask.shape)
    needed = np.maximum(shape + np.maximum(reach - first, 0), last + reach)
    size = [fft.next_fast_len(int(n), real=True) for n in needed]
    near = np.ix_(*(np.arange(-r, r + 1) for r in reach))
    spectrum = fft.rfftn(own, size)

    def filled(kernel: Array) -> Array:
        turned = fft.rfftn(kernel, size)
        np.conjugate(turned, out=turned)
        turned *= spectrum
        return np.asarray(fft.irfftn(turned, size, overwrite_x=True)[near])

    parts = ((mask, 1, INSIDE_SHARE), (rim, -1, RIM_SHARE))
    if (first >= reach).all() and (last + reach <= shape).all():
        weights = (sign / max(np.count_nonzero(one), 1) for one, sign, _ in parts)
        inner, outer = (np.float32(weight) for weight in weights)
        return filled(mask * inner + rim * outer)
    score = np.zeros(tuple(2 * reach + 1))
    outside = np.zeros(score.shape, bool)
    for one, sign, share in parts:
        inside = _inside(one, reach)
        score += sign * filled(one.astype(np.float32)) / np.maximum(inside, 1)
        outside |= inside < share * inside[tuple(reach)]
    score[outside] = -2.0
    return score


def _grown(mask: Array) -> Array:
    """A mask and what lies around it, RIM voxels thick along each axis."""
    grown = mask.copy()
    for axis in range(3):
        turned = np.moveaxis(grown, axis, 0)
        before = turned.copy()
        for far in range(1, RIM + 1):
            turned[far:] |= before[:-far]
            turned[:-far] |= before[far:]
    return grown


def _ends(mask: Array) -> tuple[Array, Array]:
    """First voxel (3) of a mask along each axis, and the one behind its last."""
    ends = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        places = np.flatnonzero(mask.any(axis=others))
        ends.append((places[0], places[-1] + 1))
    first, last = np.array(ends).T
    return first, last


def _inside(shape: Array, reach: Array) -> Array:
    """Voxels of a shape that stay inside its array, for each shift of up to `reach`."""
    counts = shape
    for axis, most in enumerate(reach):
        size = counts.shape[axis]
        summed = np.insert(np.cumsum(counts, axis=axis, dtype=np.int32), 0, 0, axis=axis)
        shift = np.arange(-most, most + 1)
        last = np.clip(size - shift, 0, size)
        first = np.clip(-shift, 0, size)
        counts = np.take(summed, last, axis=axis) - np.take(summed, first, axis=axis)
    return np.maximum(counts, 0)


def _by_middle(hu: Array, mask: Array, other: Array) -> Array:
    """An organ of one tissue: what is near the median of its mask."""
    low, middle, high = np.percentile(hu[mask], (25, 50, 75))
    spread = float(np.clip((high - low) / 1.349, *SPREAD_HU))
    return np.asarray(np.exp(-0.5 * ((hu - np.float32(middle)) / np.float32(spread)) ** 2))


def _by_contrast(hu: Array, mask: Array, other: Array) -> Array:
    """An organ of several tissues: what is more frequent in its mask than around it."""
    # numbers below the lowest are cut off before: towards zero is downwards then
    bins = np.clip((hu - LOWEST_HU) / BIN_HU, 0, BINS - 1).astype(np.int16)
    inside, around = (
        np.convolve(np.bincount(bins[one], minlength=BINS), np.ones(3) / 3, "same")
        / max(np.count_nonzero(one), 1)
        for one in (mask, ~mask & ~other)
    )
    table = (inside / (inside + around + 1e-4)).astype(np.float32)
    return np.asarray(table[bins])


def _between(span: tuple[int, int]) -> Callable[[Array, Array, Array], Array]:
    """A tissue of known intensity: nothing at one end, all at the other."""
    none, surely = span

    def own(hu: Array, mask: Array, other: Array) -> Array:
        return np.clip((hu - none) / np.float32(surely - none), 0, 1)

    return own


def _soft(hu: Array, mask: Array, other: Array) -> Array:
    """Soft tissue, with contrast medium or not, between fat and bowel."""
    least, below = (_between(span)(hu, mask, other) for span in SOFT_HU)
    return np.asarray(least * below)


def _lung(hu: Array, mask: Array, other: Array) -> Array:
    """Aerated tissue; the air around the body is none."""
    return np.where(hu < FREE_AIR_HU, np.float32(0), _between(LUNG_HU)(hu, mask, other))


OWN: Mapping[str, Callable[[Array, Array, Array], Array]] = {
    "middle": _by_middle,
    "contrast": _by_contrast,
    "bone": _between(BONE_HU),
    "soft": _soft,
    "lung": _lung,
}
"""How a voxel's intensity says whether it is an organ's own, from HU, mask and other labels."""
