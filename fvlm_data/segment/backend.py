"""The one protocol of all segmentation backends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from fvlm_data.store.declared import Reject


@dataclass(frozen=True, slots=True)
class VolumeImage:
    """A CT volume: `image_hu` int16 (i, j, k), `affine_ras` 4 x 4, voxel (i, j, k, 1) to mm."""

    volume_id: str
    image_hu: np.ndarray[Any, Any]
    affine_ras: np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A label map of a backend's own classes.

    `labels` is uint8 or uint16 (i, j, k) on the volume's own grid, 0 background; `classes` names
    every other value in it (and may name more); `class_system` says whose names they are.
    """

    labels: np.ndarray[Any, Any]
    classes: Mapping[int, str]
    class_system: str


class Backend(Protocol):
    """A backend is called once a volume; a fault of the volume comes back as a Reject.

    It is made once a worker and keeps what is dear to load (weights) between calls.
    """

    @property
    def name(self) -> str:
        """Name of the backend, as in the configuration."""

    @property
    def version(self) -> str:
        """Version of what makes the label maps."""

    def __call__(self, volume: VolumeImage) -> Segmentation | Reject:
        """Label map of one volume on its own grid, or why there is none."""
