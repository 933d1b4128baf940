"""Faces on pages: as in samples, what shows a face is made air or not shown at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.shards.faces import AIR_HU, FACE, HEAD, HEAD_REGIONS, class_mask, rim

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.qc.scenes import Scene
    from fvlm_data.vocabulary import Vocabulary

Array = np.ndarray[Any, Any]

UNSEGMENTED = (
    "Planes are shown once the volume is segmented: until then nothing tells whether it shows a "
    "face (qc.faces)."
)
FACE_UNKNOWN = (
    "The volume shows a head and no mask has its face, so that it is not shown (qc.faces)."
)


def withheld(scene: Scene, region_header: str | None, vocabulary: Vocabulary) -> str:
    """Why a volume may not be shown; empty: it may, once its face is removed."""
    if not scene.maps:
        return UNSEGMENTED
    if any(_faces(one.class_system, vocabulary) & {*one.names.values()} for one in scene.maps):
        return ""
    head = any(_heads(one.class_system, vocabulary) & {*one.names.values()} for one in scene.maps)
    return FACE_UNKNOWN if head or region_header in HEAD_REGIONS else ""


def without_face(
    image_hu: Array,
    maps: Sequence[tuple[Array, Mapping[int, str], str]],
    spacing_mm: Sequence[float],
    vocabulary: Vocabulary,
) -> Array:
    """The image (i, j, k) in HU with face and rim as air, the same where no map has a face."""
    face_ijk = face_of(maps, spacing_mm, vocabulary)
    if face_ijk is None:
        return image_hu
    return np.where(face_ijk, image_hu.dtype.type(AIR_HU), image_hu)


def face_of(
    maps: Sequence[tuple[Array, Mapping[int, str], str]],
    spacing_mm: Sequence[float],
    vocabulary: Vocabulary,
) -> Array | None:
    """Voxels (i, j, k) of face and rim, bool; None where no map has a face."""
    found: Array | None = None
    for one in maps:
        face_ijk = class_mask([one], _faces(one[2], vocabulary))
        if face_ijk is not None:
            hidden = rim(face_ijk, spacing_mm)
            found = hidden if found is None else found | hidden
    return found


def _faces(system: str, vocabulary: Vocabulary) -> frozenset[str]:
    """Classes of a system that are a face, by name or as the vocabulary has them."""
    return FACE.union(vocabulary.classes_of(system).get("face", ()))


def _heads(system: str, vocabulary: Vocabulary) -> frozenset[str]:
    """Classes of a system that only a head shows."""
    return HEAD.union(vocabulary.classes_of(system).get("brain", ()))
