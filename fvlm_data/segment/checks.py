"""What a label map and its volume say: rows a class, body region, contrast, flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.hashing import array_sha256
from fvlm_data.segment.header_check import header_remarks
from fvlm_data.segment.phase import Phase, contrast, phase_flags, phase_of
from fvlm_data.segment.plausibility.measures import Measure, Runs, hu_under, measure, runs_of
from fvlm_data.segment.plausibility.remark import Remark
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
"""Anatomies flagged where they touch a face of the volume: `liver_cut`, `liver_cut_top`."""

VESSELS = ("aorta", "portal_vein")
URINARY = ("kidney", "bladder")

LEAST_VESSEL_VOXELS = 100

URINE_SHARE = 0.95
"""Share of kidneys and bladder below the densest urine, which a few stones do not move."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A label map read once: its runs, and a measure of each class that it shows, by name."""

    runs: Runs
    measures: Mapping[str, Measure]


def look(volume: VolumeImage, made: Segmentation) -> Looked:
    """Read a label map and the intensities under it."""
    runs = made.runs or runs_of(made.labels)
    return Looked(runs, measure(runs, volume.image_hu, volume.affine_ras, made.classes))


def mask_rows(
    volume: VolumeImage,
    made: Segmentation,
    task: str,
    path: str,
    backend: str,
    version: str,
    looked: Looked | None = None,
) -> list[Mask]:
    """One row for each class present in the label map, by class value."""
    measures = (looked or look(volume, made)).measures
    content_sha256 = array_sha256(made.labels)
    values = {name: value for value, name in made.classes.items()}
    return [
        Mask(
            volume_id=volume.volume_id,
            task=task,
            class_system=made.class_system,
            class_name=name,
            class_value=values[name],
            voxels=one.voxels,
            volume_ml=one.ml,
            bbox=one.box,
            touches_border=one.cut,
            path=path,
            content_sha256=content_sha256,
            backend=backend,
            backend_version=version,
        )
        for name, one in measures.items()
    ]


def volume_check(
    volume: VolumeImage,
    made: Segmentation,
    rows: Sequence[Mask],
    vocabulary: Vocabulary,
    looked: Looked | None = None,
    *,
    remarks: Sequence[Remark] | None = None,
) -> VolumeCheck:
    """Body region, contrast and flags from the classes present and the voxels under them.

    `remarks` are those to flag (None: all that the image shows, see `image_remarks`).
    """
    looked = looked or look(volume, made)
    anatomies = vocabulary.classes_of(made.class_system)
    declared = set(made.classes.values())
    ml = _ml(rows, anatomies)
    told = phase(volume, made, vocabulary, looked)
    if remarks is None:
        remarks = image_remarks(volume, made, vocabulary, looked)
    return VolumeCheck(
        volume_id=volume.volume_id,
        body_region=body_region(ml),
        contrast=contrast(_vessels_hu(volume.image_hu, made, anatomies, looked)),
        region_confidence=region_confidence(ml),
        phase=told.name,
        phase_confidence=told.confidence,
        flags=tuple(sorted({remark.flag for remark in remarks})),
        searched=tuple(
            sorted(a for a, names in anatomies.items() if not declared.isdisjoint(names))
        ),
    )


def image_remarks(
    volume: VolumeImage, made: Segmentation, vocabulary: Vocabulary, looked: Looked
) -> list[Remark]:
    """What the image shows that is no fault: organs cut, contrast phase, header."""
    anatomies = vocabulary.classes_of(made.class_system)
    remarks = []
    for anatomy in BORDER_ANATOMIES:
        parts = [looked.measures[n] for n in anatomies.get(anatomy, ()) if n in looked.measures]
        faces = sorted({face for part in parts for face in part.faces})
        if faces:
            seen = f"{anatomy} touches the volume's {', '.join(faces)}"
            remarks.append(Remark("cut", f"{anatomy}_cut", seen))
            remarks += [Remark("cut", f"{anatomy}_cut_{face}", seen) for face in faces]
    vessels_hu = _vessels_hu(volume.image_hu, made, anatomies, looked)
    shown = ", ".join(f"{name} {hu:.0f} HU" for name, hu in vessels_hu.items())
    told = phase(volume, made, vocabulary, looked)
    remarks += [Remark("phase", flag, shown) for flag in phase_flags(vessels_hu, told)]
    ml = {
        name: sum(looked.measures[n].ml for n in names if n in looked.measures)
        for name, names in anatomies.items()
    }
    return remarks + header_remarks(
        body_region(ml), told, contrast(vessels_hu), volume.region_header, volume.contrast_header
    )


def classes_checked(vocabulary: Vocabulary) -> list[list[Any]]:
    """Classes of the anatomies that a check asks for, by class system: part of an item's key.

    Other anatomies only widen `searched`, which is no reason to segment again.
    """
    marks = {anatomy for ones in REGION_MARKS_ML.values() for anatomy in ones}
    asked = sorted({*marks, *BORDER_ANATOMIES, *VESSELS, *URINARY})
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


def phase(volume: VolumeImage, made: Segmentation, vocabulary: Vocabulary, looked: Looked) -> Phase:
    """Contrast phase by vessels, kidneys and bladder."""
    anatomies = vocabulary.classes_of(made.class_system)
    urine = [
        looked.measures[name].quantile_hu(URINE_SHARE)
        for anatomy in URINARY
        for name in anatomies.get(anatomy, ())
        if name in looked.measures and looked.measures[name].voxels >= LEAST_VESSEL_VOXELS
    ]
    vessels_hu = _vessels_hu(volume.image_hu, made, anatomies, looked)
    return phase_of(vessels_hu, max(urine, default=None))


def region_confidence(anatomy_ml: Mapping[str, float]) -> float:
    """How sure the regions are: one half where one shows no more than it must, towards 1."""
    excess = [
        max(anatomy_ml.get(anatomy, 0.0) / least for anatomy, least in marks.items())
        for marks in REGION_MARKS_ML.values()
    ]
    return round(min((1 - 0.5 / one for one in excess if one >= 1), default=0.0), 3)


def _ml(rows: Sequence[Mask], anatomies: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
    """Volume of each anatomy that the rows show, ml."""
    return {
        anatomy: sum(row.volume_ml for row in rows if row.class_name in names)
        for anatomy, names in anatomies.items()
        if any(row.class_name in names for row in rows)
    }


def _vessels_hu(
    image_hu: np.ndarray[Any, Any],
    made: Segmentation,
    anatomies: Mapping[str, tuple[str, ...]],
    looked: Looked,
) -> dict[str, float]:
    medians = {}
    for vessel in VESSELS:
        values = [v for v, name in made.classes.items() if name in anatomies.get(vessel, ())]
        voxels = hu_under(looked.runs, image_hu, values)
        if voxels.size >= LEAST_VESSEL_VOXELS:
            # a median: calcified plaques and stents do not move it
            medians[vessel] = float(np.median(voxels))
    return medians
