"""Backend `precomputed`: label maps that exist already, checked before they are believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment import mask_content
from fvlm_data.segment.backend import BackendEntry, Segmentation, VolumeImage
from fvlm_data.segment.class_map import disagreement, unnamed_values
from fvlm_data.segment.dicom_seg import read_dicom_seg
from fvlm_data.segment.fingerprint import UNREADABLE
from fvlm_data.segment.grid import every_nth, reoriented, same_but_moved
from fvlm_data.segment.itk_bytes import read_mha, read_nrrd, segments_of
from fvlm_data.segment.label_values import whole_numbers
from fvlm_data.segment.mask_content import stem
from fvlm_data.segment.nifti import NiftiError, NiftiImage, read_nifti
from fvlm_data.segment.plausibility.measures import runs_of
from fvlm_data.segment.plausibility.remark import Remark, whole
from fvlm_data.segment.resampling import resampled
from fvlm_data.segment.segments import Segment, SegmentError, label_map, shown_name
from fvlm_data.store.declared import Reject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fvlm_data.segment.class_map import ClassMap
    from fvlm_data.segment.mask_files import MaskFile

Array = np.ndarray[Any, Any]

SHOWN_VALUES = 8

FORMS_APART = 0.5
"""Voxels: rounding leaves less, another orientation or place more."""


@dataclass(frozen=True, slots=True)
class OfferedMask:
    """A mask file that names a volume, what its values mean, and how many volumes it names.

    `sha256` is that of the file when it was found; UNREADABLE where it could not be opened.
    """

    mask: MaskFile
    class_map: ClassMap
    sha256: str
    volumes_named: int = 1


class MaskGoneError(Exception):
    """A mask is no longer what discovery found: it is gone, or was rewritten."""


@dataclass(frozen=True, slots=True)
class ReadMask:
    """`labels` (a, b, c) of declared classes, `affine_ras` voxel to mm, what is to be said of them.

    `of_these_slices`: it was drawn on slices of the very series, as DICOM segmentations are.
    """

    labels: Array
    affine_ras: Array
    remarks: tuple[Remark, ...] = ()
    of_these_slices: bool = False


@dataclass(frozen=True, slots=True)
class Precomputed:
    """`candidates` holds the masks on offer by volume id."""

    candidates: Mapping[str, Sequence[OfferedMask]]
    grid_tolerance_voxels: float
    name: str = "precomputed"
    version: str = "1"

    def __call__(self, volume: VolumeImage) -> Segmentation | Reject:
        """The volume's only mask on the volume's grid, or why it cannot be taken.

        Raises:
            MaskGoneError: the mask is gone or was changed since it was found.
        """
        offered = self.candidates.get(volume.volume_id, ())
        tokens = tuple(sorted({candidate.mask.token for candidate in offered}))
        if len(offered) != 1 or offered[0].volumes_named != 1:
            return _ambiguous(offered, tokens)
        (candidate,) = offered
        if candidate.mask.fault is not None:
            return candidate.mask.fault
        contents = _contents(candidate)
        if contents is None:
            return _unreadable("cannot be read from disk", tokens)
        try:
            read = _read(candidate, contents)
        except NiftiError as error:
            return _unreadable(str(error), tokens)
        except SegmentError as error:
            return _fault(error.reason, f"the mask: {error}", tokens)
        made = self._on_grid(volume, read, tokens)
        if isinstance(made, Reject):
            return made
        labels, remarks = made
        return _named(labels, (*read.remarks, *remarks), candidate.class_map, tokens)

    def _on_grid(
        self, volume: VolumeImage, read: ReadMask, tokens: tuple[str, ...]
    ) -> tuple[Array, tuple[Remark, ...]] | Reject:
        """The label map on the volume's grid, resampled where it has another one."""
        shape, target = volume.image_hu.shape, volume.affine_ras
        labels, affine_ras = read.labels, read.affine_ras
        aligned = reoriented(labels, affine_ras, shape, target, self.grid_tolerance_voxels)
        if not isinstance(aligned, str):
            return aligned, ()
        advice = "segment this volume, or resample the mask onto its grid"
        why = f"the mask's grid: {aligned}; {advice}"
        if same_but_moved(labels.shape, affine_ras, shape, target):
            return _fault("mask_grid_mismatch", why, tokens)
        moved = resampled(labels, affine_ras, shape, target)
        if isinstance(moved, str):
            return _fault("mask_grid_mismatch", f"{why}; {moved}", tokens)
        labels, inside = moved
        seen = f"{aligned}; taken by nearest voxels, {100 * inside:.0f} % of it inside"
        remarks: tuple[Remark, ...] = (whole("mask_resampled", seen),)
        skipped = every_nth(affine_ras, target) if read.of_these_slices else 0
        if skipped:
            drawn = f"drawn on one slice in {skipped}; those between would be filled by the nearest"
            remarks = (whole("slices_missing", drawn), *remarks)
        return labels, remarks


