"""Geometry proof: slices that form one even, orthogonal grid, or the reason why they do not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fvlm_data.ingest.config import IngestConfig

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""DICOM's x and y grow to the left and the back (PS3.3 C.7.6.2.1.1), NIfTI's to right and front."""

GAP_FACTOR = 1.5
"""A distance above this multiple of the usual one is a gap; below it, uneven spacing."""

MOST_TILT_DEGREES = 45
"""Gantries tilt by 30 degrees at most; slices that lean more are not one scan."""

MOST_PIXEL_SPACING_MM = 20.0

ALONG_BODY_COSINE = 0.8

WHOLE_VOXEL = 1e-3
"""Offsets this close to a whole number of voxels need no interpolation."""


@dataclass(frozen=True, slots=True)
class SliceGeometry:
    """Place of one slice as its header states it (DICOM PS3.3 C.7.6.2 and C.7.6.3); None: absent.

    `position_mm` is the centre of the first voxel in patient coordinates (LPS). `orientation` is
    the direction in which the column index grows, then that in which the row index grows.
    `pixel_spacing_mm` is the distance between rows, then between columns (PS3.3 10.7.1.3).
    """

    position_mm: tuple[float, float, float] | None
    orientation: tuple[float, ...] | None
    pixel_spacing_mm: tuple[float, float] | None
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Why something is not a volume: snake_case reason and a sentence with the numbers."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A proved grid.

    `order` lists the given slices by increasing position on the normal; `shape` and `spacing_mm`
    run along i (columns), j (rows), k (slices); `affine_ras` is 4 x 4, voxel (i, j, k, 1) to RAS+
    patient position in mm. With a tilted gantry the grid is large enough for all slices, and
    `offsets_voxels` says how many voxels (i, j) into it each ordered slice starts: `tilt.shear`
    moves it there.
    """

    order: tuple[int, ...]
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    affine_ras: NDArray[np.float64]
    tilt_degrees: float = 0.0
    offsets_voxels: tuple[tuple[float, float], ...] = ()


def prove(slices: Sequence[SliceGeometry], config: IngestConfig) -> Grid | Fault:
    """Prove that slices form one volume, or say why they do not.

    Slices are ordered by their position on the slice normal, which is the cross product of the
    two directions of ImageOrientationPatient (DICOM PS3.3 C.7.6.2.1.1). Their spacing comes from
    these positions alone, never from SliceThickness, which differs from it where slices overlap
    or leave gaps. Apart from `order` itself, the result does not depend on the order of `slices`.
    """
    fault = _incomplete(slices, config) or _mixed(slices, config)
    if fault:
        return fault
    axes = _axes(slices[0], config)
    if isinstance(axes, Fault):
        return axes
    positions = np.array([one.position_mm for one in slices], dtype=np.float64)
    heights = positions @ axes[:, 2]
    # the whole position breaks ties, so that file order does not
    order = sorted(range(len(slices)), key=lambda n: (heights[n], *positions[n]))
    step = _step(heights[order], config) if len(slices) > 1 else 0.0
    if isinstance(step, Fault):
        return step
    lean = _lean(positions[order], axes, config)
    if isinstance(lean, Fault):
        return lean
    # PixelSpacing names rows first (PS3.3 10.7.1.3); i runs across columns, so the two are swapped
    between_rows, between_columns = slices[0].pixel_spacing_mm or (0.0, 0.0)
    spacing = (between_columns, between_rows, step)
    upright = Grid(
        order=tuple(order),
        shape=(slices[0].columns, slices[0].rows, len(slices)),
        spacing_mm=spacing,
        affine_ras=LPS_TO_RAS @ _affine_lps(axes, spacing, positions[order[0]]),
    )
    return _leaning(upright, positions[order], axes, lean) if lean else upright


def heights_mm(slices: Sequence[SliceGeometry]) -> NDArray[np.float64] | None:
    """Positions of slices on the normal of the first, mm; None where one has no position."""
    stated = [one.position_mm for one in slices]
    orientation = slices[0].orientation
    if orientation is None or None in stated:
        return None
    normal = np.cross(orientation[:3], orientation[3:])
    heights: NDArray[np.float64] = np.array(stated, dtype=np.float64) @ normal
    return heights


def axis_codes(affine_ras: NDArray[np.float64]) -> str:
    """Nearest patient axes of i, j, k, each pointing to its letter: LPS, RAS, ...

    Each patient axis is used once, so that an oblique grid has a code too.
    """
    directions = affine_ras[:3, :3] / np.linalg.norm(affine_ras[:3, :3], axis=0)
    best = max(
        permutations(range(3)),
        key=lambda axes: sum(abs(directions[axis, n]) for n, axis in enumerate(axes)),
    )
    letters = (("L", "R"), ("P", "A"), ("I", "S"))
    return "".join(letters[axis][int(directions[axis, n] > 0)] for n, axis in enumerate(best))


def is_along_body(affine_ras: NDArray[np.float64]) -> bool:
    """Whether slices k follow each other along the patient's length, give or take 37 degrees."""
    direction = affine_ras[:3, 2]
    return bool(abs(direction[2]) >= ALONG_BODY_COSINE * np.linalg.norm(direction))


