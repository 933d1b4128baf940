"""One volume of a store: HU, geometry, and the masks of anatomies and classes on its grid."""

from __future__ import annotations

import base64
import html
from collections import defaultdict
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.errors import InputError, StoreError
from fvlm_data.opened.planes import three_planes
from fvlm_data.segment.merge import merge_labels
from fvlm_data.segment.nifti import NiftiError, read_nifti

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.store.relations import Relations
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

Array = np.ndarray[Any, Any]
LabelMap = tuple[str, str, dict[int, str]]
"""Path in the store, class system, class name by value."""

CLASSES = """
SELECT path, class_system, class_value, class_name FROM masks WHERE volume_id = $volume
ORDER BY path, class_value
"""
SIZES = """
SELECT task, class_name, volume_ml FROM masks WHERE volume_id = $volume ORDER BY task, class_name
"""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Volume:
    """A CT volume; its files are read when they are asked for, and not kept.

    `shape` counts voxels along i, j, k, `spacing_mm` is theirs; `affine_ras_flat` are the 16
    numbers of the affine from voxel indices to mm, +x right, +y anterior, +z superior.
    """

    _store: Store
    _relations: Relations
    _vocabulary: Vocabulary
    volume_id: str
    path: str
    shape: Sequence[int]
    spacing_mm: Sequence[float]
    affine_ras_flat: Sequence[float]
    series_description: str | None

    @property
    def affine_ras(self) -> Array:
        """Float64 (4, 4): voxel indices to mm, +x right, +y anterior, +z superior."""
        return np.array(self.affine_ras_flat, np.float64).reshape(4, 4)

    @property
    def hu(self) -> Array:
        """Hounsfield units, int16 (i, j, k), read at each call.

        Raises:
            StoreError: the file is missing or damaged.
        """
        return self._image(self.path)

    @property
    def classes_ml(self) -> dict[str, float]:
        """Volume in ml of each segmented class; `task/class` where tasks share a name."""
        found = self._relations.newest_rows(SIZES, {"volume": self.volume_id})
        names = [name for _, name, _ in found]
        return {
            name if names.count(name) == 1 else f"{task}/{name}": ml for task, name, ml in found
        }

    def mask(self, name: str) -> Array:
        """Voxels of an anatomy of the vocabulary, or of a class of the label maps, by its name.

        Bool (i, j, k) on the volume's grid. An anatomy holds what its classes show and no other
        anatomy claims before it, as in training.

        Raises:
            InputError: the label maps show nothing of that name.
            StoreError: a file is missing or damaged.
        """
        maps = self._label_maps()
        shown = self._anatomies_of(maps)
        if name in shown:
            labels = self._merged(maps, shown)
            return np.asarray(labels == 1 + shown.index(name))
        values = [(path, v) for path, _, names in maps for v, one in names.items() if one == name]
        if not values:
            there = sorted({*shown, *(one for _, _, names in maps for one in names.values())})
            near = get_close_matches(name, there, n=3, cutoff=0.5) or there
            told = f"it shows {', '.join(near)}" if near else "it has no label map"
            raise InputError(f"volume {self.volume_id}: no mask of {name}; {told}")
        masks = [self._image(path) == value for path, value in values]
        return np.asarray(np.logical_or.reduce(masks))

    def picture(self, window_hu: tuple[int, int] = (-160, 240)) -> bytes:
        """PNG: an axial, a coronal and a sagittal slice side by side, anatomies outlined.

        Each is the slice of its direction with most segmented voxels (the middle one where
        nothing is segmented), seen as radiologists do: the patient's right on the left, head on
        top, front to the left in the sagittal one.

        Raises:
            StoreError: a file is missing or damaged.
        """
        maps = self._label_maps()
        shown = self._anatomies_of(maps)
        labels = self._merged(maps, shown) if shown else np.zeros(tuple(self.shape), np.uint8)
        return three_planes(self.hu, labels, self.affine_ras, window_hu)

    def _label_maps(self) -> list[LabelMap]:
        names: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
        rows = self._relations.newest_rows(CLASSES, {"volume": self.volume_id})
        for path, system, value, name in rows:
            names[path, system][value] = name
        return [(path, system, classes) for (path, system), classes in names.items()]

    def _anatomies_of(self, maps: Sequence[LabelMap]) -> list[str]:
        """Anatomies of which a class is there, in order of precedence."""
        classes: dict[str, set[str]] = defaultdict(set)
        for _, system, names in maps:
            classes[system].update(names.values())
        return [
            anatomy
            for anatomy in self._vocabulary.imaged
            if any(
                not found.isdisjoint(self._vocabulary.classes_of(system).get(anatomy, ()))
                for system, found in classes.items()
            )
        ]

    def _merged(self, maps: Sequence[LabelMap], anatomies: Sequence[str]) -> Array:
        """Uint8 (i, j, k): 1 + place in `anatomies`, 0 for none."""
        read: list[tuple[Array, Mapping[int, str], str]] = [
            (self._image(path), names, system) for path, system, names in maps
        ]
        return merge_labels(read, anatomies, self._vocabulary)

    def _image(self, path: str) -> Array:
        try:
            return read_nifti(self._store.read_bytes(path)).data
        except NiftiError as error:
            raise StoreError(
                f"store {self._store.url}: {path} {error}; run `fvlm-data verify`"
            ) from error

    def __repr__(self) -> str:
        """Id, voxels and spacing."""
        voxels = " x ".join(map(str, self.shape))
        spacing = " x ".join(f"{mm:g}" for mm in self.spacing_mm)
        return f"<volume {self.volume_id}: {voxels} voxels of {spacing} mm>"

    def _repr_html_(self) -> str:
        """Three planes as a notebook shows them."""
        content = base64.b64encode(self.picture()).decode("ascii")
        told = html.escape(repr(self)[1:-1])
        return (
            f'<figure><img alt="axial, coronal and sagittal slice" '
            f'src="data:image/png;base64,{content}"><figcaption>{told}</figcaption></figure>'
        )
