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
)
SELECT c.study_id, c.volume_id, p.element, o.volume_id AS other_id, o.shape AS other_shape,
    o.affine_ras AS other_affine
FROM candidates c JOIN pairs p ON p.item = c.series_id
LEFT JOIN candidates o ON o.series_id = p.other
"""
"""Volumes of series that may be one with another series, and the volumes of that, if there are any.

SeriesInstanceUID is unique (DICOM PS3.3 C.7.3.1), so series that share one differ in PatientID; and
slices without a UID may belong to any series of their patient.
"""


def torn(
    volumes: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> dict[str, NotSelected]:
    """Volumes of a study that are a part of a scan whose rest is another series, by id.

    `others` are rows of the view TORN. Two whole scans under one UID stay.
    """
    by_id = {row["volume_id"]: row for row in volumes}
    refused: dict[str, NotSelected] = {}
    for row in sorted(others, key=lambda row: (row["volume_id"], row["other_id"] or "")):
        volume = by_id.get(row["volume_id"])
        if volume is None:
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
