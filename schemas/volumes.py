"""Table `volumes`: accepted CT volumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from schemas.table import FLOAT64, FLOAT64S, INT32, INT32S, STRING, STRINGS, Column, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """One accepted CT volume, its file and the header facts that may leave the header."""

    volume_id: Annotated[str, Column(STRING, "keyed id: series and pixel content")]
    patient_id: Annotated[str, Column(STRING, "keyed id of the patient")]
    study_id: Annotated[str, Column(STRING, "keyed id of the study (one imaging visit)")]
    series_id: Annotated[str, Column(STRING, "keyed id of the series")]
    path: Annotated[str, Column(STRING, "int16 HU NIfTI file, relative to the store")]
    source_files: Annotated[
        tuple[str, ...],
        Column(STRINGS, "tokens (or plain relative paths) of the source files, slice order"),
    ]
    shape: Annotated[tuple[int, ...], Column(INT32S, "voxels along i, j, k", "voxels")]
    spacing_mm: Annotated[
        tuple[float, ...], Column(FLOAT64S, "distance of voxel centres along i, j, k", "mm")
    ]
    affine_ras: Annotated[
        tuple[float, ...],
        Column(FLOAT64S, "4 x 4 row-major: voxel (i, j, k, 1) to RAS+ patient position", "mm"),
    ]
    orientation: Annotated[
        str, Column(STRING, "nearest patient axes of i, j, k, each pointing to its letter: LPS")
    ]
    content_sha256: Annotated[
        str, Column(STRING, "SHA-256 of shape, affine and decoded int16 voxels")
    ]
    hu_min: Annotated[int, Column(INT32, "least voxel", "HU")]
    hu_max: Annotated[int, Column(INT32, "greatest voxel", "HU")]
    rescale_decision: Annotated[
        str, Column(STRING, "how stored values became HU: per_slice, already_hu, from_metadata")
    ]
    adjustments: Annotated[
        tuple[str, ...],
        Column(
            STRINGS,
            "what was done beyond rescaling, code=voxels: padding_to_air, out_of_field_to_air, "
            "clipped_to_int16; what its headers lack: joined_over_KEYWORD=slices that leave "
            "an element blank or spell it otherwise, incomplete_series=files or slices that "
            "could not be used; slices_unlike_neighbours=slices that may be damaged, "
            "repeated_slices=slices with the pixels of another, jumps_between_slices=places from "
            "which on the slices show something else, steps_between_slices=places where more of "
            "the body lies between two slices than between others, mirrored_slices=places from "
            "which on pixels are mirrored; hu_offset, hu_offset_doubtful=HU by which values seem "
            "too high, hu_scale_doubtful=percent by which they seem scaled, coarse_values=HU from "
            "value to value; patient_orientation_differs=slices whose PatientOrientation "
            "contradicts the geometry, gantry_tilt_not_shown=degrees that positions do not show, "
            "parted_scan=1 where "
            "another series seems to be the rest of the scan",
        ),
    ] = ()
    tilt_degrees: Annotated[
        float, Column(FLOAT64, "gantry tilt that was corrected by shear, 0 for none", "degrees")
    ] = 0.0
    body_region_header: Annotated[
        str | None, Column(STRING, "BodyPartExamined, allow-listed", nullable=True)
    ]
    contrast_header: Annotated[
        str | None,
        Column(
            STRING,
            "contrast told by the header: no, yes, or arterial, portal_venous, delayed",
            nullable=True,
        ),
    ]
    kernel: Annotated[str | None, Column(STRING, "convolution kernel", nullable=True)]
    series_description: Annotated[
        str | None, Column(STRING, "allow-listed words of the description", nullable=True)
    ] = None
    manufacturer: Annotated[str | None, Column(STRING, "manufacturer", nullable=True)]
    acquired_on: Annotated[
        str | None,
        Column(
            STRING, "date shifted by a number of days fixed per patient, YYYY-MM-DD", nullable=True
        ),
    ]
    age_years: Annotated[
        float | None, Column(FLOAT64, "age, 90 for all above 89", "years", nullable=True)
    ]
    sex: Annotated[str | None, Column(STRING, "F, M or O", nullable=True)]
    pixels_sha256: Annotated[
        str | None,
        Column(
            STRING,
            "SHA-256 of the voxels alone, whatever the order and direction of their axes: equal "
            "for a copy under another origin, position or orientation; missing in rows that were "
            "written before the column came",
            nullable=True,
        ),
    ] = None
    source_checksums: Annotated[
        tuple[str, ...] | None,
        Column(
            STRINGS,
            "checksum of each of the source files as it was read, in their order: a file that was "
            "only touched is told from one that was changed; missing where its source gives none",
            nullable=True,
        ),
    ] = None
    block_means_hu: Annotated[
        tuple[float, ...] | None,
        Column(
            FLOAT64S,
            "mean of 4 x 4 x 4 blocks along the patient's axes: nearly equal for a copy that was "
            "compressed, rounded or resampled; missing in rows that were written before the "
            "column came",
            "HU",
            nullable=True,
        ),
    ] = None


TABLE = table("volumes", Volume, primary_key=("volume_id",), replaced_by="study_id")
