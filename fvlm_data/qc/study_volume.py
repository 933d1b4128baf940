"""A volume and its anatomies as a script that a study's page loads: small, for looking only.

Voxels lie as they are shown: axes z, y, x, from the patient's head to feet, front to back and
right to left, so that each plane is a plain slice and the patient's right is on the picture's left.
"""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.hashing import content_key
from fvlm_data.qc.heads import without_face
from fvlm_data.qc.scenes import drawn_as
from fvlm_data.segment.grid import to_canonical
from fvlm_data.segment.merge import merge_labels
from fvlm_data.segment.nifti import read_nifti

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.qc.config import QcConfig
    from fvlm_data.qc.scenes import Scene
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

Array = np.ndarray[Any, Any]

FOLDER = "qc/volumes"

VERSION = 1
"""Version of the making of these scripts: a new one makes all anew."""

KNOTS = ((-1024, 0), (-200, 64), (300, 230), (3071, 255))
"""HU and code between which codes rise evenly: 3 HU a code where soft tissue lies, 13 below, 110
above. One byte a voxel, and windows of lung, soft tissue and bone keep their grey levels."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A shrunk volume: uint8 codes and labels (z, y, x) as shown, with its spacing.

    A label is 1 + the index of its anatomy; `oblique_degrees` is the greatest angle between an
    axis of the grid and the patient's axis that it is shown as.
    """

    codes_zyx: Array
    labels_zyx: Array
    spacing_mm_zyx: tuple[float, float, float]
    oblique_degrees: float


def script_path(scene: Scene, vocabulary: Vocabulary, config: QcConfig) -> str:
    """Where a volume's script lies in the store: by the content of volume and masks."""
    drawn = drawn_as(scene, vocabulary.imaged, vocabulary)
    style = (VERSION, KNOTS, config.voxels, config.faces, vocabulary.imaged)
    return f"{FOLDER}/{content_key(style, scene.content_sha256, drawn)}.js"


def script(store: Store, scene: Scene, vocabulary: Vocabulary, config: QcConfig) -> bytes:
    """The script: one call that hands the volume to the page, without its face where asked.

    Raises:
        NiftiError: a file is damaged.
        StoreError: a file is missing.
    """
    # an outline of the face would show it too
    hidden = {"face"} if config.faces == "remove" else set()
    anatomies = [anatomy for anatomy in vocabulary.imaged if anatomy not in hidden]
    affine_ras = np.array(scene.affine_ras).reshape(4, 4)
    image_hu = read_nifti(store.read_bytes(scene.path)).data
    maps = [
        (read_nifti(store.read_bytes(one.path)).data, one.names, one.class_system)
        for one in scene.maps
    ]
    if config.faces == "remove":
        spacing_mm = np.linalg.norm(affine_ras[:3, :3], axis=0)
        image_hu = without_face(image_hu, maps, spacing_mm, vocabulary)
    shown = shown_volume(image_hu, affine_ras, maps, anatomies, vocabulary, config.voxels)
    there = [int(value) for value in np.unique(shown.labels_zyx) if value]
    # 1 + the place in the list that follows: labels of a page are those that it has
    renumbered = np.zeros(256, np.uint8)
    renumbered[there] = np.arange(1, len(there) + 1)
    told = {
        "anatomies": [anatomies[value - 1] for value in there],
        "hu": levels_hu().tolist(),
        "image": _packed(np.diff(shown.codes_zyx, axis=2, prepend=np.uint8(0))),
        "labels": _packed(renumbered[shown.labels_zyx]),
        "oblique": round(shown.oblique_degrees, 1),
        "shape": list(shown.codes_zyx.shape),
        "spacing": [round(mm, 4) for mm in shown.spacing_mm_zyx],
    }
    name = script_path(scene, vocabulary, config).rpartition("/")[2].removesuffix(".js")
    return f"fvlm.receive({json.dumps(name)},{json.dumps(told, separators=(',', ':'))});\n".encode()


