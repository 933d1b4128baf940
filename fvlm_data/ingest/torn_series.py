"""Series that a header element tore in two: whether what became of them are parts of one scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.ingest.config import IngestConfig
from fvlm_data.ingest.selection import NotSelected
from fvlm_data.ingest.volume.geometry import Grid, SliceGeometry, prove

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

MOST_PATIENTS = 20
"""A series UID of more patients is a constant that some export wrote, and tells nothing."""

SERIES = "series"
"""What stands for an element where two series of a study, each with its UID, may be one scan."""

ALIKE_HU = 8.0
"""Slices that lie between those of another series are of the same scan if the blocks of both have
nearly one mean: two phases of contrast medium differ by tens of HU somewhere."""

TORN = f"""
WITH named AS (
    SELECT DISTINCT series, item FROM inputs
    WHERE kind = 'file' AND item <> '' AND series IS NOT NULL
), shared AS (
    SELECT series FROM named GROUP BY series HAVING count(*) BETWEEN 2 AND {MOST_PATIENTS}
), bare AS (
    SELECT DISTINCT item FROM inputs
    WHERE kind = 'file' AND item <> '' AND series IS NULL AND alike IS NOT NULL
), pairs AS (
    SELECT a.item, b.item AS other, 'PatientID' AS element FROM shared
    JOIN named a USING (series) JOIN named b USING (series) WHERE a.item <> b.item
    UNION
    SELECT a.series_id, b.series_id, 'SeriesInstanceUID' FROM candidates a
    JOIN candidates b USING (patient_id) WHERE a.series_id <> b.series_id
        AND (a.series_id IN (SELECT item FROM bare) OR b.series_id IN (SELECT item FROM bare))
), told AS (
    SELECT c.volume_id, p.element, p.other FROM candidates c JOIN pairs p ON p.item = c.series_id
), beside AS (
    SELECT a.volume_id, '{SERIES}' AS element, b.series_id AS other
    FROM candidates a JOIN candidates b USING (study_id)
    WHERE a.series_id <> b.series_id AND a.shape[1] = b.shape[1] AND a.shape[2] = b.shape[2]
        AND a.kernel IS NOT DISTINCT FROM b.kernel
        AND a.contrast_header IS NOT DISTINCT FROM b.contrast_header
        AND a.acquired_on IS NOT DISTINCT FROM b.acquired_on
), every AS (
    SELECT * FROM told
    UNION SELECT * FROM beside
    WHERE (volume_id, other) NOT IN (SELECT volume_id, other FROM told)
)
SELECT c.study_id, c.volume_id, p.element, o.volume_id AS other_id, o.shape AS other_shape,
    o.affine_ras AS other_affine, o.block_means_hu AS other_means
FROM candidates c JOIN every p USING (volume_id)
LEFT JOIN candidates o ON o.series_id = p.other
"""
"""Volumes of series that may be one with another series, and the volumes of that, if there are any.

SeriesInstanceUID is unique (DICOM PS3.3 C.7.3.1), so series that share one differ in PatientID;
slices without a UID may belong to any series of their patient; and an export may give the halves of
one scan UIDs of their own.
"""


def torn(
    volumes: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> dict[str, NotSelected]:
    """Volumes of a study that are a part of a scan whose rest is another series, by id.

    `others` are rows of the view TORN. Two whole scans under one UID stay.
    """
    refused: dict[str, NotSelected] = {}
    for row, volume in _pairs(volumes, others):
        if row["element"] == SERIES:
            continue
        told = f"another {row['element']}"
        if row["element"] == "SeriesInstanceUID":
            told = "another SeriesInstanceUID, blank on one of them,"
        if row["other_id"] is None:
            why = f"slices of its series under {told} were set aside"
        elif _are_one(volume, row):
            why = f"it and a volume under {told} are one even grid, one scan"
        else:
            continue
        detail = (
            f"Volume {row['volume_id']}: {why}; expected one {row['element']} a scan: correct the "
            "headers in the archive and send the series again"
        )
        refused[row["volume_id"]] = NotSelected("mixed_header", detail)
    return refused


def parts_of_scans(
    volumes: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Volumes of a study that with one of another series make one even grid: id to that volume's.

    They have size, spacing, place within the plane, kernel, contrast and day in common, and the
    slices of the one begin exactly a step behind those of the other; or they lie between them, and
    show the same. Two scans of one visit share all of that by rare chance only.
    """
    found: dict[str, str] = {}
    for row, volume in _pairs(volumes, others):
        if row["element"] == SERIES and row["other_id"] is not None and _are_halves(volume, row):
            found.setdefault(row["volume_id"], row["other_id"])
    return found


def _pairs(
    volumes: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    by_id = {row["volume_id"]: row for row in volumes}
    for row in sorted(others, key=lambda row: (row["volume_id"], row["other_id"] or "")):
        if row["volume_id"] in by_id:
            yield row, by_id[row["volume_id"]]


def _are_halves(volume: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if not _are_one(volume, other):
        return False
    mine = _heights(volume["shape"], volume["affine_ras"], volume["affine_ras"])
    theirs = _heights(other["other_shape"], other["other_affine"], volume["affine_ras"])
    if mine[1] < theirs[0] or theirs[1] < mine[0]:
        return True
    means = np.array(volume["block_means_hu"]) - np.array(other["other_means"])
    return bool(np.abs(means).mean() < ALIKE_HU)


def _heights(
    shape: Sequence[int], affine_ras: Sequence[float], of: Sequence[float]
) -> tuple[float, float]:
    """First and last slice of a volume along the slices of a volume with affine `of`, mm."""
    affine, along = (np.array(one, np.float64).reshape(4, 4) for one in (affine_ras, of))
    ends = affine[:3, 3] + np.outer((0, shape[2] - 1), affine[:3, 2])
    low, high = sorted((ends @ (along[:3, 2] / np.linalg.norm(along[:3, 2]))).tolist())
    return low, high


def _are_one(volume: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    slices = [
        *_slices(volume["shape"], volume["affine_ras"], volume["shape"]),
        *_slices(other["other_shape"], other["other_affine"], volume["shape"]),
    ]
    return isinstance(prove(slices, IngestConfig()), Grid)


def _slices(
    shape: Sequence[int], affine_ras: Sequence[float], size: Sequence[int]
) -> Iterator[SliceGeometry]:
    """The slices along k of a volume, as if of `size`; in RAS, which any frame may stand for."""
    affine: NDArray[np.float64] = np.array(affine_ras, np.float64).reshape(4, 4)
    lengths = np.linalg.norm(affine[:3, :2], axis=0)
    along = affine[:3, :2] / lengths
    for k in range(shape[2]):
        x, y, z = (affine[:3, 3] + k * affine[:3, 2]).tolist()
        yield SliceGeometry(
            position_mm=(x, y, z),
            orientation=tuple(along.T.ravel().tolist()),
            pixel_spacing_mm=(float(lengths[1]), float(lengths[0])),
            rows=size[1],
            columns=size[0],
        )
