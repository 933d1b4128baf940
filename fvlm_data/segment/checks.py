"""What a label map and its volume say: rows a class, body region, contrast, flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.hashing import array_sha256
from schemas import Mask, VolumeCheck

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.segment.backend import Segmentation, VolumeImage
    from fvlm_data.vocabulary import Vocabulary

REGION_MARKS_ML = {
    "head": {"brain": 100.0, "face": 50.0},
    "chest": {"lung": 800.0, "heart": 150.0},
    "abdomen": {"liver": 100.0, "spleen": 30.0, "kidney": 30.0, "pancreas": 10.0},
    "pelvis": {"bladder": 5.0, "hip": 50.0, "sacrum": 30.0},
}
"""Region to the anatomies that show it and the ml of one that suffice (a lung's base does not)."""

BORDER_ANATOMIES = (
    "adrenal_gland", "aorta", "bladder", "colon", "esophagus", "gallbladder", "heart", "kidney",
    "liver", "lung", "pancreas", "portal_vein", "sacrum", "small_intestine", "spleen", "stomach",
)  # fmt: skip
"""Anatomies that are flagged `<anatomy>_cut` where they touch a face of the volume."""

VESSELS = ("aorta", "portal_vein")

ENHANCED_HU = 100
UNENHANCED_HU = 75
LEAST_VESSEL_VOXELS = 100

ARTERIAL_RATIO = 1.5
"""Aorta over portal vein, HU, from which on the contrast medium is still in the arteries."""


def mask_rows(
    volume: VolumeImage, made: Segmentation, task: str, path: str, backend: str, version: str
) -> list[Mask]:
    """One row for each class present in the label map, by class value."""
    from scipy import ndimage

    top = int(made.labels.max(initial=0)) + 1
    slabs = (np.bincount(slab.ravel(), minlength=top) for slab in made.labels)
    counts = np.sum(list(slabs), axis=0)  # by slabs: bincount casts every voxel to 8 bytes
    boxes = ndimage.find_objects(made.labels)
    # the determinant is the voxel's volume in mm3, for oblique axes too; its sign is the handedness
    voxel_ml = abs(float(np.linalg.det(volume.affine_ras[:3, :3]))) / 1000
    content_sha256 = array_sha256(made.labels)
    rows = []
    for value in np.flatnonzero(counts[1:]) + 1:
        box = boxes[value - 1]
        sides = zip(box, made.labels.shape, strict=True)
        rows.append(
            Mask(
                volume_id=volume.volume_id,
                task=task,
                class_system=made.class_system,
                class_name=made.classes[int(value)],
                class_value=int(value),
                voxels=int(counts[value]),
                volume_ml=float(counts[value]) * voxel_ml,
                bbox=(*(int(s.start) for s in box), *(int(s.stop) for s in box)),
                touches_border=any(s.start == 0 or s.stop == size for s, size in sides),
                path=path,
                content_sha256=content_sha256,
                backend=backend,
                backend_version=version,
            )
        )
    return rows


def volume_check(
    volume: VolumeImage, made: Segmentation, rows: Sequence[Mask], vocabulary: Vocabulary
) -> VolumeCheck:
    """Body region, contrast and flags from the classes present and the voxels under them."""
    anatomies = vocabulary.classes_of(made.class_system)
    declared = set(made.classes.values())
    ml: dict[str, float] = {}
    cut = set()
    for anatomy, names in anatomies.items():
        mine = [row for row in rows if row.class_name in names]
        if mine:
            ml[anatomy] = sum(row.volume_ml for row in mine)
            if any(row.touches_border for row in mine) and anatomy in BORDER_ANATOMIES:
                cut.add(f"{anatomy}_cut")
    vessels_hu = _vessels_hu(volume.image_hu, made, anatomies)
    return VolumeCheck(
        volume_id=volume.volume_id,
        body_region=body_region(ml),
        contrast=contrast(vessels_hu),
        flags=tuple(sorted(cut | phase_flags(vessels_hu))),
        searched=tuple(
            sorted(a for a, names in anatomies.items() if not declared.isdisjoint(names))
        ),
    )


def classes_checked(vocabulary: Vocabulary) -> list[list[Any]]:
    """Classes of the anatomies that a check asks for, by class system: part of an item's key.

    Other anatomies only widen `searched`, which is no reason to segment again.
    """
    marks = {anatomy for ones in REGION_MARKS_ML.values() for anatomy in ones}
    asked = sorted({*marks, *BORDER_ANATOMIES, *VESSELS})
    return [
        [system, anatomy, sorted(vocabulary.classes_of(system)[anatomy])]
        for system in sorted(vocabulary.systems)
        for anatomy in asked
        if anatomy in vocabulary.classes_of(system)
    ]


def body_region(anatomy_ml: dict[str, float]) -> str:
    """Regions that the anatomies show, from head to pelvis, joined by +; else unknown."""
    regions = [
        region
        for region, marks in REGION_MARKS_ML.items()
        if any(anatomy_ml.get(anatomy, 0.0) >= least for anatomy, least in marks.items())
    ]
    return "+".join(regions) or "unknown"


def contrast(vessels_hu: Mapping[str, float]) -> str:
    """Enhanced, unenhanced or unknown, by the median HU of aorta and portal vein.

    Blood without contrast medium lies at 30 to 65 HU, with it above 100 HU in at least one of
    the two vessels in every phase but the latest. A portal vein alone does not prove that there
    is no contrast: in the arterial phase it is dark.
    """
    if vessels_hu and max(vessels_hu.values()) >= ENHANCED_HU:
        return "enhanced"
    if (
        vessels_hu.get("aorta", ENHANCED_HU) <= UNENHANCED_HU
        and max(vessels_hu.values()) <= UNENHANCED_HU
    ):
        return "unenhanced"
    return "unknown"


def phase_flags(vessels_hu: Mapping[str, float]) -> set[str]:
    """The flag `phase_arterial` or `phase_portal_venous` of a volume that shows both vessels."""
    aorta, portal = vessels_hu.get("aorta"), vessels_hu.get("portal_vein")
    if aorta is None or portal is None or contrast(vessels_hu) != "enhanced":
        return set()
    if aorta >= ARTERIAL_RATIO * portal:
        return {"phase_arterial"}
    return {"phase_portal_venous"} if portal >= ENHANCED_HU else set()


def _vessels_hu(
    image_hu: np.ndarray[Any, Any], made: Segmentation, anatomies: Mapping[str, tuple[str, ...]]
) -> dict[str, float]:
    medians = {}
    for vessel in VESSELS:
        values = [v for v, name in made.classes.items() if name in anatomies.get(vessel, ())]
        voxels = image_hu[np.isin(made.labels, values)] if values else image_hu[:0]
        if voxels.size >= LEAST_VESSEL_VOXELS:
            # a median: calcified plaques and stents do not move it
            medians[vessel] = float(np.median(voxels))
    return medians
