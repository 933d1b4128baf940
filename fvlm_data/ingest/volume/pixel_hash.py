"""A hash of voxels that survives re-export: another origin or turned axes do not change it."""

from __future__ import annotations

import hashlib
from itertools import permutations, product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


def pixels_sha256(image_zyx: NDArray[np.int16]) -> str:
    """Hash of a volume's voxels, whatever the order and direction of its axes.

    `image_zyx` is int16, three axes. Two volumes have one hash exactly if the voxels of one are
    those of the other with axes swapped or reversed: the same scan under another origin, patient
    position or storage order. Orientation is taken from the voxels, not from an affine, which may
    be what was rewritten.
    """
    return min(_sha256(view) for view in _upright(image_zyx))


def _upright(image: NDArray[np.int16]) -> Iterator[NDArray[np.int16]]:
    """The image turned so that turned copies come out alike, in every such way.

    Each axis runs in the direction in which the list of its slice sums is the lesser of the two;
    axes are sorted by length, then by these sums. There are several such ways only if sums are
    symmetric or equal, which hardly ever happens in a scan.
    """
    sums = _slice_sums(image)
    lesser = [min(told, told[::-1]) for told in sums]
    steps = [
        [step for step in (1, -1) if told[::step] == least]
        for told, least in zip(sums, lesser, strict=True)
    ]
    # an axis whose length is unique (slices, among equal rows and columns) goes first: that keeps
    # the usual axis order and avoids a transposed copy
    ranks = [(image.shape.count(len(told)), len(told), told) for told in lesser]
    for order in permutations(range(3)):
        if [ranks[axis] for axis in order] == sorted(ranks):
            for directions in product(*(steps[axis] for axis in order)):
                yield image.transpose(order)[tuple(slice(None, None, step) for step in directions)]


def _slice_sums(image: NDArray[np.int16]) -> list[list[int]]:
    """Sums of the slices across each axis."""
    sums = [np.zeros(length, np.int64) for length in image.shape]
    for number, part in enumerate(image):  # a slice at a time stays in the cache
        rows = part.sum(axis=1, dtype=np.int64)
        sums[0][number] = rows.sum()
        sums[1] += rows
        sums[2] += part.sum(axis=0, dtype=np.int64)
    return [told.tolist() for told in sums]


def _sha256(image: NDArray[np.int16]) -> str:
    digest = hashlib.sha256(str(image.shape).encode())
    for part in image:  # by slices: a turned copy of the whole would double the memory
        digest.update(np.ascontiguousarray(part, dtype="<i2").data)
    return digest.hexdigest()
