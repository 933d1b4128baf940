"""The files that a sample is made from, read slab by slab: label maps merged, image in part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.merge import merge_labels
from fvlm_data.shards import faces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.shards.nifti_slabs import NiftiSlabs
    from fvlm_data.vocabulary import Vocabulary

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A label map of classes: names of its values, and the system that explains the names."""

    voxels: NiftiSlabs
    classes: Mapping[int, str]
    system: str


@dataclass(frozen=True, slots=True)
class Heads:
    """Where label maps show a face and a head (i, j, k; bool); None: not at all."""

    face_ijk: Array | None = None
    head_ijk: Array | None = None


@dataclass(frozen=True, slots=True)
class Labels:
    """Merged label map (i, j, k; uint8), and where the maps show heads."""

    merged_ijk: Array
    heads: Heads


def read_labels(
    files: Sequence[LabelFile], anatomies: Sequence[str], vocabulary: Vocabulary
) -> Labels:
    """Merge label maps of one grid, a slab at a time.

    Raises:
        NiftiError: a file is damaged.
    """
    shape = files[0].voxels.shape
    merged = np.empty(shape, np.uint8, order="F")
    face = _Shown(faces.FACE, files, shape)
    head = _Shown(faces.HEAD, files, shape)
    for place, maps in _slabs(files):
        merged[:, :, place] = merge_labels(maps, anatomies, vocabulary)
        face.add(place, maps)
        head.add(place, maps)
    return Labels(merged, Heads(face.found, head.found))


def read_heads(files: Sequence[LabelFile]) -> Heads:
    """Where label maps of one grid show faces and heads, a slab at a time.

    Raises:
        NiftiError: a file is damaged.
    """
    if not files:
        return Heads()
    shape = files[0].voxels.shape
    face, head = _Shown(faces.FACE, files, shape), _Shown(faces.HEAD, files, shape)
    for place, maps in _slabs(files):
        face.add(place, maps)
        head.add(place, maps)
    return Heads(face.found, head.found)


class _Shown:
    """Collects where any map shows classes of a set; allocates nothing until one is seen."""

    def __init__(
        self, names: frozenset[str], files: Sequence[LabelFile], shape: tuple[int, int, int]
    ) -> None:
        self.found: Array | None = None
        self._names, self._shape = names, shape
        self._possible = any(names & set(file.classes.values()) for file in files)

    def add(self, place: slice, maps: faces.Maps) -> None:
        mask = faces.class_mask(maps, self._names) if self._possible else None
        if mask is not None:
            if self.found is None:
                self.found = np.zeros(self._shape, bool, order="F")
            self.found[:, :, place] = mask


def _slabs(files: Sequence[LabelFile]) -> Iterator[tuple[slice, faces.Maps]]:
    """The same slab of every file."""
    slices = min(file.voxels.slices_at_once() for file in files)
    for parts in zip(*(file.voxels.slabs(slices) for file in files), strict=True):
        maps = [
            # labels stored as floats are whole numbers, which the look-up needs as such
            (slab if slab.dtype.kind in "iu" else slab.astype(np.int32), file.classes, file.system)
            for file, (_, slab) in zip(files, parts, strict=True)
        ]
        yield parts[0][0], maps