def prove_affine(affine_ras: NDArray[np.float64], config: IngestConfig) -> Fault | None:
    """Check that a 4 x 4 affine is finite, not singular and free of shear."""
    linear = affine_ras[:3, :3]
    lengths = np.linalg.norm(linear, axis=0)
    if not np.isfinite(affine_ras).all() or (lengths <= 0).any():
        return Fault(
            "singular_affine",
            "the affine holds an axis of no length or a value that is no number; expected three "
            "axes in mm; export the file again",
        )
    directions = linear / lengths
    cosines = np.abs(directions.T @ directions - np.eye(3)).max()
    if cosines > config.direction_tolerance:
        return Fault(
            "sheared_affine",
            f"two axes of the affine meet at a cosine of {cosines:.4f}, expected at most "
            f"{config.direction_tolerance:g}; resample the volume to a grid with right angles",
        )
    return None


def check_identity(affine_ras: NDArray[np.float64], config: IngestConfig) -> Fault | None:
    """Refuse the affine (4 x 4, RAS+ mm) that libraries write where they are given none.

    Voxels of 1 mm along the axes from the origin: `numpy.eye(4)`, or SimpleITK's default, whose x
    and y are turned. No scanner puts a corner of an image at exactly 0, 0, 0.
    """
    unset = np.array_equal(np.abs(affine_ras), np.eye(4))
    if not unset or config.identity_affine == "accept":
        return None
    return Fault(
        "identity_affine",
        "the affine is the identity, which programs write where geometry was lost; expected the "
        "scan's own spacing, orientation and origin: convert the source anew, or set "
        "ingest.identity_affine to accept if voxels are 1 mm and axes as they say",
    )


def _incomplete(slices: Sequence[SliceGeometry], config: IngestConfig) -> Fault | None:
    checks: tuple[tuple[str, str, list[Any]], ...] = (
        ("missing_position", "ImagePositionPatient", [s.position_mm for s in slices]),
        ("missing_orientation", "ImageOrientationPatient", [s.orientation for s in slices]),
        ("missing_pixel_spacing", "PixelSpacing", [s.pixel_spacing_mm for s in slices]),
    )
    for reason, name, values in checks:
        absent = sum(value is None for value in values)
        if absent:
            return Fault(
                reason,
                f"{absent} of {len(slices)} slices have no usable {name}, expected one in each; "
                "send the series again from the archive",
            )
    most = max(max(one.pixel_spacing_mm or (0.0,)) for one in slices)
    if most > MOST_PIXEL_SPACING_MM:
        return Fault(
            "implausible_pixel_spacing",
            f"PixelSpacing is {most:g} mm, expected at most {MOST_PIXEL_SPACING_MM:g} mm for CT: "
            "another unit, or damaged; send the series again",
        )
    if any(min(one.pixel_spacing_mm or (0.0,)) <= 0 for one in slices):
        return Fault(
            "zero_pixel_spacing",
            "PixelSpacing holds a value of 0 or below, expected mm above 0; send the series again",
        )
    if len(slices) < config.min_slices:
        return Fault(
            "too_few_slices",
            f"{len(slices)} slice(s) found, expected at least {config.min_slices}; send the rest "
            "of the series, or lower ingest.min_slices",
        )
    return None


