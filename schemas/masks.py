"""Table `masks`: the segmentation classes found in each volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa

from schemas.table import FLOAT64, INT32S, INT64, STRING, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """One class of one task in one volume."""

    volume_id: Annotated[str, Column(STRING, "keyed id of the volume")]
    task: Annotated[str, Column(STRING, "segmentation task: total, threshold, ...")]
    class_system: Annotated[
        str, Column(STRING, "naming of the classes: totalsegmentator_v2, threshold, a map's name")
    ]
    class_name: Annotated[str, Column(STRING, "class name in that system")]
    class_value: Annotated[int, Column(INT64, "value of the class in the label map")]
    voxels: Annotated[int, Column(INT64, "number of voxels", "voxels")]
    volume_ml: Annotated[float, Column(FLOAT64, "volume", "ml")]
    bbox: Annotated[
        tuple[int, ...],
        Column(INT32S, "i0, j0, k0, i1, j1, k1 on the volume's grid, end exclusive", "voxels"),
    ]
    touches_border: Annotated[
        bool, Column(pa.bool_(), "a voxel lies on a face of the volume: the class may be cut")
    ]
    path: Annotated[str, Column(STRING, "label map NIfTI file, relative to the store")]
    content_sha256: Annotated[
        str, Column(STRING, "SHA-256 of the whole label map (same for all classes of a file)")
    ]
    backend: Annotated[str, Column(STRING, "backend that made it")]
    backend_version: Annotated[str, Column(STRING, "version of the backend")]


TABLE = table(
    "masks",
    Mask,
    primary_key=("volume_id", "task", "class_name"),
    replaced_by="volume_id",
    partition_by=("task",),
)
