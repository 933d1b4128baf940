"""Planes of a volume and its anatomies, voxel by voxel, without a volume in memory.

Volumes are gzipped NIfTI files, which can only be read from their beginning. So a volume is decoded
once, a slab at a time, into a nameless temporary file that ends with this process; each plane is
then read from there alone.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.errors import InputError
from fvlm_data.qc.colours import colour_places, palette_rgb
from fvlm_data.qc.heads import face_of, withheld
from fvlm_data.qc.outlines import outlined
from fvlm_data.qc.png import png_bytes
from fvlm_data.qc.study_volume import as_shown, axes_mm
from fvlm_data.segment.merge import merge_labels
from fvlm_data.segment.nifti import NiftiError, read_nifti
from fvlm_data.serve.live import Kept
from fvlm_data.shards.faces import without
from fvlm_data.shards.nifti_slabs import open_nifti

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fvlm_data.qc.scenes import Scene
    from fvlm_data.serve.live import Live
    from fvlm_data.shards.nifti_slabs import NiftiSlabs
    from fvlm_data.vocabulary import Vocabulary

Array = np.ndarray[Any, Any]

AXES = {"axial": 0, "coronal": 1, "sagittal": 2}
"""Across which axis (z, y, x, as shown) each plane lies."""

VOLUMES_KEPT = 4
"""Volumes that lie decoded on disk."""

SLICES = 16


@dataclass(frozen=True, slots=True)
class Decoded:
    """A volume as it is shown, z, y, x from head to feet, front to back, right to left.

    `image_zyx` (HU) and `labels_zyx` (uint8, 1 + place in `anatomies`, 0 for none) are read from
    disk as they are used; `colours` are red, green and blue (uint8) of each label.
    """

    image_zyx: Array
    labels_zyx: Array
    spacing_mm_zyx: tuple[float, float, float]
    anatomies: tuple[str, ...]
    colours: Array

    def plane(self, name: str, index: int) -> tuple[Array, Array]:
        """HU and labels (rows, columns) of a plane, from 0 at the head, the front or the right.

        Raises:
            InputError: there is no such plane.
        """
        if name not in AXES:
            raise InputError(f"plane {name}: expected one of {', '.join(AXES)}")
        axis = AXES[name]
        size = self.image_zyx.shape[axis]
        if not 0 <= index < size:
            raise InputError(f"{name} plane {index}: expected 0 to {size - 1}")
        image, labels = (
            np.ascontiguousarray(np.take(one, index, axis=axis))
            for one in (self.image_zyx, self.labels_zyx)
        )
        return image, labels

    def described(self) -> dict[str, Any]:
        """Planes with their number, rows, columns and the distances of these, and anatomies."""
        planes = {}
        for name, axis in AXES.items():
            rows, columns = (one for one in range(3) if one != axis)
            planes[name] = {
                "count": self.image_zyx.shape[axis],
                "rows": self.image_zyx.shape[rows],
                "columns": self.image_zyx.shape[columns],
                "row_mm": round(self.spacing_mm_zyx[rows], 4),
                "column_mm": round(self.spacing_mm_zyx[columns], 4),
            }
        named = [{"name": name, "label": place} for place, name in enumerate(self.anatomies, 1)]
        return {"planes": planes, "anatomies": named}

    def png(self, name: str, index: int, window: tuple[int, int], *, outlines: bool) -> bytes:
        """A plane within a window (level and width, HU) as PNG, anatomies outlined where asked.

        Raises:
            InputError: there is no such plane.
        """
        image_hu, labels = self.plane(name, index)
        level, width = window
        limits = (level - width // 2, level + (width + 1) // 2)
        shown = labels if outlines else np.zeros_like(labels)
        return png_bytes(outlined(image_hu, shown, self.colours, limits), f"{name} {index}")


class Planes:
    """Decoded volumes of a store, the last few kept."""

    def __init__(self, live: Live) -> None:
        """Nothing is decoded yet."""
        self._live = live
        self._decoded: Kept[Decoded] = Kept(VOLUMES_KEPT)

    def volume(self, volume_id: str) -> Decoded | None:
        """A volume by its id; None where there is none.

        Raises:
            InputError: it may not be shown, since it may have a face (`qc.faces`).
            StoreError: a file is missing.
            NiftiError: a file is damaged.
        """
        found = self._live.scene(volume_id)
        if found is None:
            return None
        scene, region = found
        live = self._live
        if live.config.faces == "remove" and (why := withheld(scene, region, live.vocabulary)):
            raise InputError(why)
        key = (scene.content_sha256, tuple(one.content_sha256 for one in scene.maps))
        return self._decoded.get(key, lambda: _decoded(live, scene))


def window_of(text: str) -> tuple[int, int]:
    """Level and width in HU from text: `40,400`.

    Raises:
        InputError: it is something else.
    """
    level, _, width = text.partition(",")
    try:
        made = int(level), int(width)
    except ValueError:
        made = (0, 0)
    if not (1 <= made[1] <= 10_000 and abs(made[0]) <= 10_000):
        raise InputError(f"window {text[:40]}: expected level and width in HU, as 40,400")
    return made


def _decoded(live: Live, scene: Scene) -> Decoded:
    vocabulary, store = live.vocabulary, live.store
    affine_ras = np.array(scene.affine_ras).reshape(4, 4)
    slabs = open_nifti(store.read_bytes(scene.path))
    maps = [(open_nifti(store.read_bytes(one.path)), one) for one in scene.maps]
    if any(one.shape != slabs.shape for one, _ in maps):
        raise NiftiError("has another shape than its label map")
    # an outline of the face would show it too
    hidden = {"face"} if live.config.faces == "remove" else set()
    anatomies = tuple(one for one in vocabulary.imaged if one not in hidden)

    def images() -> Iterator[Array]:
        plain = (slab for _, slab in slabs.slabs(SLICES))
        face = _face(live, scene, affine_ras) if hidden else None
        return plain if face is None else without(face, plain)

    def labels() -> Iterator[Array]:
        if not maps:
            i, j, k = slabs.shape
            return (np.zeros((i, j, min(SLICES, k - at)), np.uint8) for at in range(0, k, SLICES))
        return (
            merge_labels(
                [
                    (slab, one.names, one.class_system)
                    for (_, slab), (_, one) in zip(some, maps, strict=True)
                ],
                anatomies,
                vocabulary,
            )
            for some in zip(*(one.slabs(SLICES) for one, _ in maps), strict=True)
        )

    image_ijk = _spooled(images(), slabs, slabs.dtype)
    labels_ijk = _spooled(labels(), slabs, np.dtype(np.uint8))
    spacing = np.linalg.norm(axes_mm(affine_ras), axis=1)
    z, y, x = (float(one) for one in spacing)
    return Decoded(
        as_shown(image_ijk, affine_ras),
        as_shown(labels_ijk, affine_ras),
        (z, y, x),
        anatomies,
        _colours(anatomies, vocabulary),
    )


def _colours(anatomies: tuple[str, ...], vocabulary: Vocabulary) -> Array:
    """Those that the viewer of the page gives them."""
    places = colour_places(vocabulary)
    of = [palette_rgb()[places[anatomy]] for anatomy in anatomies]
    return np.array([(0, 0, 0), *of], np.uint8)


def _face(live: Live, scene: Scene, affine_ras: Array) -> Array | None:
    """Voxels (i, j, k) of faces and their rims; only label maps are read for it."""
    maps = [
        (read_nifti(live.store.read_bytes(one.path)).data, one.names, one.class_system)
        for one in scene.maps
    ]
    return face_of(maps, np.linalg.norm(affine_ras[:3, :3], axis=0), live.vocabulary)


def _spooled(slabs: Iterable[Array], like: NiftiSlabs, dtype: np.dtype[Any]) -> Array:
    """The slabs along k as one array (i, j, k) on disk, in a file that has no name."""
    with tempfile.TemporaryFile() as file:
        for slab in slabs:
            file.write(np.asarray(slab, dtype).tobytes(order="F"))
        file.flush()
        # the mapping keeps the file when it is closed
        return np.memmap(file, dtype, "r", shape=like.shape, order="F")