def _mixed(slices: Sequence[SliceGeometry], config: IngestConfig) -> Fault | None:
    sizes = {(one.rows, one.columns) for one in slices}
    if len(sizes) > 1:
        return Fault("mixed_size", f"{len(sizes)} different image sizes in one stack, expected one")
    spacings = np.array([one.pixel_spacing_mm for one in slices])
    if np.ptp(spacings, axis=0).max() > config.direction_tolerance * spacings.max():
        return Fault(
            "mixed_pixel_spacing",
            f"PixelSpacing runs from {spacings.min():g} to {spacings.max():g} mm within one stack, "
            "expected one value",
        )
    spread = np.ptp(np.array([one.orientation for one in slices]), axis=0).max()
    if spread > config.direction_tolerance:
        return Fault(
            "mixed_orientation",
            f"ImageOrientationPatient differs by up to {spread:.4f} between slices, expected at "
            f"most {config.direction_tolerance:g}",
        )
    return None


def _axes(one: SliceGeometry, config: IngestConfig) -> NDArray[np.float64] | Fault:
    """Unit directions of i, j, k in LPS as columns of a 3 x 3 array, at exact right angles."""
    stated = np.array(one.orientation, dtype=np.float64)
    along_i, along_j = stated[:3], stated[3:]
    lengths = (float(np.linalg.norm(along_i)), float(np.linalg.norm(along_j)))
    cosine = abs(float(along_i @ along_j))
    worst = max(abs(lengths[0] - 1), abs(lengths[1] - 1), cosine)
    # `not <=` rather than `>`, so that NaN is refused
    if not worst <= config.direction_tolerance:
        return Fault(
            "not_orthonormal",
            f"ImageOrientationPatient has lengths {lengths[0]:.4f} and {lengths[1]:.4f} and cosine "
            f"{cosine:.4f}, expected 1, 1 and 0 within {config.direction_tolerance:g}",
        )
    unit_i = along_i / lengths[0]
    # headers round the cosines, so the second is made exactly orthogonal to the first
    # (Gram-Schmidt)
    unit_j = along_j - (along_j @ unit_i) * unit_i
    unit_j /= np.linalg.norm(unit_j)
    axes: NDArray[np.float64] = np.stack([unit_i, unit_j, np.cross(unit_i, unit_j)], axis=1)
    return axes


