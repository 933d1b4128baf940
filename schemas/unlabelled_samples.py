"""Table `unlabelled_samples`: images without report or mask; also the index beside their shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.splits import SPLITS
from schemas.table import FLOAT64, FLOAT64S, INT32, INT32S, STRING, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlabelledSample:
    """One volume for learning without labels; it has no texts and no anatomies."""

    sample_id: Annotated[
        str, Column(STRING, "keyed id: study and volume, that of the volume's labelled sample")
    ]
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
    modality: Annotated[str, Column(STRING, "modality of the image: CT")]
    age_years: Annotated[
        float | None, Column(FLOAT64, "age, 90 for all above 89", "years", nullable=True)
    ]
    sex: Annotated[str | None, Column(STRING, "F, M or O", nullable=True)]
    manufacturer: Annotated[str | None, Column(STRING, "manufacturer", nullable=True)]
    kernel: Annotated[str | None, Column(STRING, "convolution kernel", nullable=True)]


TABLE = table(
    "unlabelled_samples", UnlabelledSample, primary_key=("sample_id",), replaced_by="sample_id"
)