def _named(
    labels: Array, remarks: tuple[Remark, ...], declared: ClassMap, tokens: tuple[str, ...]
) -> Segmentation | Reject:
    """The label map as a segmentation, if each of its values has a name."""
    runs = runs_of(labels)
    unnamed = unnamed_values(declared, np.unique(runs.values).tolist())
    if unnamed:
        shown = ", ".join(map(str, unnamed[:SHOWN_VALUES]))
        return _fault(
            "mask_unknown_value",
            f"{len(unnamed)} values have no name in {declared.class_system}: {shown}; declare "
            "the classes that the mask was made with",
            tokens,
        )
    return Segmentation(labels, declared.classes, declared.class_system, tokens, runs, remarks)


def _contents(candidate: OfferedMask) -> dict[str, bytes] | None:
    """The bytes that were found; None where they could not be read then and cannot now."""
    try:
        contents, sha256 = mask_content.read(candidate.mask.path)
    except OSError as error:
        if candidate.sha256 == UNREADABLE:
            return None
        raise MaskGoneError from error
    # the item's key stands for the bytes that discovery saw
    if sha256 != candidate.sha256:
        raise MaskGoneError
    return contents


def _read(candidate: OfferedMask, contents: dict[str, bytes]) -> ReadMask:
    """The label map of a mask, whatever it is written as.

    Raises:
        NiftiError: the mask cannot be decoded.
        SegmentError: it holds no labels, or not those that are declared.
    """
    path, declared = candidate.mask.path, candidate.class_map
    if path.is_dir():
        return _class_folder(contents, declared)
    content = contents[path.name]
    if mask_content.ends_with(path.name, ".dcm"):
        segments, affine_ras = read_dicom_seg(content)
        return ReadMask(label_map(segments, declared), affine_ras, of_these_slices=True)
    if not mask_content.ends_with(path.name, (".nrrd", ".mha")):
        return _believed(read_nifti(content), declared)
    is_nrrd = mask_content.ends_with(path.name, ".nrrd")
    image = read_nrrd(content) if is_nrrd else read_mha(content)
    named = segments_of(image.fields)
    if named:
        _refuse_unnamed(image.stored, named)
        parts = (Segment(names, image.stored[layer] == value) for names, value, layer in named)
        return ReadMask(label_map(parts, declared), image.affine_ras)
    if len(image.stored) != 1:
        raise NiftiError("has several layers and no names of segments")
    return _believed(NiftiImage(image.stored[0], image.affine_ras, {}), declared)


def _refuse_unnamed(stored: Array, named: Sequence[tuple[Sequence[str], int, int]]) -> None:
    """Refuse values (layers, a, b, c) that no segment names."""
    unnamed: list[int] = []
    for number, layer in enumerate(stored):
        known = {value for _, value, of in named if of == number}
        found = sum(int(np.count_nonzero(layer == value)) for value in known if value)
        if found != np.count_nonzero(layer):
            unnamed += sorted(set(np.unique(layer).tolist()) - known - {0})
    if unnamed:
        raise SegmentError(
            "mask_unknown_value",
            f"{len(unnamed)} values belong to no segment: "
            f"{', '.join(f'{value:g}' for value in unnamed[:SHOWN_VALUES])}; name them, or take "
            "them out",
        )


