"""Pictures of single slices with the outlines of anatomies."""

from __future__ import annotations

import colorsys
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.errors import StoreError
from fvlm_data.hashing import content_key
from fvlm_data.qc.outlines import outlined
from fvlm_data.qc.png import PngError, description_of, png_bytes
from fvlm_data.qc.scenes import Scene, drawn_as, read_scenes
from fvlm_data.segment.grid import to_canonical
from fvlm_data.segment.merge import merge_labels, ranked_anatomies
from fvlm_data.segment.nifti import NiftiError, read_nifti

if TYPE_CHECKING:
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

FOLDER = "qc/thumbnails"

VERSION = 1
"""Version of the drawing code: a new one redraws all pictures."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture of one volume as a PNG file; `anatomies` are those outlined.

    Without a picture: its file, or that of its label map, cannot be read.
    """

    volume_id: str
    png: bytes | None
    anatomies: tuple[str, ...]


def colour_of(anatomy: str) -> tuple[int, int, int]:
    """Red, green and blue (0 to 255) of an anatomy's outline."""
    # the golden angle: neighbours in the list get hues far apart
    hue = ANATOMIES.index(anatomy) * 0.381966 % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def kept_thumbnails(store: Store, volumes: int, vocabulary: Vocabulary) -> list[Thumbnail]:
    """A picture of each of the first volumes that have a label map, ordered by id.

    Pictures are stored under the hash of what they show, so volumes and masks are read only for
    new ones; pictures that are no longer shown are removed. One that cannot be made because its
    files are damaged is tried again the next time.

    Raises:
        StoreError: a table cannot be read or a picture not written.
    """
    made, wanted = [], set()
    there = set(store.files(FOLDER))
    for scene in read_scenes(store, volumes):
        path = picture_path(scene, vocabulary)
        wanted.add(path)
        kept = kept_picture(store, path) if path in there else None
        if kept is None and (kept := drawn_picture(store, scene, vocabulary)) is not None:
            store.write_bytes(path, kept)
        shown = tuple(description_of(kept).split()) if kept else ()
        made.append(Thumbnail(scene.volume_id, kept, shown))
    for path in sorted(there - wanted):
        # any other name is a draft of a concurrent run, which may also remove pictures
        if re.fullmatch(r"[0-9a-f]{64}\.png", path.rpartition("/")[2]):
            with suppress(FileNotFoundError):
                store.remove(path)
    return made


def picture_path(scene: Scene, vocabulary: Vocabulary) -> str:
    """Where a picture lies in the store: by the content of volume and masks, and how it is drawn.

    A class counts as the anatomy that it is drawn as, so that a changed list of classes redraws
    only the pictures that it affects.
    """
    drawn = drawn_as(scene, ANATOMIES, vocabulary)
    ranked = ranked_anatomies(ANATOMIES, vocabulary)
    style = (VERSION, ANATOMIES, ranked, WINDOW_HU, WIDTH_PIXELS)
    return f"{FOLDER}/{content_key(style, scene.content_sha256, drawn)}.png"


def kept_picture(store: Store, path: str) -> bytes | None:
    """The picture as it was made; None where it is damaged or was removed meanwhile."""
    try:
        content = store.read_bytes(path)
        description_of(content)
    except (StoreError, PngError):
        return None
    return content


def drawn_picture(store: Store, scene: Scene, vocabulary: Vocabulary) -> bytes | None:
    """The picture as a PNG file; None where the volume or a label map cannot be read."""
    try:
        return _picture(store, scene, vocabulary)
    except (NiftiError, StoreError):
        return None


def _picture(store: Store, scene: Scene, vocabulary: Vocabulary) -> bytes:
    affine_ras = np.array(scene.affine_ras).reshape(4, 4)
    image_hu = read_nifti(store.read_bytes(scene.path)).data
    labels = merge_labels(
        [
            (read_nifti(store.read_bytes(one.path)).data, one.names, one.class_system)
            for one in scene.maps
        ],
        ANATOMIES,
        vocabulary,
    )
    image_hu, orientation = to_canonical(image_hu, affine_ras)
    labels, _ = to_canonical(labels, affine_ras)
    # spacings move with their axes into canonical order
    spacing_mm = np.linalg.norm(affine_ras[:3, :3], axis=0)[np.argsort(orientation[:, 0])]
    # one picture a volume: that of the slice with most labelled voxels
    k = int((labels > 0).sum(axis=(0, 1)).argmax())
    picture = slice_picture(
        image_hu[:, :, k], labels[:, :, k], float(spacing_mm[1] / spacing_mm[0])
    )
    present = np.unique(labels[:, :, k])
    return png_bytes(picture, " ".join(ANATOMIES[value - 1] for value in present if value))


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
    colours = np.array([(0, 0, 0), *(colour_of(anatomy) for anatomy in ANATOMIES)], np.uint8)
    return outlined(slice_hu[x][:, y].T, labels[x][:, y].T, colours, WINDOW_HU)
