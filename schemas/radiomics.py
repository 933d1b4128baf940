"""Table `radiomics`: features of the intensities, shape and texture of regions of a volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import FLOAT64, STRING, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiomicsValue:
    """One feature of one region of one volume, as the IBSI defines it."""

    volume_id: Annotated[str, Column(STRING, "keyed id of the volume")]
    region_kind: Annotated[
        str,
        Column(
            STRING,
            "anatomy (of the vocabulary), or class (of a label map: a lobe, a lesion)",
            allowed=("anatomy", "class"),
        ),
    ]
    region: Annotated[str, Column(STRING, "name of the anatomy, or of the class in its system")]
    family: Annotated[
        str,
        Column(
            STRING,
            "shape, statistics, histogram, glcm, glrlm, glszm, or bands (shares of HU bands)",
            allowed=("shape", "statistics", "histogram", "glcm", "glrlm", "glszm", "bands"),
        ),
    ]
    feature: Annotated[
        str, Column(STRING, "name of the feature, as the IBSI calls it; of a band its name")
    ]
    value: Annotated[
        float | None, Column(FLOAT64, "the value; none where it is not defined", nullable=True)
    ]
    unit: Annotated[str, Column(STRING, "unit of the value by UCUM, 1 where it has none")]


TABLE = table(
    "radiomics",
    RadiomicsValue,
    primary_key=("volume_id", "region_kind", "region", "family", "feature"),
    replaced_by="volume_id",
)
