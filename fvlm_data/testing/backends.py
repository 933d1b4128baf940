"""The check of a segmentation backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.backend import Segmentation, VolumeImage, made_backend
from fvlm_data.segment.config import SegmentConfig
from fvlm_data.testing.statements import check_reject, require
from fvlm_data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.store.declared import Reject


def check_backend(
    name: str,
    volume: VolumeImage,
    options: Mapping[str, Any] | None = None,
    vocabulary: Vocabulary | None = None,
) -> Segmentation:
    """Segment a volume that shows what the backend looks for, and return its label map.

    It is uint8 or uint16 on the volume's own grid, every value in it has a name, the class
    system is one of the vocabulary (none given: the built-in English one); a second call gives
    the same, and the volume is left as it was.

    Raises:
        AssertionError: one of these does not hold.
    """
    backend = made_backend(SegmentConfig(backend=name, options=dict(options or {})))
    require(backend.name == name, f"{name}: its backend calls itself {backend.name}")
    require(bool(backend.version), f"{name}: its backend has no version")
    before = volume.image_hu.copy()
    # twice: a backend that keeps state between volumes, or draws at random, shows here
    made, again = backend(volume), backend(volume)
    require(np.array_equal(before, volume.image_hu), f"{name}: the volume's values were changed")
    made, again = _accepted(name, volume, made), _accepted(name, volume, again)
    require(np.array_equal(made.labels, again.labels), f"{name}: a second call gives other labels")
    require(
        made.labels.shape == volume.image_hu.shape,
        f"{name}: labels of shape {made.labels.shape}, expected {volume.image_hu.shape}",
    )
    require(
        made.labels.dtype in (np.uint8, np.uint16),
        f"{name}: labels are {made.labels.dtype}, expected uint8 or uint16",
    )
    values = set(np.unique(made.labels).tolist()) - {0}
    require(bool(values), f"{name}: the label map is empty, expected a class")
    unnamed = values - set(made.classes)
    require(not unnamed, f"{name}: values {sorted(unnamed)} have no name in `classes`")
    (vocabulary or Vocabulary.load("en")).classes_of(made.class_system)
    return made


def _accepted(name: str, volume: VolumeImage, made: Segmentation | Reject) -> Segmentation:
    if isinstance(made, Segmentation):
        return made
    check_reject(made.kind, made.reason, made.detail, [volume.volume_id])
    raise AssertionError(f"{name}: the volume was set aside, expected a label map")
