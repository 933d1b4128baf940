"""DICOM Segmentation objects (PS3.3 A.51, and label maps A.90) as segments on their grid."""

from __future__ import annotations

import io
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.memory import lacks_memory
from fvlm_data.segment.nifti import NiftiError
from fvlm_data.segment.segments import SHOWN, Segment, SegmentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Array = np.ndarray[Any, Any]

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
EVEN_MM = 0.01


def referenced_series(path: Path) -> str | None:
    """SeriesInstanceUID of the one series that a segmentation is of, else an empty text.

    None if the file is no DICOM Segmentation. A file that has not changed is not opened again.
    """
    try:
        told = path.stat()
    except OSError:
        return None
    return _referenced(path, told.st_size, told.st_mtime_ns)


@lru_cache(maxsize=100_000)
def _referenced(path: Path, size_bytes: int, modified_ns: int) -> str | None:
    """What `referenced_series` says of a file of this size and time."""
    import pydicom

    try:
        dataset = pydicom.dcmread(path, specific_tags=["SOPClassUID", "ReferencedSeriesSequence"])
        if str(dataset.get("SOPClassUID", "")) not in (SEGMENTATION, LABEL_MAP):
            return None
        references = dataset.get("ReferencedSeriesSequence", [])
        found = {str(one.SeriesInstanceUID) for one in references}
    except (OSError, pydicom.errors.InvalidDicomError, ValueError, KeyError, AttributeError):
        return None
    return found.pop() if len(found) == 1 else ""


def read_dicom_seg(content: bytes) -> tuple[Iterator[Segment], Array]:
    """The segments (columns, rows, slices), one at a time, and the affine of their grid to RAS mm.

    A frame's voxels of a fractional segmentation count from half of its greatest value on.

    Raises:
        NiftiError: it is damaged, or its frames make no even grid.
    """
    import pydicom

    try:
        dataset = pydicom.dcmread(io.BytesIO(content))
        frames = dataset.pixel_array
        planes, affine, depth = _planes(dataset)
        numbers = [int(item.SegmentNumber) for item in dataset.SegmentSequence]
        of_frame = None if _is_label_map(dataset) else _numbers_of_frames(dataset)
    except NiftiError:
        raise
    except Exception as error:  # pydicom's decoders raise whatever their codec raises
        if lacks_memory(error):
            raise MemoryError from error
        raise NiftiError(f"cannot be decoded as DICOM SEG ({type(error).__name__})") from error
    frames = frames[None] if frames.ndim == 2 else frames
    if len(frames) != len(planes) or not numbers:
        raise NiftiError(f"has {len(frames)} frames and places for {len(planes)}")
    return _segments(dataset, frames, planes, depth, of_frame), affine


def _is_label_map(dataset: Any) -> bool:
    return str(dataset.SOPClassUID) == LABEL_MAP


def _segments(
    dataset: Any, frames: Array, planes: Array, depth: int, of_frame: list[int] | None
) -> Iterator[Segment]:
    label_map = of_frame is None
    numbers = {int(item.SegmentNumber) for item in dataset.SegmentSequence}
    shown_numbers = set(np.unique(frames).tolist()) - {0} if label_map else set(of_frame or ())
    unnamed = sorted(shown_numbers - numbers)
    if unnamed:
        raise SegmentError(
            "mask_unknown_value",
            f"{len(unnamed)} numbers of segments stand in no entry of the list: "
            f"{', '.join(map(str, unnamed[:SHOWN]))}; name them, or take them out",
        )
    least = 1
    if str(dataset.get("SegmentationType", "")) == "FRACTIONAL":
        least = (int(dataset.MaximumFractionalValue) + 1) // 2
    shape = (frames.shape[2], frames.shape[1], depth)
    for item in dataset.SegmentSequence:
        number = int(item.SegmentNumber)
        mask = np.zeros(shape, bool, order="F")
        for frame in range(len(frames)):
            if of_frame is not None and of_frame[frame] != number:
                continue
            shown = frames[frame] == number if label_map else frames[frame] >= least
            mask[:, :, planes[frame]] |= shown.T
        if not (label_map and number == 0):
            yield Segment(_names(item), mask)


def _names(item: Any) -> tuple[str, ...]:
    """What a segment is called by its label, by its term's words and by its code, sides behind."""
    names = [str(item.get("SegmentLabel", ""))]
    for code in item.get("SegmentedPropertyTypeCodeSequence", []):
        modifiers = code.get("SegmentedPropertyTypeModifierCodeSequence", [])
        sides = [str(one.get("CodeMeaning", "")) for one in modifiers]
        for word in (str(code.get("CodeMeaning", "")), *_words_of(code)):
            names += [f"{word} {side}" for side in sides] + [word]
    return tuple(name for name in names if name) or (f"segment {item.SegmentNumber}",)


def _words_of(code: Any) -> tuple[str, ...]:
    """What a code of SNOMED CT stands for, whatever words were written beside it."""
    if str(code.get("CodingSchemeDesignator", "")) != "SCT":
        return ()
    return _snomed().get(str(code.get("CodeValue", "")), ())


@lru_cache(maxsize=1)
def _snomed() -> dict[str, tuple[str, ...]]:
    """Names of the codes that DICOM uses, by value, from pydicom's dictionary."""
    from pydicom.sr.codedict import codes

    found: dict[str, tuple[str, ...]] = {}
    for keyword, code in codes.SCT.concepts.items():
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", keyword)
        found[code.value] = (*found.get(code.value, ()), words)
    return found


def _numbers_of_frames(dataset: Any) -> list[int]:
    shared = dataset.SharedFunctionalGroupsSequence[0]
    if "SegmentIdentificationSequence" in shared:
        number = int(shared.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        return [number] * len(dataset.PerFrameFunctionalGroupsSequence)
    return [
        int(one.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        for one in dataset.PerFrameFunctionalGroupsSequence
    ]


def _planes(dataset: Any) -> tuple[Array, Array, int]:
    """Slice number of each frame, the grid's affine (RAS), and the number of slices."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    per_frame = dataset.PerFrameFunctionalGroupsSequence

    def group(name: str) -> Any:
        return shared[name].value[0] if name in shared else per_frame[0][name].value[0]

    orientation = np.array(
        group("PlaneOrientationSequence").ImageOrientationPatient, float
    ).reshape(2, 3)
    measures = group("PixelMeasuresSequence")
    row_mm, column_mm = (float(size) for size in measures.PixelSpacing)
    positions = np.array(
        [one.PlanePositionSequence[0].ImagePositionPatient for one in per_frame], float
    )
    normal = np.cross(*orientation)
    along = positions @ normal
    places = np.unique(np.round(along / EVEN_MM)) * EVEN_MM
    stated = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness")
    step = float(np.diff(places).min()) if len(places) > 1 else float(stated or 1.0)
    numbers = (along - places[0]) / step
    if np.abs(numbers - np.rint(numbers)).max() > 0.05:
        raise NiftiError("has frames at uneven distances")
    planes = np.rint(numbers).astype(int)
    affine = np.eye(4)
    # along columns (the first axis), rows, slices
    columns = np.stack([orientation[0] * column_mm, orientation[1] * row_mm, normal * step], axis=1)
    affine[:3, :3] = LPS_TO_RAS @ columns
    affine[:3, 3] = LPS_TO_RAS @ positions[int(along.argmin())]
    return planes, affine, int(planes.max()) + 1