def shown_volume(
    image_hu: Array,
    affine_ras: Array,
    maps: Sequence[tuple[Array, Any, str]],
    anatomies: Sequence[str],
    vocabulary: Vocabulary,
    voxels: int,
) -> Shown:
    """A volume (i, j, k) in HU as it is shown, each axis shrunk to at most `voxels`.

    The image is averaged over blocks, a label is that at the middle of its block. `maps` are
    label maps on the same grid as `merge_labels` takes them.
    """
    image = as_shown(image_hu, affine_ras)
    factors = tuple(-(-size // voxels) for size in image.shape)
    small = [(_middles(as_shown(one, affine_ras), factors), *named) for one, *named in maps]
    codes = _coded(image, factors)
    labels = (
        merge_labels([(one, names, system) for one, names, system in small], anatomies, vocabulary)
        if small
        else np.zeros_like(codes)
    )
    steps_mm = axes_mm(affine_ras)
    spacing = np.linalg.norm(steps_mm, axis=1)
    cosines = np.clip(np.abs(np.diagonal(steps_mm[:, ::-1])) / spacing, 0, 1)
    z, y, x = (float(mm * factor) for mm, factor in zip(spacing, factors, strict=True))
    return Shown(codes, labels, (z, y, x), float(np.degrees(np.arccos(cosines)).max()))


@cache
def levels_hu() -> Array:
    """int16 (256,): the HU that each code stands for."""
    hu, codes = zip(*KNOTS, strict=True)
    return np.rint(np.interp(np.arange(256), codes, hu)).astype(np.int16)


def as_shown(array: Array, affine_ras: Array) -> Array:
    """View (z, y, x) from head to feet, front to back, right to left."""
    return to_canonical(array, affine_ras)[0][::-1, ::-1, ::-1].transpose(2, 1, 0)


def axes_mm(affine_ras: Array) -> Array:
    """Step in RAS mm of one voxel along the axes z, y, x as shown, up to their signs."""
    orientation = to_canonical(np.zeros((1, 1, 1)), affine_ras)[1]
    order = np.argsort(orientation[:, 0])
    return np.asarray(affine_ras[:3, :3].T[order][::-1])


def _coded(image: Array, factors: tuple[int, ...]) -> Array:
    """uint8 codes of block means, slab by slab: no copy of the volume is made."""
    hu = np.arange(KNOTS[0][0], KNOTS[-1][0] + 1)
    knots_hu, knots = zip(*KNOTS, strict=True)
    code = np.rint(np.interp(hu, knots_hu, knots)).astype(np.uint8)
    slabs = []
    for z in range(0, image.shape[0], factors[0]):
        slab = image[z : z + factors[0]].mean(axis=0, dtype=np.float32)
        for axis, factor in ((0, factors[1]), (1, factors[2])):
            slab = _block_means(slab, axis, factor)
        places = np.rint(np.clip(slab, hu[0], hu[-1])).astype(np.int32) - hu[0]
        slabs.append(code[places])
    return np.stack(slabs)


def _block_means(plane: Array, axis: int, factor: int) -> Array:
    if factor == 1:
        return plane
    starts = np.arange(0, plane.shape[axis], factor)
    sums = np.add.reduceat(plane, starts, axis=axis)
    sizes = np.diff(np.append(starts, plane.shape[axis])).astype(np.float32)
    return np.asarray(sums / (sizes[:, None] if axis == 0 else sizes))


def _middles(labels: Array, factors: tuple[int, ...]) -> Array:
    """The label at the middle of each block."""
    places = [
        np.minimum(np.arange(0, size, factor) + factor // 2, size - 1)
        for size, factor in zip(labels.shape, factors, strict=True)
    ]
    return np.asarray(labels[np.ix_(*places)])


def _packed(array: Array) -> str:
    content = gzip.compress(np.ascontiguousarray(array).tobytes(), 6, mtime=0)
    return base64.b64encode(content).decode("ascii")