def _class_folder(contents: dict[str, bytes], declared: ClassMap) -> ReadMask:
    """The label map of a folder with one file a class; all must lie on one grid."""
    first: list[NiftiImage] = []
    remarks: dict[str, Remark] = {}

    def segments() -> Iterator[Segment]:
        for name, content in sorted(contents.items()):
            try:
                image = read_nifti(content)
            except NiftiError as error:
                raise NiftiError(
                    f"has a file, {shown_name(stem(name), declared)}, that {error}"
                ) from error
            _refuse_unplaced(image)
            first.append(image)
            del first[1:]
            for remark in _of_forms(image, f"{shown_name(stem(name), declared)}: "):
                remarks.setdefault(remark.code, remark)
            if not np.allclose(image.affine_ras, first[0].affine_ras, atol=1e-3):
                raise SegmentError(
                    "mask_grid_mismatch",
                    f"{shown_name(stem(name), declared)} lies on another grid than those before",
                )
            labels = whole_numbers(image)
            if isinstance(labels, str):
                raise SegmentError(
                    "mask_not_labels",
                    f"{shown_name(stem(name), declared)}: {labels}; expected 0 and 1",
                )
            shown = labels[labels != 0]
            if shown.size and shown.min() != shown.max():
                raise SegmentError(
                    "mask_not_labels",
                    f"{shown_name(stem(name), declared)}: values from {shown.min()} to "
                    f"{shown.max()}; expected one class a file, 0 and one other value",
                )
            yield Segment((stem(name),), labels)

    labels = label_map(segments(), declared)
    return ReadMask(labels, first[0].affine_ras, tuple(remarks.values()))


def _refuse_unplaced(image: NiftiImage) -> None:
    """Refuse a file whose voxels lie nowhere: readers make a place of its size up."""
    if not image.placed:
        raise SegmentError(
            "mask_grid_mismatch",
            "neither sform nor qform is set, expected one: where the voxels lie is not known; copy "
            "the affine of the image",
        )


def _of_forms(image: NiftiImage, of: str = "") -> tuple[Remark, ...]:
    """That sform and qform of a file place it differently, if they do."""
    if image.forms_apart <= FORMS_APART:
        return ()
    seen = (
        f"{of}sform and qform of the mask place a corner {image.forms_apart:.1f} voxels apart, "
        f"expected at most {FORMS_APART:g}; set both to the true one"
    )
    return (whole("qform_sform_disagree", seen),)


def _unreadable(why: str, tokens: tuple[str, ...]) -> Reject:
    return _fault("mask_unreadable", f"the mask {why}; write it anew", tokens)


def _believed(image: NiftiImage, declared: ClassMap) -> ReadMask:
    """The label map, if the file agrees with the declaration and holds labels.

    Raises:
        SegmentError: it does not.
    """
    _refuse_unplaced(image)
    wrong = disagreement(declared, image.embedded_classes)
    if wrong:
        raise SegmentError("class_system_mismatch", wrong)
    labels = whole_numbers(image)
    if isinstance(labels, str):
        raise SegmentError(
            "mask_not_labels",
            f"{image.stored.dtype}, {labels}; expected whole numbers from 0 to 65535; give a "
            "label map",
        )
    return ReadMask(labels, image.affine_ras, _of_forms(image))


def _ambiguous(offered: Sequence[OfferedMask], tokens: tuple[str, ...]) -> Reject:
    if len(offered) == 1:
        found = f"its mask names {offered[0].volumes_named} volumes"
    else:
        found = f"{len(offered)} masks name this volume"
    return _fault(
        "mask_ambiguous",
        f"{found}, expected one mask for one volume; write a manifest that names the volume by "
        "its volume_id",
        tokens,
    )


def _fault(reason: str, detail: str, tokens: tuple[str, ...]) -> Reject:
    return Reject("fault", reason, detail, tokens)


PRECOMPUTED = BackendEntry(make=None, task="total")