def _step(heights_mm: NDArray[np.float64], config: IngestConfig) -> float | Fault:
    """Distance of slices whose ordered positions on the normal are `heights_mm`."""
    extent = float(heights_mm[-1] - heights_mm[0])
    if extent <= config.position_tolerance_mm:
        return Fault(
            "constant_position",
            f"all {len(heights_mm)} slices lie at one position on the slice normal, expected one "
            "position a slice",
        )
    distances = np.diff(heights_mm)
    # the median: one gap or one doubled slice must not shift what counts as usual
    usual = float(np.median(distances))
    least = float(distances.min())
    if least <= min(config.position_tolerance_mm, usual / 10) or usual <= 0:
        where = int(np.argmin(distances))
        return Fault(
            "duplicate_position",
            f"slices {where + 1} and {where + 2} along the normal lie {least:.3f} mm apart, "
            f"expected {usual:.3f} mm: two images at one place; send them as series of their own",
        )
    largest = int(np.argmax(distances))
    if distances[largest] > GAP_FACTOR * usual:
        missing = max(1, round(float(distances[largest]) / usual) - 1)
        return Fault(
            "missing_slices",
            f"gap of {distances[largest]:.3f} mm after slice {largest + 1} along the normal, "
            f"expected {usual:.3f} mm: about {missing} slice(s) missing; send the series again",
        )
    # from the ends, so that rounding of single positions does not add up over the stack
    step = extent / (len(heights_mm) - 1)
    allowed = max(config.position_tolerance_mm, config.spacing_tolerance_relative * step)
    off = np.abs(heights_mm - heights_mm[0] - step * np.arange(len(heights_mm)))
    if off.max() > allowed:
        return Fault(
            "uneven_spacing",
            f"slice {int(np.argmax(off)) + 1} along the normal lies {off.max():.3f} mm from its "
            f"even place at {step:.3f} mm a slice, expected at most {allowed:.3f} mm",
        )
    return step


def _lean(
    positions_mm: NDArray[np.float64], axes: NDArray[np.float64], config: IngestConfig
) -> float | Fault:
    """Angle in degrees by which a stack of ordered slices leans off its normal; 0: upright.

    A sideways shift that grows evenly comes from a tilted gantry; any other is a fault.
    """
    away = (positions_mm - positions_mm[0]) @ axes
    sideways, heights = away[:, :2], away[:, 2]
    shift = float(np.linalg.norm(sideways, axis=1).max())
    if shift <= config.position_tolerance_mm:
        return 0.0
    # mm sideways per mm along the normal: the tangent of the tilt
    slope = sideways[-1] / heights[-1]
    angle = math.degrees(math.atan(float(np.linalg.norm(slope))))
    uneven = float(np.abs(sideways - heights[:, None] * slope).max())
    if uneven > config.position_tolerance_mm or angle > MOST_TILT_DEGREES:
        return Fault(
            "lateral_shift",
            f"slices are shifted sideways by up to {shift:.2f} mm ({angle:.1f} degrees over the "
            f"stack, {uneven:.2f} mm uneven), expected at most {config.position_tolerance_mm:g} "
            f"mm, or an even shift of at most {MOST_TILT_DEGREES} degrees as a tilted gantry "
            "makes: they are not one stack; send the series again",
        )
    if config.tilt == "refuse":
        return Fault(
            "gantry_tilt",
            f"slices are shifted sideways evenly by up to {shift:.2f} mm: gantry tilted by "
            f"{angle:.1f} degrees, expected 0; set ingest.tilt to shear to have it corrected",
        )
    return angle


def _leaning(
    upright: Grid, positions_mm: NDArray[np.float64], axes: NDArray[np.float64], angle: float
) -> Grid:
    """The grid with right angles that holds every slice of a leaning stack."""
    in_plane = np.array(upright.spacing_mm[:2])
    sideways = ((positions_mm - positions_mm[0]) @ axes)[:, :2]
    least = sideways.min(axis=0)
    # offsets are measured from the slice that reaches furthest back, so that none is negative
    offsets = (sideways - least) / in_plane
    more = np.ceil(offsets.max(axis=0) - WHOLE_VOXEL).astype(int)
    columns, rows, slices = upright.shape
    origin = positions_mm[0] + axes[:, :2] @ least
    return replace(
        upright,
        shape=(columns + int(more[0]), rows + int(more[1]), slices),
        affine_ras=LPS_TO_RAS @ _affine_lps(axes, upright.spacing_mm, origin),
        tilt_degrees=angle,
        offsets_voxels=tuple((float(i), float(j)) for i, j in offsets),
    )


def _affine_lps(
    axes: NDArray[np.float64],
    spacing_mm: tuple[float, float, float],
    origin_mm: NDArray[np.float64],
) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = axes * np.array(spacing_mm)
    affine[:3, 3] = origin_mm
    return affine
