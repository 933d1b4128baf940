"""Harms of a label map, and cuts by the field of view that are none, over any true pair.

For tests of checks: each harm should be found, no cut should be taken for one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Array = np.ndarray[Any, Any]

SHIFTS_MM = (10, 20, 40)
SWAPS = (
    ("liver", "spleen"),
    ("kidney_left", "kidney_right"),
    ("liver", "stomach"),
    ("heart", "liver"),
    ("aorta", "inferior_vena_cava"),
    ("spleen", "kidney_left"),
    ("vertebrae_L1", "vertebrae_T12"),
    ("urinary_bladder", "kidney_right"),
    ("lung_lower_lobe_left", "lung_lower_lobe_right"),
    ("lung_lower_lobe_right", "liver"),
)
GIVEN_AS = (("liver", "spleen"), ("spleen", "liver"), ("liver", "heart"), ("stomach", "pancreas"))

LOSSES = (0.05, 0.5, 0.9)
MOVED = (
    "liver", "spleen", "kidney_left", "kidney_right", "stomach", "aorta", "gallbladder", "pancreas",
    "vertebrae_T12", "vertebrae_L1", "rib_left_9", "lung_lower_lobe_right",
)  # fmt: skip
MOVES_MM = (-9, 9, -15, 21)
LEAST_MOVED_VOXELS = 100
NEIGHBOURS = (
    *(
        (f"rib_{side}_{n}", f"rib_{side}_{n + 1}")
        for side in ("left", "right")
        for n in range(1, 12)
    ),
    *((f"rib_left_{n}", f"rib_right_{n}") for n in range(1, 13)),
    ("kidney_left", "kidney_right"),
    ("adrenal_gland_left", "adrenal_gland_right"),
    ("lung_upper_lobe_left", "lung_lower_lobe_left"),
    ("lung_upper_lobe_right", "lung_lower_lobe_right"),
    ("iliac_artery_left", "iliac_artery_right"),
    ("vertebrae_T11", "vertebrae_T12"),
    ("vertebrae_L1", "vertebrae_L2"),
)


@dataclass(frozen=True)
class Pair:
    """An image (i, j, k; HU) and its label map, axes nearest to RAS, and names of its values."""

    name: str
    image_hu: Array
    labels: Array
    affine_ras: Array
    classes: Mapping[int, str]


def flipped(pair: Pair, axis: int, *, image_too: bool) -> Pair:
    """The label map mirrored along an axis, and its image with it or not."""
    image = np.flip(pair.image_hu, axis) if image_too else pair.image_hu
    return replace(pair, image_hu=image, labels=np.flip(pair.labels, axis))


def shifted(pair: Pair, axis: int, mm: float) -> Pair:
    """The label map moved along an axis by whole voxels, about `mm`; 0 where it leaves."""
    voxels = round(mm / float(np.linalg.norm(pair.affine_ras[:3, axis])))
    moved = np.zeros_like(pair.labels)
    size = pair.labels.shape[axis]
    to, of = [slice(None)] * 3, [slice(None)] * 3
    to[axis] = slice(max(voxels, 0), size + min(voxels, 0))
    of[axis] = slice(max(-voxels, 0), size + min(-voxels, 0))
    moved[tuple(to)] = pair.labels[tuple(of)]
    return replace(pair, labels=moved)


def renamed(pair: Pair, table: Mapping[int, int], classes: Mapping[int, str] | None = None) -> Pair:
    """The label map with other values by `table`, and with other names of its values."""
    lookup = np.arange(256, dtype=np.uint8)
    for before, after in table.items():
        lookup[before] = after
    return replace(pair, labels=lookup[pair.labels], classes=classes or pair.classes)


def cropped(pair: Pair, box: Sequence[slice]) -> Pair:
    """The part of both in a box of voxels, where it lies in the patient."""
    affine = pair.affine_ras.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start or 0 for part in box]
    place = tuple(box)
    return replace(
        pair, image_hu=pair.image_hu[place], labels=pair.labels[place], affine_ras=affine
    )


def harms(
    pair: Pair, others: Sequence[Pair], v1: Mapping[int, str] | None = None
) -> Iterator[tuple[str, Pair]]:
    """Kind of harm and the harmed pair, in a fixed order; only harms that change something."""
    by_name = {name: value for value, name in pair.classes.items()}
    there = set(np.unique(pair.labels).tolist()) - {0}
    for axis, name in enumerate("xyz"):
        yield f"mask mirrored in {name}", flipped(pair, axis, image_too=False)
        yield f"image and mask mirrored in {name}", flipped(pair, axis, image_too=True)
    for mm in SHIFTS_MM:
        for axis in range(3):
            for sign in (-1, 1):
                moved = shifted(pair, axis, sign * mm)
                if np.count_nonzero(moved.labels) > 0.2 * np.count_nonzero(pair.labels):
                    yield f"mask shifted by {mm} mm", moved
    for one, other in SWAPS:
        a, b = by_name.get(one, 0), by_name.get(other, 0)
        if a in there and b in there:
            yield f"swapped {one} and {other}", renamed(pair, {a: b, b: a})
    for one, other in GIVEN_AS:
        a, b = by_name.get(one, 0), by_name.get(other, 0)
        if a in there and b:
            yield f"{one} given as {other}", renamed(pair, {a: b, b: 0})
    top = max(pair.classes)
    yield "labels shifted by one", renamed(pair, {v: v % top + 1 for v in there})
    if v1 and max(there) <= max(v1):
        yield "v2 numbers as v1", replace(pair, classes=v1)
    elif v1:
        known = {v: 0 for v in there if v not in v1}
        yield "v2 numbers as v1", renamed(pair, known, v1)
    for stranger in others:
        if stranger.labels.shape != pair.labels.shape:
            yield "another patient's mask", replace(pair, labels=_fitted(stranger, pair))


def part_harms(pair: Pair, seed: int = 0) -> Iterator[tuple[str, Pair]]:
    """Kind of harm and the pair whose label map is right in part, in a fixed order."""
    rng = np.random.default_rng(seed)
    labels, size = pair.labels, pair.labels.shape[2]
    number = np.arange(size)
    for share in LOSSES:
        lost = rng.random(labels.shape) < share
        yield f"{100 * share:.0f} % of voxels lost", replace(pair, labels=np.where(lost, 0, labels))
    for first in (0, size // 3, size // 2, size - 2):
        order = number.copy()
        order[[first, first + 1]] = order[[first + 1, first]]
        yield "two slices exchanged", replace(pair, labels=labels[:, :, order])
    for every in (2, 3):
        kept = np.where(number % every == 0, labels, 0)
        yield f"one slice in {every} kept", replace(pair, labels=kept)
    third = size // 3
    for first in (0, third, 2 * third):
        within = (number >= first) & (number < first + third)
        yield "a third of the slices kept", replace(pair, labels=np.where(within, labels, 0))
    by_name = {name: value for value, name in pair.classes.items()}
    for name in MOVED:
        value = by_name.get(name, 0)
        if np.count_nonzero(labels == value) < LEAST_MOVED_VOXELS or not value:
            continue
        for axis in range(3):
            for mm in MOVES_MM:
                alone = replace(pair, labels=(labels == value).astype(np.uint8))
                moved = shifted(alone, axis, mm).labels > 0
                rest = np.where(alone.labels > 0, 0, labels)
                harmed = np.where(moved, value, rest).astype(labels.dtype)
                yield f"{name} moved by 9 to 21 mm", replace(pair, labels=harmed)
    there = set(np.unique(labels).tolist())
    for one, other in NEIGHBOURS:
        a, b = by_name.get(one, 0), by_name.get(other, 0)
        if a in there and b in there:
            yield f"neighbours exchanged: {one.split('_')[0]}", renamed(pair, {a: b, b: a})


def crops(pair: Pair, count: int, seed: int = 0) -> Iterator[Pair]:
    """Cuts of the pair by boxes of random size and place, and slabs along each axis."""
    rng = np.random.default_rng(seed)
    shape = pair.labels.shape
    for _ in range(count):
        box = []
        for size in shape:
            width = int(rng.integers(max(size // 4, min(size, 6)), size + 1))
            first = int(rng.integers(0, size - width + 1))
            box.append(slice(first, first + width))
        yield cropped(pair, box)
    for axis in range(3):
        for share in (0.25, 0.5, 0.75):
            for before in (0.0, 1 - share):
                box = [slice(0, size) for size in shape]
                start = int(before * shape[axis])
                box[axis] = slice(start, start + max(2, int(share * shape[axis])))
                yield cropped(pair, box)


def _fitted(other: Pair, pair: Pair) -> Array:
    """Another's label map, stretched to this one's grid by its nearest voxels."""
    index = [
        np.minimum((np.arange(size) * n) // size, n - 1)
        for size, n in zip(pair.labels.shape, other.labels.shape, strict=True)
    ]
    return np.ascontiguousarray(other.labels[np.ix_(*index)])
