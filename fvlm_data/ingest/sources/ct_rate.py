"""CT-RATE: `train_123_a_1.nii.gz` with a metadata CSV, in its two versions.

Files of version 1 hold stored values, and their headers a wrong spacing and direction: slope,
intercept and geometry are in the CSV. Files of version 2 are in HU and have true headers.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.ingest.discovery.file_kind import NIFTI_ENDINGS
from fvlm_data.ingest.discovery.opener import is_there
from fvlm_data.ingest.discovery.walk import named, walk
from fvlm_data.ingest.sources.kind import Kind
from fvlm_data.ingest.sources.nifti_file import load
from fvlm_data.ingest.volume.description import Columns, Description
from fvlm_data.ingest.volume.geometry import Fault, Grid, SliceGeometry, prove
from fvlm_data.ingest.volume.names import Names
from fvlm_data.ingest.volume.volume_file import (
    Loaded,
    gone,
    judged,
    probe_file,
    refused,
    to_int16,
    volume_name,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fvlm_data.ingest.config import IngestConfig
    from fvlm_data.ingest.source_files import SourceFile
    from fvlm_data.ingest.volume.result import SeriesResult

COLUMNS = Columns(
    "VolumeName",
    (
        *("RescaleSlope", "RescaleIntercept", "XYSpacing", "ZSpacing"),
        *("ImagePositionPatient", "ImageOrientationPatient"),
    ),
)
NAME = re.compile(r"(?P<patient>[A-Za-z]+_\d+)_(?P<scan>[a-z]+)_\d+")

ALREADY_HU = "already_hu"
BY_METADATA = "from_metadata"

AIR_HU = (-1100, -700)
SOFT_HU = (-200, 200)
LEAST_SHARE = 0.02
"""A chest CT shows air and lung, and soft tissue: at least 2 % of the voxels each."""

SAMPLE_VOXELS = 1_000_000
SPACING_AGREES = 0.01


def read(
    files: Sequence[SourceFile],
    series_id: str,
    key: bytes,
    config: IngestConfig,
    description: Description,
    threads: int,
) -> SeriesResult:
    """Read one volume; which version it is comes from its values and the CSV."""
    (file,) = files
    name = volume_name(file)
    parts = NAME.fullmatch(name)
    if parts is None:
        detail = "the file name is none of CT-RATE, expected one as train_123_a_1.nii.gz"
        return refused(file, Fault("name_not_ct_rate", detail))
    if file.place is None or not is_there(file.place):
        return gone(file)
    study = f"{parts['patient']}_{parts['scan']}"
    names = Names(
        study_uid=study,
        patient=parts["patient"],
        volume_name=name,
        study_named_by=(f"{study}_1",),  # the reports CSV names each scan by this one
    )
    loaded = load(file.place, config)
    made = loaded if isinstance(loaded, Fault) else _made(*loaded, description, config)
    return judged(file, made, names, description, series_id, key, config)


def _made(
    values: NDArray[Any],
    stated: NDArray[np.float64] | Fault,
    checksum: str,
    description: Description,
    config: IngestConfig,
) -> Loaded | Fault:
    """HU, affine and decision of `values` (i, j, k); `stated` is the affine of the header."""
    rescale = _rescale(description)
    decision = decide(values, rescale)
    if isinstance(decision, Fault):
        return decision
    hu = to_int16(_rescaled(values, rescale) if decision == BY_METADATA and rescale else values)
    if isinstance(hu, Fault):
        return hu
    # NIfTI stores i fastest: the transpose is already (k, j, i) in memory order
    image_zyx = np.ascontiguousarray(hu.T)
    by_metadata = _grid(description, values.shape, config)
    if decision == BY_METADATA:
        if isinstance(by_metadata, Fault):
            return by_metadata
        return Loaded(image_zyx, by_metadata.affine_ras, decision, checksum)
    if isinstance(stated, Fault):
        return stated
    if isinstance(by_metadata, Grid):
        lengths = np.linalg.norm(stated[:3, :3], axis=0)
        off = float(np.abs(lengths / by_metadata.spacing_mm - 1).max())
        if off > SPACING_AGREES:
            return Fault(
                "ambiguous_version",
                f"the values are HU (version 2), yet the header's spacing differs from the CSV's "
                f"by {off:.0%} (version 1), expected at most {SPACING_AGREES:.0%}; take file and "
                "CSV of one version",
            )
    return Loaded(image_zyx, stated, decision, checksum)


def decide(values: NDArray[Any], rescale: tuple[float, float] | None) -> str | Fault:
    """Whether `values` are HU already or become HU by (slope, intercept) of the metadata.

    Each of the two is tried; exactly one must give a chest CT, which has air and soft tissue.
    """
    step = max(1, round((values.size / SAMPLE_VOXELS) ** (1 / 3)))
    # shares need no more than a lattice of the voxels
    sample = values[::step, ::step, ::step].astype(np.float64)
    as_they_are = _is_chest_ct(sample)
    if rescale is None or rescale == (1.0, 0.0):
        rescaled = False  # it would be the same values
    else:
        rescaled = _is_chest_ct(sample * rescale[0] + rescale[1])
    if as_they_are and not rescaled:
        return ALREADY_HU
    if rescaled and not as_they_are:
        return BY_METADATA
    stated = f"slope {rescale[0]:g} and intercept {rescale[1]:g}" if rescale else "no rescale"
    if rescaled:
        return Fault(
            "ambiguous_rescale",
            f"the values are a chest CT as they are and with the {stated} of the metadata CSV; "
            "expected only one; say which version the file is by taking it from a clean download",
        )
    return Fault(
        "values_not_hu",
        f"the values run from {values.min():g} to {values.max():g} and are no chest CT, neither as "
        f"they are nor with the {stated} of the metadata CSV; check that file and CSV belong "
        "together",
    )


def _rescaled(values: NDArray[Any], rescale: tuple[float, float]) -> NDArray[Any]:
    slope, intercept = rescale
    if values.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer():
        return values.astype(np.int32) * int(slope) + int(intercept)
    return values * slope + intercept


def _is_chest_ct(sample_hu: NDArray[np.float64]) -> bool:
    shares = (
        float(np.mean((sample_hu >= low) & (sample_hu <= high))) for low, high in (AIR_HU, SOFT_HU)
    )
    return min(shares) >= LEAST_SHARE


def _rescale(description: Description) -> tuple[float, float] | None:
    slope = _numbers(description.get("RescaleSlope"), 1)
    intercept = _numbers(description.get("RescaleIntercept"), 1)
    return (slope[0], intercept[0]) if slope and intercept and slope[0] else None


def _grid(description: Description, shape: tuple[int, ...], config: IngestConfig) -> Grid | Fault:
    """The grid that the CSV states, proved as that of slices is; i are columns, j rows."""
    xy = _numbers(description.get("XYSpacing"), 2)
    z = _numbers(description.get("ZSpacing"), 1)
    position = _numbers(description.get("ImagePositionPatient"), 3)
    orientation = _numbers(description.get("ImageOrientationPatient"), 6)
    if not (xy and z and position and orientation):
        return Fault(
            "missing_geometry",
            "the metadata CSV lacks XYSpacing, ZSpacing, ImagePositionPatient or "
            "ImageOrientationPatient of this volume, and its header cannot be relied on",
        )
    if xy[0] != xy[1]:
        return Fault(
            "pixels_not_square",
            f"XYSpacing is {xy[0]:g} and {xy[1]:g} mm, expected equal values: the CSV does not say "
            "which is which",
        )
    # the CSV gives one position: slices are taken to follow it at ZSpacing along the normal
    normal = np.cross(orientation[:3], orientation[3:])
    places = np.array(position) + np.arange(shape[2])[:, None] * z[0] * normal
    slices = [
        SliceGeometry((x, y, height), orientation, (xy[0], xy[1]), shape[1], shape[0])
        for x, y, height in places.tolist()
    ]
    return prove(slices, config)


def _numbers(text: str, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers of a text as `[0.75, 0.75]`."""
    try:
        found = tuple(float(part) for part in text.strip("[]() ").split(","))
    except ValueError:
        return None
    return found if len(found) == count and np.isfinite(found).all() else None


CT_RATE = Kind(
    find=walk,
    changed=walk,
    named=named,
    probe=partial(probe_file, endings=NIFTI_ENDINGS, reason="not_nifti"),
    read=read,
    mapping=COLUMNS,
)
