"""Backend `precomputed`: label maps that exist already, checked before they are believed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.segment.backend import BackendEntry, Segmentation, VolumeImage
from fvlm_data.segment.class_map import disagreement, unnamed_values
from fvlm_data.segment.fingerprint import UNREADABLE
from fvlm_data.segment.grid import reoriented
from fvlm_data.segment.nifti import NiftiError, NiftiImage, read_nifti
from fvlm_data.store.declared import Reject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.segment.class_map import ClassMap
    from fvlm_data.segment.mask_files import MaskFile

SHOWN_VALUES = 8


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
        content = _content(candidate)
        if content is None:
            return _unreadable("cannot be read from disk", tokens)
        try:
            image = read_nifti(content)
        except NiftiError as error:
            return _unreadable(str(error), tokens)
        labels = _believed(image, candidate.class_map, tokens)
        if isinstance(labels, Reject):
            return labels
        aligned = reoriented(
            labels,
            image.affine_ras,
            volume.image_hu.shape,
            volume.affine_ras,
            self.grid_tolerance_voxels,
        )
        if isinstance(aligned, str):
            advice = "segment this volume, or resample the mask onto its grid"
            return _fault("mask_grid_mismatch", f"the mask's grid: {aligned}; {advice}", tokens)
        class_map = candidate.class_map
        return Segmentation(aligned, class_map.classes, class_map.class_system)


def _content(candidate: OfferedMask) -> bytes | None:
    """The bytes that were found; None where they could not be read then and cannot now."""
    try:
        content = candidate.mask.path.read_bytes()
    except OSError as error:
        if candidate.sha256 == UNREADABLE:
            return None
        raise MaskGoneError from error
    # the item's key stands for the bytes that discovery saw
    if hashlib.sha256(content).hexdigest() != candidate.sha256:
        raise MaskGoneError
    return content


def _unreadable(why: str, tokens: tuple[str, ...]) -> Reject:
    return _fault("mask_unreadable", f"the mask {why}; write it anew", tokens)


def _believed(
    image: NiftiImage, declared: ClassMap, tokens: tuple[str, ...]
) -> np.ndarray[Any, Any] | Reject:
    """The label map if its values are labels of the declared classes."""
    wrong = disagreement(declared, image.embedded_classes)
    if wrong:
        return _fault("class_system_mismatch", wrong, tokens)
    labels = _whole_numbers(image.data)
    if labels is None:
        return _fault(
            "mask_not_labels",
            f"the mask holds other values ({image.data.dtype}) than whole numbers from 0 to "
            "65535; give a label map",
            tokens,
        )
    unnamed = unnamed_values(declared, np.unique(labels).tolist())
    if unnamed:
        shown = ", ".join(map(str, unnamed[:SHOWN_VALUES]))
        return _fault(
            "mask_unknown_value",
            f"{len(unnamed)} values have no name in {declared.class_system}: {shown}; declare "
            "the classes that the mask was made with",
            tokens,
        )
    return labels


def _whole_numbers(data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """`data` as uint8 or uint16 if it holds nothing but such numbers."""
    if data.size == 0 or not np.isfinite(data).all() or data.min() < 0 or data.max() > 65535:
        return None
    # many programs store labels as floats; whether they are whole numbers shows after the cast
    labels = data.astype(np.uint8 if data.max() <= 255 else np.uint16)
    return labels if (labels == data).all() else None


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
