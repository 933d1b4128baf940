"""Pictures of single slices with the outlines of anatomies."""

from __future__ import annotations

import colorsys
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.errors import StoreError
from fvlm_data.segment.grid import to_canonical
from fvlm_data.segment.merge import merge_labels
from fvlm_data.segment.nifti import NiftiError, read_nifti

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

Array = np.ndarray[Any, Any]

ANATOMIES = (
    "lung", "heart", "aorta", "esophagus", "liver", "spleen", "kidney", "stomach", "pancreas",
    "gallbladder", "adrenal_gland", "portal_vein", "small_intestine", "colon", "bladder", "sacrum",
    "bone",
)  # fmt: skip
WINDOW_HU = (-160, 240)
WIDTH_PIXELS = 240


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture uint8 (rows, columns, 3) of one volume; `anatomies` are those outlined.

    Without a picture: its file, or that of its label map, cannot be read.
    """

    volume_id: str
    image_rgb: Array | None
    anatomies: tuple[str, ...]


def colour_of(anatomy: str) -> tuple[int, int, int]:
    """Red, green and blue (0 to 255) of an anatomy's outline."""
    hue = ANATOMIES.index(anatomy) * 0.381966 % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def read_thumbnails(
    store: Store, volume_ids: Sequence[str], vocabulary: Vocabulary
) -> list[Thumbnail]:
    """A picture of each volume that has a label map; None for one whose files are damaged."""
    columns = ["volume_id", "path", "affine_ras"]
    volumes = store.read_items("volumes", "volume_id", volume_ids, columns)
    columns = ["volume_id", "path", "class_system", "class_name", "class_value"]
    maps: dict[str, dict[tuple[str, str], dict[int, str]]] = defaultdict(lambda: defaultdict(dict))
    for row in store.read_items("masks", "volume_id", volume_ids, columns):
        names = maps[row["volume_id"]][row["path"], row["class_system"]]
        names[row["class_value"]] = row["class_name"]
    made = []
    for volume in sorted(volumes, key=lambda row: row["volume_id"]):
        if volume["volume_id"] in maps:
            try:
                made.append(_thumbnail(store, volume, maps[volume["volume_id"]], vocabulary))
            except (NiftiError, StoreError):
                made.append(Thumbnail(volume["volume_id"], None, ()))
    return made


def _thumbnail(
    store: Store,
    volume: Mapping[str, Any],
    maps: Mapping[tuple[str, str], Mapping[int, str]],
    vocabulary: Vocabulary,
) -> Thumbnail:
    affine_ras = np.array(volume["affine_ras"]).reshape(4, 4)
    image_hu = read_nifti(store.read_bytes(volume["path"])).data
    labels = merge_labels(
        [
            (read_nifti(store.read_bytes(path)).data, names, system)
            for (path, system), names in sorted(maps.items())
        ],
        ANATOMIES,
        vocabulary,
    )
    image_hu, orientation = to_canonical(image_hu, affine_ras)
    labels, _ = to_canonical(labels, affine_ras)
    spacing_mm = np.linalg.norm(affine_ras[:3, :3], axis=0)[np.argsort(orientation[:, 0])]
    k = int((labels > 0).sum(axis=(0, 1)).argmax())
    picture = slice_picture(
        image_hu[:, :, k], labels[:, :, k], float(spacing_mm[1] / spacing_mm[0])
    )
    present = np.unique(labels[:, :, k])
    return Thumbnail(
        volume["volume_id"], picture, tuple(ANATOMIES[value - 1] for value in present if value)
    )


def slice_picture(slice_hu: Array, labels: Array, aspect: float) -> Array:
    """An axial slice (x to the right, y to the front) as radiologists see it, with outlines.

    The patient's right is on the left of the picture, the front on top. `labels` holds 1 + the
    index in ANATOMIES; `aspect` is the spacing along y over that along x. Returns uint8
    (rows, columns, 3).
    """
    columns = WIDTH_PIXELS
    rows = max(1, round(columns * slice_hu.shape[1] * aspect / slice_hu.shape[0]))
    x = np.arange(columns)[::-1] * slice_hu.shape[0] // columns
    y = np.arange(rows)[::-1] * slice_hu.shape[1] // rows
    low, high = WINDOW_HU
    grey = np.clip((slice_hu[x][:, y].T.astype(np.float32) - low) / (high - low), 0, 1)
    picture = np.repeat((grey * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    shown = labels[x][:, y].T
    edge = np.zeros(shown.shape, bool)
    edge[:-1] |= shown[:-1] != shown[1:]
    edge[:, :-1] |= shown[:, :-1] != shown[:, 1:]
    edge[1:] |= shown[1:] != shown[:-1]
    edge[:, 1:] |= shown[:, 1:] != shown[:, :-1]
    colours = np.array([(0, 0, 0), *(colour_of(anatomy) for anatomy in ANATOMIES)], np.uint8)
    outline = edge & (shown > 0)
    picture[outline] = colours[shown[outline]]
    return picture
