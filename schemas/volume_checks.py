"""Table `volume_checks`: what the image itself says once it is segmented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import FLOAT64, STRING, STRINGS, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeCheck:
    """Body region, contrast and flags of one volume, read from voxels and masks."""

    volume_id: Annotated[str, Column(STRING, "keyed id of the volume")]
    body_region: Annotated[
        str, Column(STRING, "region that the anatomies in the mask show: chest, abdomen, ...")
    ]
    contrast: Annotated[str, Column(STRING, "enhanced, unenhanced or unknown")]
    flags: Annotated[tuple[str, ...], Column(STRINGS, "snake_case remarks, sorted")]
    searched: Annotated[
        tuple[str, ...] | None,
        Column(
            STRINGS,
            "anatomies that the mask's classes can show, shown or not, sorted; missing in rows "
            "that were written before the column came",
            nullable=True,
        ),
    ] = None
    region_confidence: Annotated[
        float | None,
        Column(
            FLOAT64,
            "how sure body_region is: 0 unknown, 0.5 an organ just large enough, towards 1; "
            "missing as `searched`",
            nullable=True,
        ),
    ] = None
    phase: Annotated[
        str | None,
        Column(
            STRING,
            "contrast phase by aorta, portal vein, kidneys and bladder; missing as `searched`",
            nullable=True,
            allowed=("unenhanced", "arterial", "portal_venous", "delayed", "unknown"),
        ),
    ] = None
    phase_confidence: Annotated[
        float | None,
        Column(
            FLOAT64,
            "how sure the phase is: 0 unknown, 0.5 at a line between two, 1 twice beyond it; "
            "missing as `searched`",
            nullable=True,
        ),
    ] = None


TABLE = table("volume_checks", VolumeCheck, primary_key=("volume_id",), replaced_by="volume_id")
