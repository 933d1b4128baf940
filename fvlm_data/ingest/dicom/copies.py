"""Slices that were sent twice: the same place, description and image in two files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.attributes import agreeing, blanks
from fvlm_data.ingest.volume.geometry import Fault

if TYPE_CHECKING:
    from fvlm_data.ingest.dicom.slice_file import Slice
    from fvlm_data.ingest.dicom.slice_header import SliceHeader
    from fvlm_data.ingest.volume.hounsfield import Rescaled


def without_copies(slices: list[Slice]) -> tuple[list[Slice], list[str]]:
    """Slices without those that have the place, description and image of another file's slice.

    UIDs and instance numbers are not compared: an image that was sent twice may bear new ones.
    """
    kept: dict[SliceHeader, list[Slice]] = {}
    dropped: set[str] = set()
    # sorted, so that the same copy stays whatever the order of the files; of several the one that
    # says most
    for one in sorted(slices, key=lambda one: (blanks(one.header), one.token)):
        same = kept.setdefault(_description(one.header), [])
        if any(_is_copy(one, other) for other in same):
            dropped.add(one.token)
        else:
            same.append(one)
    left = [one for group in kept.values() for one in group]
    return left, sorted(dropped - {one.token for one in left})


def _description(header: SliceHeader) -> SliceHeader:
    """What copies of a slice have in common, to the letter."""
    return replace(
        header,
        names=replace(header.names, study_uid="", patient="", patient_issuer=""),
        sop_uid="",
        instance=0,
        content_at="",
        # compared for what they mean: see `agreeing`
        frame_of_reference="",
        image_type=(),
        kernel=(),
        kvp="",
        stack="",
        pixel_spacing=(),
        spacing_between_mm=None,
        geometry=replace(header.geometry, pixel_spacing_mm=None),
    )


def _is_copy(one: Slice, other: Slice) -> bool:
    return (
        one.token != other.token
        and agreeing(one.header, other.header)
        and _equal(one.image, other.image)
    )


def _equal(one: Rescaled | Fault, other: Rescaled | Fault) -> bool:
    if isinstance(one, Fault) or isinstance(other, Fault):
        return False
    return np.array_equal(one.image_hu, other.image_hu)
