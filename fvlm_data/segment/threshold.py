"""Backend `threshold`: body, lungs, airways and bones by density and shape, without any model.

The rules, their numbers and sources stand in `fvlm_data/segment/density/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.backend import BackendEntry, Segmentation, VolumeImage
from fvlm_data.segment.density.airways import AERATED_HU as LUMEN_EDGE_HU
from fvlm_data.segment.density.airways import airway_of
from fvlm_data.segment.density.body import TISSUE_HU, body_of
from fvlm_data.segment.density.bones import bones_of
from fvlm_data.segment.density.lungs import LEFT, LUNG_HU, RIGHT, lungs_of, sides_of
from fvlm_data.segment.density.working import paint, working
from fvlm_data.segment.grid import from_canonical, to_canonical
from fvlm_data.store.declared import Reject

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]

CLASSES = {1: "body", 2: "lung_left", 3: "lung_right", 4: "bone", 5: "airway"}
BODY, LUNG_LEFT, LUNG_RIGHT, BONE, AIRWAY = CLASSES

FAT_HU = -30
FAT_SHARE = 0.001
"""Every body has fat: less than this share below -30 HU, and the values are no HU."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """See the module's text; it has no settings."""

    name: str = "threshold"
    version: str = "2"

    def __call__(self, volume: VolumeImage) -> Segmentation | Reject:
        """Label map uint8 (i, j, k) of what the image proves; sides are the patient's."""
        image, orientation = to_canonical(volume.image_hu, volume.affine_ras)
        sizes_mm = np.linalg.norm(volume.affine_ras[:3, :3], axis=0)
        # orientation[:, 0] says which canonical axis each stored axis becomes; spacings move along
        spacing_mm = sizes_mm[np.argsort(orientation[:, 0])]
        labels = segment_canonical(image, spacing_mm)
        if isinstance(labels, Reject):
            return labels
        return Segmentation(from_canonical(labels, orientation), CLASSES, "threshold")


def segment_canonical(image_hu: Array, spacing_mm: Sequence[float]) -> Array | Reject:
    """Label map uint8 of `image_hu` (x, y, z), axes towards patient right, anterior, superior."""
    grid = working(image_hu, spacing_mm)
    body, inner_air = body_of(grid)
    reason = _unlike_a_body(grid.hu, body)
    if reason:
        return reason
    lung = lungs_of(grid, inner_air)
    airway = airway_of(grid, inner_air, lung)
    lung &= ~airway
    sides = sides_of(lung, body, grid)
    bone = bones_of(grid, body, lung | airway)
    labels = np.zeros_like(image_hu, np.uint8)
    paint(labels, image_hu, body, BODY, grid, within_hu=(TISSUE_HU, np.inf))
    paint(labels, image_hu, bone.bone, BONE, grid, within_hu=(bone.surface_hu, np.inf))
    for side, value in ((LEFT, LUNG_LEFT), (RIGHT, LUNG_RIGHT)):
        # the surface stops at the other lung and at the airways
        room = (sides == side) | ((sides == 0) & ~airway)
        paint(labels, image_hu, sides == side, value, grid, within_hu=(-np.inf, LUNG_HU), room=room)
    paint(labels, image_hu, airway, AIRWAY, grid, within_hu=(-np.inf, LUMEN_EDGE_HU))
    return labels


def _unlike_a_body(hu: Array, body: Array) -> Reject | None:
    if not body.any():
        return Reject(
            "out_of_scope",
            "no_body",
            "found no piece of tissue as thick as a body (14 mm) and of 2 ml; look at the volume: "
            "a scan of air, of a phantom, or values that are no HU",
        )
    share = float(np.mean(hu[body] < FAT_HU))
    if share < FAT_SHARE:
        return Reject(
            "fault",
            "values_no_hu",
            f"{100 * share:.2f} % of the body lie below {FAT_HU} HU, expected at least "
            f"{100 * FAT_SHARE:.1f} % (fat, air): these are no HU of a CT; look at its rescale "
            "values and at whether it is one",
        )
    return None


THRESHOLD = BackendEntry(make=lambda _config, _options: Threshold(), task="threshold")
