"""How a scan is acquired and reconstructed: grids, kernels, noise, orientation, encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.phantom.draws import chance, pick, stream, uid, uniform, weighted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fvlm_data.phantom.body import Body
    from fvlm_data.phantom.patient import Study
    from fvlm_data.phantom.scene import Floats, Point

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
RLE = "1.2.840.10008.1.2.5"

_SCANNERS = (
    ("SIEMENS", "SOMATOM Phantom 64", ("B30f", "B40f", "I30f"), ("B60f", "I70f")),
    ("GE MEDICAL SYSTEMS", "Phantom VCT", ("STANDARD", "SOFT"), ("LUNG", "BONEPLUS")),
    ("Philips", "Phantom iCT", ("B", "C"), ("YA", "L")),
    ("TOSHIBA", "Phantom ONE", ("FC08", "FC18"), ("FC52", "FC86")),
)

_DIRECTIONS = {
    "HFS": (1, 1),
    "HFP": (-1, -1),
    "FFS": (-1, 1),
    "FFP": (1, -1),
}
"""Signs of the row direction along x and of the column direction along y (DICOM PS3.3 C.7.6.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPlan:
    """One series of a scan.

    Attributes:
        x_mm, y_mm, z_mm: voxel centres in body coordinates, ascending.
        offset_mm: what is added to body coordinates to give the scanner's patient coordinates.
        position: DICOM Patient Position. gravity: +1 supine, -1 prone.
        grain: weight of neighbours in the noise (0 = white, 1 = very coarse).
        slope, intercept, signed, padding: how HU are stored; padding is the stored value outside
            the round field of view, or None.
        instances_descend: whether Instance Number falls while z rises.
    """

    series_uid: str
    number: int
    x_mm: Floats
    y_mm: Floats
    z_mm: Floats
    pixel_mm: float
    step_mm: float
    thickness_mm: float
    offset_mm: Point
    position: str
    manufacturer: str
    model: str
    kernel: str
    grain: float
    noise_hu: float
    slope: float
    intercept: float
    signed: bool
    padding: int | None
    syntax: str
    instances_descend: bool
    scout: bool

    @property
    def gravity(self) -> int:
        """+1 where fluid gathers at the back, -1 at the front."""
        return -1 if self.position.endswith("P") else 1

    @property
    def directions(self) -> tuple[int, int]:
        """Signs of the row direction along x and the column direction along y."""
        return _DIRECTIONS[self.position]


@dataclass(frozen=True, slots=True)
class _Scan:
    """What all series of a scan share."""

    position: str
    scanner: tuple[str, str, tuple[str, ...], tuple[str, ...]]
    offset_mm: Point
    noise_hu: float
    half_mm: float
    scout: bool


def draw_position(seed: int, study: Study) -> str:
    """Draw how the patient lies: nearly always head first, supine."""
    rng = stream(seed, study.patient, 12, study.order)
    return weighted(rng, (("HFS", 0.86), ("FFS", 0.07), ("HFP", 0.05), ("FFP", 0.02)))


def plan_series(seed: int, study: Study, body: Body) -> list[SeriesPlan]:
    """Return the series of a scan: one, or two reconstructions of the same scan."""
    rng = stream(seed, study.patient, 13, study.order)
    half_x = body.girth[0]
    scan = _Scan(
        position=draw_position(seed, study),
        scanner=pick(rng, _SCANNERS),
        offset_mm=(
            _eighth(uniform(rng, -8.0, 8.0)),
            _eighth(uniform(rng, -160.0, -120.0)),
            _eighth(uniform(rng, -1400.0, 100.0)),
        ),
        # larger patients absorb more: noisier
        noise_hu=uniform(rng, 9.0, 24.0) * (half_x / 163.0) ** 2,
        half_mm=1.05 * max(half_x, 174.0) + uniform(rng, 4.0, 14.0),
        scout=chance(rng, 0.08),
    )
    count = 2 if chance(rng, 0.22) else 1
    first_sharp = chance(rng, 0.25 if study.protocol == "chest" else 0.05)
    plans = []
    for number in range(count):
        sharp = first_sharp if number == 0 else not first_sharp
        plans.append(_reconstruction(rng, seed, study, scan, number, sharp=sharp))
    return plans


def _eighth(value: float) -> float:
    """Round to 1/8 mm, which decimal strings and 32-bit floats both hold exactly."""
    return float(np.rint(value * 8.0)) / 8.0


def _reconstruction(
    rng: np.random.Generator,
    seed: int,
    study: Study,
    scan: _Scan,
    number: int,
    *,
    sharp: bool,
) -> SeriesPlan:
    manufacturer, model, soft_kernels, sharp_kernels = scan.scanner
    steps = {"chest": (4.5, 5.0, 6.0), "abdomen": (5.0, 5.5, 6.0), "both": (7.0, 7.5)}
    step = pick(rng, steps[study.protocol])
    pixel = pick(rng, (3.125, 3.25, 3.375, 3.5, 3.625, 3.75))
    matrix = 8 * round(2.0 * scan.half_mm / pixel / 8.0)
    matrix = min(128, max(96, matrix))
    slices = int((study.high_mm - study.low_mm) / step) + 1
    across = (np.arange(matrix, dtype=np.float64) - (matrix - 1) / 2.0) * pixel
    bottom = _eighth(study.low_mm)
    slope, intercept, signed = weighted(
        rng,
        (
            ((1.0, -1024.0, False), 0.62),
            ((1.0, 0.0, True), 0.22),
            ((0.5, -1024.0, False), 0.07),
            ((2.0, -1024.0, False), 0.05),
            ((1.0, -1024.0, True), 0.04),
        ),
    )
    padding = None
    if chance(rng, 0.09):
        padding = -2000 if signed else 0
    syntax = weighted(rng, ((EXPLICIT, 0.74), (IMPLICIT, 0.12), (RLE, 0.08), (DEFLATED, 0.06)))
    grain = uniform(rng, 0.0, 0.25) if sharp else uniform(rng, 0.45, 0.85)
    return SeriesPlan(
        series_uid=uid("series", seed, study.patient, study.order, number),
        number=number + 2,
        x_mm=across,
        y_mm=across + 6.0,
        z_mm=bottom + np.arange(slices, dtype=np.float64) * step,
        pixel_mm=pixel,
        step_mm=step,
        thickness_mm=step if chance(rng, 0.8) else step + 1.0,
        offset_mm=scan.offset_mm,
        position=scan.position,
        manufacturer=manufacturer,
        model=model,
        kernel=pick(rng, sharp_kernels if sharp else soft_kernels),
        grain=grain,
        # thinner slices catch fewer photons: noise goes with the root of the thickness
        noise_hu=scan.noise_hu * (1.5 if sharp else 1.0) * (5.0 / step) ** 0.5,
        slope=slope,
        intercept=intercept,
        signed=signed,
        padding=padding,
        syntax=syntax,
        instances_descend=chance(rng, 0.4),
        scout=scan.scout and number == 0,
    )


def stored_values(hu: NDArray[np.int16], plan: SeriesPlan) -> NDArray[Any]:
    """Return stored values for HU (any shape), with padding outside the round field of view.

    Args:
        hu: int16 HU, (z, y, x) in ascending body coordinates.
        plan: the series, with its slope, intercept and padding.

    Returns:
        int16 (signed) or uint16, same shape.
    """
    values = np.rint((hu.astype(np.float64) - plan.intercept) / plan.slope)
    limits = (-2048, 32767) if plan.signed else (0, 65535)
    values = np.clip(values, *limits)
    if plan.padding is not None:
        across = plan.x_mm * plan.x_mm
        down = (plan.y_mm - 6.0) * (plan.y_mm - 6.0)
        radius = float(plan.x_mm[-1]) + plan.pixel_mm / 2.0
        outside = down[:, None] + across[None, :] > radius * radius
        values[:, outside] = plan.padding
    stored: NDArray[Any] = values.astype(np.int16 if plan.signed else np.uint16)
    return stored
