"""What a header says twice of geometry and values, where the two do not agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.ingest.volume.geometry import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fvlm_data.ingest.dicom.slice_header import SliceHeader
    from fvlm_data.ingest.volume.geometry import Grid

ASPECT_AGREES = 0.01
CLEAR_COSINE = 0.8
"""A direction nearer to no axis of the patient than this may go by several letters."""

AXES = (("L", "R"), ("P", "A"), ("H", "F"))
"""Letters of PatientOrientation along and against x, y, z (DICOM PS3.3 C.7.6.1.1.1)."""

TILT_DEGREES = 1.0
COARSE_SLOPE = 4.0
"""From this slope on neighbouring values lie so many HU apart, and an organ from its fat by few."""


def check_aspect(headers: Sequence[SliceHeader]) -> Fault | None:
    """Refuse PixelAspectRatio and PixelSpacing that give pixels two shapes (PS3.3 C.7.6.3.1.7)."""
    for one in headers:
        aspect, spacing = one.pixel_aspect, one.geometry.pixel_spacing_mm
        if aspect is None or spacing is None or min(*aspect, *spacing) <= 0:
            continue
        if abs(aspect[0] / aspect[1] * spacing[1] / spacing[0] - 1) > ASPECT_AGREES:
            return Fault(
                "pixel_aspect_disagrees",
                f"PixelAspectRatio gives pixels of {aspect[0]:g} to {aspect[1]:g}, PixelSpacing of "
                f"{spacing[0]:g} to {spacing[1]:g} mm, expected one shape: which is right is not "
                "known; correct the headers and send the series again",
            )
    return None


def contradictions(headers: Sequence[SliceHeader], grid: Grid) -> dict[str, int]:
    """What is to be told of the headers of a proved stack: slices, degrees or HU by code.

    The proof goes by ImageOrientationPatient and ImagePositionPatient; PatientOrientation and
    GantryDetectorTilt may have been left as they were before an image was turned or corrected.
    """
    turned = sum(_turned(one) for one in headers)
    tilt = max(abs(one.tilt_degrees) for one in headers)
    upright = not grid.tilt_degrees and _is_axial(headers[0])
    slope = max(abs(one.stored.slope or 0.0) for one in headers)
    return {
        "patient_orientation_differs": turned,
        "gantry_tilt_not_shown": round(tilt) if tilt >= TILT_DEGREES and upright else 0,
        "coarse_values": round(slope) if slope >= COARSE_SLOPE else 0,
    }


def _turned(header: SliceHeader) -> bool:
    """Whether PatientOrientation names the opposite of a direction of the image."""
    letters, orientation = header.patient_orientation, header.geometry.orientation
    if orientation is None or len(letters) != 2:
        return False
    for named, direction in zip(letters, (orientation[:3], orientation[3:]), strict=True):
        axis = int(np.argmax(np.abs(direction)))
        against = AXES[axis][1 if direction[axis] > 0 else 0]
        # behind the first letter stand directions that the image leans to
        if abs(direction[axis]) >= CLEAR_COSINE and named[:1] == against:
            return True
    return False


def _is_axial(header: SliceHeader) -> bool:
    orientation = header.geometry.orientation or (0.0,) * 6
    normal = np.cross(orientation[:3], orientation[3:])
    return bool(abs(normal[2]) > 1 - 1e-4)
