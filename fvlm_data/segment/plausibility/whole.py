"""All checks of a label map against its image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.config import LIBRARY_SYSTEMS
from fvlm_data.segment.library_classes import library_classes
from fvlm_data.segment.plausibility.alignment import alignment
from fvlm_data.segment.plausibility.continuity import continuity_remarks
from fvlm_data.segment.plausibility.ends import end_remarks
from fvlm_data.segment.plausibility.expected import Expected, load_expected
from fvlm_data.segment.plausibility.measures import runs_of
from fvlm_data.segment.plausibility.numbering import numbering_remarks
from fvlm_data.segment.plausibility.place import place_remarks
from fvlm_data.segment.plausibility.position import position_remarks
from fvlm_data.segment.plausibility.remark import Remark, of, whole
from fvlm_data.segment.plausibility.structures import structures_of
from fvlm_data.segment.plausibility.tissue import (
    air_remarks,
    enough,
    intensity_remarks,
    size_remarks,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.segment.backend import Segmentation, VolumeImage
    from fvlm_data.segment.plausibility.measures import Measure, Runs

MOVED_MM = 8.0
MOVED_GAIN = 0.04
ALIGNED_CLASSES = 3
ALIGNED_ML = 300.0
"""Fewer classes or less of them fit in many places: the alignment says nothing."""

ELSEWHERE = frozenset(
    {"another_numbering", "mask_moved", "upside_down", "sides_exchanged", "front_back_exchanged"}
)
"""What is true of the whole label map, so that no single organ is looked for."""

PIECES_MM = 3.0
"""Grid on which pieces are counted; a bridge narrower than this may part."""

MISSING_SHARE = 0.1
LEAST_PARTNER_ML = 20.0
MIDDLE = ("spine", "spinal_cord", "aorta")


def remarks_on(
    volume: VolumeImage,
    made: Segmentation,
    measures: Mapping[str, Measure],
    runs: Runs | None = None,
) -> list[Remark]:
    """What is wrong or remarkable with a label map, by its image and by anatomy.

    `measures` are those of all classes that it shows, by name, `runs` those of its values, where
    they are known.
    """
    expected = load_expected()
    structures = structures_of(measures, expected)
    present = {v: (name, measures[name]) for v, name in made.classes.items() if name in measures}
    image, affine = volume.image_hu, volume.affine_ras
    runs = runs or made.runs or runs_of(made.labels)
    remarks = _numbering(made, present, expected)
    remarks += continuity_remarks(made.labels, runs, affine, made.classes)
    remarks += end_remarks(made.labels, image, affine, runs, made.classes, expected)
    remarks += intensity_remarks({expected.canonical(n): m for n, m in measures.items()}, expected)
    remarks += air_remarks(structures, expected)
    remarks += position_remarks(structures, expected)
    remarks += size_remarks(structures, expected, volume.age_years, volume.sex)
    remarks += _moved(volume, made, measures, expected)
    if ELSEWHERE.isdisjoint(remark.code for remark in remarks):
        remarks += place_remarks(made.labels, image, affine, present, expected)
    remarks += _fragments(volume, made, measures, expected)
    remarks += _missing(volume, made, structures, expected)
    return _exchanged(remarks)


def _numbering(
    made: Segmentation, present: Mapping[int, tuple[str, Measure]], expected: Expected
) -> list[Remark]:
    if made.class_system not in LIBRARY_SYSTEMS:
        return []
    own = library_classes(made.class_system)
    if any(own.get(value) != name for value, (name, _) in present.items()):
        return []  # values of one's own
    others = [(system, library_classes(system)) for system in LIBRARY_SYSTEMS]
    measures = {value: one for value, (_, one) in present.items()}
    return numbering_remarks(measures, (made.class_system, made.classes), others, expected)


def _moved(
    volume: VolumeImage, made: Segmentation, measures: Mapping[str, Measure], expected: Expected
) -> list[Remark]:
    kinds = {}
    compared = []
    for value, name in made.classes.items():
        told = expected.intensity(expected.canonical(name))
        if name in measures and told and told.kind:
            kinds[value] = told.kind
            compared.append(measures[name])
    if len(compared) < ALIGNED_CLASSES or sum(one.ml for one in compared) < ALIGNED_ML:
        return []
    found = alignment(made.labels, volume.image_hu, volume.affine_ras, kinds)
    if found is None or found.distance_mm < MOVED_MM or found.gain < MOVED_GAIN:
        return []
    right, front, up = found.moved_mm
    seen = (
        f"the mask fits the image better if it is moved back by {found.distance_mm:.0f} mm: it "
        f"lies {right:+.0f} mm to the right, {front:+.0f} mm to the front, {up:+.0f} mm up from "
        f"there (gain {found.gain:.2f})"
    )
    return [whole("mask_moved", seen)]


def _fragments(
    volume: VolumeImage, made: Segmentation, measures: Mapping[str, Measure], expected: Expected
) -> list[Remark]:
    from scipy import ndimage

    spacing_mm = np.linalg.norm(volume.affine_ras[:3, :3], axis=0)
    steps = [max(1, int(PIECES_MM / size)) for size in spacing_mm]
    remarks = []
    for value, name in made.classes.items():
        one = measures.get(name)
        if one is None or expected.canonical(name) not in expected.one_piece or not enough(one):
            continue
        box = tuple(slice(one.box[a], one.box[a + 3], steps[a]) for a in range(3))
        pieces, count = ndimage.label(made.labels[box] == value)
        if count < 2:
            continue
        sizes = np.bincount(pieces.ravel())[1:]
        share = sizes.max() / sizes.sum()
        if share < expected.one_piece_share:
            seen = f"{name} lies in {count} pieces, the largest {100 * share:.0f} % of it"
            remarks.append(of("fragments", name, seen))
    return remarks


def _missing(
    volume: VolumeImage, made: Segmentation, structures: Mapping[str, Measure], expected: Expected
) -> list[Remark]:
    """One of two partners is there and the other is not, though the image reaches its place."""
    middle = next((structures[name] for name in MIDDLE if name in structures), None)
    if middle is None:
        return []
    searched = {expected.canonical(name) for name in made.classes.values()}
    reach = _reach_mm(volume.image_hu.shape, volume.affine_ras)
    remarks = []
    for pair in expected.together:
        for there, gone in (pair, pair[::-1]):
            one, other = structures.get(there), structures.get(gone)
            parts = expected.structures.get(gone, [gone])
            if one is None or one.cut or one.ml < LEAST_PARTNER_ML or searched.isdisjoint(parts):
                continue
            if other is not None and (other.cut or other.ml >= MISSING_SHARE * one.ml):
                continue
            mirrored = middle.extent_mm[0].sum() - one.extent_mm[0][::-1]
            if mirrored[0] < reach[0] or mirrored[1] > reach[1]:
                continue
            found = f"{other.ml:.0f} ml" if other else "nothing"
            seen = f"{found} of {gone} beside {one.ml:.0f} ml of {there}"
            remarks.append(of("missing", gone, seen))
    return remarks


def _exchanged(remarks: list[Remark]) -> list[Remark]:
    """Reversed viscera of which one has the other's size are exchanged classes, no situs."""
    order = [remark for remark in remarks if remark.code == "size_order"]
    if not order:
        return remarks
    return [
        whole("class_misplaced", f"{remark.seen}; and {order[0].seen}")
        if remark.code == "situs_inversus"
        else remark
        for remark in remarks
    ]


def _reach_mm(shape: tuple[int, ...], affine_ras: Any) -> tuple[float, float]:
    """Least and greatest x of the volume's voxels, RAS mm."""
    corners = np.stack(np.meshgrid(*((0, n - 1) for n in shape), indexing="ij"), axis=-1)
    x = corners.reshape(-1, 3) @ affine_ras[0, :3] + affine_ras[0, 3]
    return float(x.min()), float(x.max())
