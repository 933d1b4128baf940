"""A training sample as readers give it, and crops of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int, int, int]


@dataclass(frozen=True, slots=True, repr=False)
class Sample:
    """A training sample, or a crop of it.

    `image_zyx` and `label_zyx` (uint8) have equal shapes; +z superior, +y posterior, +x patient
    left. The image is int16 HU where `hu_window` is None, else uint8 with 0 for the window's
    low and 255 for its high end, in HU. `label_values` gives the label of each anatomy that the
    shard can hold. `spacing_mm` is along z, y, x; `affine_ras` (4, 4) maps voxel (x, y, z, 1)
    of these arrays to RAS+ mm. The tuples from `states` to `boxes` align with `anatomies`;
    boxes are z0, y0, x0, z1, y1, x1 (end exclusive) in voxels of these arrays: of a crop they
    may lie partly or wholly outside, which means that the anatomy is cut. So does `apart`: the
    studies that review holds to differ from this one there, whatever their texts say.
    """

    sample_id: str
    patient_id: str
    study_id: str
    volume_id: str
    split: str
    image_zyx: Array
    label_zyx: Array
    label_values: dict[str, int]
    hu_window: tuple[int, int] | None
    spacing_mm: tuple[float, float, float]
    affine_ras: Array
    anatomies: tuple[str, ...]
    states: tuple[str, ...]
    signatures: tuple[int, ...]
    findings: tuple[frozenset[str], ...]
    labels: tuple[frozenset[str], ...]
    texts: tuple[str, ...]
    boxes: tuple[Box, ...]
    apart: tuple[frozenset[str], ...] = ()

    def __repr__(self) -> str:
        """Id, split and size: voxels and texts would fill a screen, or a log."""
        voxels = " x ".join(str(one) for one in self.image_zyx.shape)
        spacing = " x ".join(f"{one:g}" for one in self.spacing_mm)
        return (
            f"<sample {self.sample_id}: {self.split}, {voxels} voxels of {spacing} mm (z, y, x), "
            f"{len(self.anatomies)} anatomies>"
        )


def cropped(sample: Sample, box: Box) -> Sample:
    """The part `box` = (z0, y0, x0, z1, y1, x1), end exclusive, which shares the arrays' memory."""
    z0, y0, x0, z1, y1, x1 = box
    part = (slice(z0, z1), slice(y0, y1), slice(x0, x1))
    image_zyx, label_zyx = sample.image_zyx[part], sample.label_zyx[part]
    return moved(replace(sample, image_zyx=image_zyx, label_zyx=label_zyx), (z0, y0, x0))


def moved(sample: Sample, start_zyx: tuple[int, int, int]) -> Sample:
    """The sample with affine and boxes counted from voxel `start_zyx`, arrays as they are."""
    z, y, x = start_zyx
    affine = sample.affine_ras.copy()
    affine[:3, 3] = (affine @ np.array([x, y, z, 1.0]))[:3]
    boxes = tuple(
        (b[0] - z, b[1] - y, b[2] - x, b[3] - z, b[4] - y, b[5] - x) for b in sample.boxes
    )
    return replace(sample, affine_ras=affine, boxes=boxes)
