"""Table `samples`: training samples; also the plain Parquet index beside each shard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa

from schemas.splits import SPLITS
from schemas.table import (
    FLOAT64,
    FLOAT64S,
    INT32,
    INT32S,
    INT64S,
    STRING,
    STRINGS,
    Column,
    table,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One volume with the texts of its anatomies; lists from `states` on align with `anatomies`."""

    sample_id: Annotated[str, Column(STRING, "keyed id: study and volume")]
    patient_id: Annotated[str, Column(STRING, "keyed id of the patient")]
    study_id: Annotated[str, Column(STRING, "keyed id of the study")]
    volume_id: Annotated[str, Column(STRING, "keyed id of the volume")]
    split: Annotated[str, Column(STRING, "split of the patient", allowed=SPLITS)]
    shard: Annotated[
        str, Column(STRING, "shard id (placement: not compared between runs)", compared=False)
    ]
    index: Annotated[
        int, Column(INT32, "number of the sample in its shard, from 0", compared=False)
    ]
    offset_z: Annotated[
        int,
        Column(INT32, "first slice of the sample in the shard's arrays", compared=False),
    ]
    shape_zyx: Annotated[tuple[int, ...], Column(INT32S, "voxels along z, y, x", "voxels")]
    spacing_mm: Annotated[tuple[float, ...], Column(FLOAT64S, "spacing along z, y, x", "mm")]
    affine_ras: Annotated[
        tuple[float, ...],
        Column(FLOAT64S, "4 x 4 row-major: voxel (x, y, z, 1) to RAS+ patient position", "mm"),
    ]
    content_sha256: Annotated[str, Column(STRING, "SHA-256 of the sample's image and label arrays")]
    anatomies: Annotated[tuple[str, ...], Column(STRINGS, "anatomies that the mask shows")]
    states: Annotated[tuple[str, ...], Column(STRINGS, "state of each anatomy")]
    signatures: Annotated[tuple[int, ...], Column(INT64S, "signature of each anatomy")]
    findings: Annotated[
        tuple[tuple[str, ...], ...],
        Column(pa.list_(STRINGS), "finding|status|laterality set of each anatomy"),
    ]
    labels: Annotated[
        tuple[tuple[str, ...], ...],
        Column(pa.list_(STRINGS), "ids of findings present or uncertain in each anatomy"),
    ]
    texts: Annotated[tuple[str, ...], Column(STRINGS, "text of each anatomy")]
    boxes: Annotated[
        tuple[tuple[int, ...], ...],
        Column(pa.list_(INT32S), "z0, y0, x0, z1, y1, x1 of each anatomy, end exclusive", "voxels"),
    ]
    age_years: Annotated[
        float | None, Column(FLOAT64, "age, 90 for all above 89", "years", nullable=True)
    ]
    sex: Annotated[str | None, Column(STRING, "F, M or O", nullable=True)]
    manufacturer: Annotated[str | None, Column(STRING, "manufacturer", nullable=True)]
    kernel: Annotated[str | None, Column(STRING, "convolution kernel", nullable=True)]


TABLE = table("samples", Sample, primary_key=("sample_id",), replaced_by="sample_id")
