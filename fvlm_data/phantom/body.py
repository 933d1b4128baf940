"""Where a patient's organs lie and how large they are, before anything is painted.

Coordinates as in `scene`: mm, +x patient left, +y posterior, +z superior, origin between the hips.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.phantom.draws import gauss, stream, uniform
from fvlm_data.phantom.scene import Ellipsoid, Tube

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from fvlm_data.phantom.patient import Patient, Present, Study
    from fvlm_data.phantom.scene import Point

_ELLIPSOIDS: dict[str, tuple[Point, Point, Point]] = {
    "lung_right": ((-72, 4, 388), (60, 86, 116), (0.02, 0.0, 0.0)),
    "lung_left": ((73, 4, 388), (56, 84, 114), (-0.02, 0.0, 0.0)),
    "heart": ((16, -32, 365), (51, 42, 47), (0.25, -0.1, 0.15)),
    "liver": ((-62, -8, 262), (80, 70, 70), (0.1, -0.1, -0.1)),
    "liver_left": ((8, -46, 280), (56, 30, 34), (0.1, 0.0, 0.2)),
    "spleen": ((104, 34, 281), (23, 37, 46), (-0.1, -0.2, -0.2)),
    "kidney_left": ((58, 48, 226), (26, 24, 53), (-0.15, 0.1, 0.2)),
    "kidney_right": ((-58, 48, 213), (26, 24, 52), (0.15, 0.1, -0.2)),
    "gallbladder": ((-52, -48, 216), (13.5, 15, 28), (0.2, -0.3, 0.0)),
    "bladder": ((0, -36, 37), (33, 27, 25), (0.0, 0.0, 0.0)),
    "sacrum": ((0, 68, 60), (40, 15, 46), (0.0, -0.3, 0.0)),
}

_TUBES: dict[str, tuple[tuple[Point, ...], tuple[float, ...]]] = {
    "aorta": (
        (
            (-12, -14, 385),
            (-16, -18, 412),
            (-4, -8, 430),
            (14, 16, 432),
            (24, 36, 412),
            (25, 38, 372),
            (23, 37, 325),
            (12, 28, 282),
            (6, 23, 230),
            (4, 23, 180),
            (3, 24, 130),
        ),
        (16, 16, 14.5, 13.5, 13, 12.5, 12, 11.5, 10.5, 9.5, 8.5),
    ),
    "esophagus": (
        ((-1, 27, 505), (2, 24, 455), (2, 20, 410), (5, 19, 365), (12, 14, 330), (26, 4, 312)),
        (6.5, 6.5, 7, 7, 7, 7.5),
    ),
    "stomach": (
        (
            (66, 6, 306),
            (76, -26, 283),
            (62, -56, 254),
            (30, -64, 236),
            (-2, -58, 232),
            (-22, -46, 238),
        ),
        (29, 28, 24, 19, 14, 9),
    ),
    "pancreas": (
        (
            (-30, -10, 222),
            (-24, -16, 236),
            (0, -24, 244),
            (28, -14, 250),
            (58, 6, 257),
            (78, 20, 262),
        ),
        (12, 12, 9, 9.5, 9, 8),
    ),
    "portal": (
        ((-8, -8, 222), (-10, -6, 240), (-26, -10, 256), (-42, -10, 268), (-64, -6, 274)),
        (5.4, 6.2, 6.2, 6.0, 4.6),
    ),
    "splenic_vein": (
        ((86, 24, 268), (58, 12, 259), (25, -6, 250), (-9, -6, 241)),
        (3.4, 3.8, 4.2, 4.6),
    ),
    "portal_left": (((-42, -10, 268), (-20, -32, 278), (8, -40, 282)), (5, 4.2, 3.4)),
    "colon": (
        (
            (-88, 4, 62),
            (-104, 12, 110),
            (-108, 14, 160),
            (-98, -6, 194),
            (-66, -62, 196),
            (-16, -78, 186),
            (40, -76, 194),
            (92, -32, 226),
            (116, 12, 236),
            (120, 28, 186),
            (114, 26, 120),
            (96, 6, 76),
            (56, -16, 70),
            (22, 0, 84),
            (2, 34, 70),
            (0, 44, 40),
            (0, 46, 10),
        ),
        (27, 25, 23, 21, 20, 19, 19, 18, 17, 15, 14.5, 14, 14.5, 14, 15, 17, 14),
    ),
    "cava": (((-18, 16, 125), (-20, 14, 230), (-22, 10, 300), (-20, 2, 340)), (10, 11, 12, 12)),
    "pulmonary": (((4, -26, 392), (14, -10, 404), (44, 8, 402)), (13, 12, 9)),
    "pulmonary_right": (((12, -8, 404), (-20, 4, 402), (-48, 10, 398)), (10, 9, 8)),
    "trachea": (((0, 8, 530), (0, 12, 470), (1, 16, 426)), (8, 8, 8)),
    "bronchus_right": (((1, 16, 426), (-24, 20, 406), (-46, 22, 388)), (7, 6, 4.5)),
    "bronchus_left": (((1, 16, 426), (30, 22, 404), (52, 24, 386)), (6.5, 5.5, 4.5)),
}

_PHASES: dict[str, tuple[float, float, float]] = {
    "liver": (58, 68, 106),
    "spleen": (47, 108, 116),
    "kidney": (32, 135, 165),
    "pancreas": (40, 90, 94),
    "aorta": (41, 270, 150),
    "portal": (40, 100, 162),
    "heart": (41, 190, 130),
    "adrenal": (22, 55, 66),
    "wall": (38, 58, 76),
    "muscle": (52, 58, 62),
    "cava": (40, 80, 135),
    "bile": (7, 7, 8),
    "urine": (5, 5, 8),
}
"""Mean HU without contrast, in the arterial and in the portal phase."""

_FILLING = (("bladder", 0.65, 1.3), ("gallbladder", 0.7, 1.25))
_TUBE_FILLING = (("stomach", 0.7, 1.45), ("colon", 0.85, 1.25), ("small_bowel", 0.85, 1.2))
"""Hollow organs are fuller or emptier at each scan: lowest and highest factor of their width."""

_LARGEST = (("spleen", 2, 51.0), ("gallbladder", 1, 16.5), ("liver", 2, 77.0))
_SMALLEST_KIDNEY = 42.0
_WIDEST = {"aorta": 18.5, "portal": 6.9, "stomach": 39.0, "small_bowel": 13.0, "colon": 29.0}
"""Limits of healthy organs: half an axis (x, y, z by number) or a radius in mm."""

_SPREAD = {"liver": 7, "aorta": 10, "heart": 8, "kidney": 8, "portal": 9, "spleen": 7}


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Shapes and densities of one patient at one scan.

    Attributes:
        girth: half width and half depth of the trunk in mm.
        wall_mm: thickness of the subcutaneous fat.
        organs: ellipsoids by name. tubes: tubes by name.
        hu: density by tissue. lobulation: strength of harmless surface bumps.
        gravity: +1 where fluid gathers at the back (supine), -1 at the front (prone).
    """

    sex: str
    stature: float
    girth: tuple[float, float]
    wall_mm: float
    organs: Mapping[str, Ellipsoid]
    tubes: Mapping[str, Tube]
    hu: Mapping[str, float]
    gravity: int


def build_body(patient: Patient, study: Study, gravity: int) -> Body:
    """Return the body of a patient at one scan, with the findings that change whole organs.

    Organ shapes are drawn from the patient's stream and come back at every scan, moved a little
    (breathing, filling); densities depend on the contrast phase of the scan.
    """
    # `base` is the same at each scan of the patient, `now` differs
    base = stream(patient.seed, patient.index, 4)
    now = stream(patient.seed, patient.index, 5, study.order)
    breadth = gauss(base, 1.0, 0.065)
    organs = {
        name: _organ(base, now, breadth, patient.stature, *row) for name, row in _ELLIPSOIDS.items()
    }
    tubes = {
        name: _vessel(base, now, breadth, patient.stature, *row) for name, row in _TUBES.items()
    }
    tubes["small_bowel"] = _small_bowel(base, breadth, patient.stature)
    for name, low, high in _FILLING:
        organs[name] = _scaled(organs[name], uniform(now, low, high))
    organs["spleen"] = _scaled(organs["spleen"], gauss(base, 1.0, 0.09))
    for name, low, high in _TUBE_FILLING:
        factor = uniform(now, low, high)
        tubes[name] = tubes[name].scaled([factor] * len(tubes[name].points))
    thick = gauss(base, 1.0, 0.09)
    tubes["pancreas"] = tubes["pancreas"].scaled([thick] * 6)
    _cap(organs, tubes)
    body = Body(
        sex=patient.sex,
        stature=patient.stature,
        girth=(163.0 * breadth * gauss(base, 1.0, 0.04), 120.0 * breadth * gauss(base, 1.0, 0.05)),
        wall_mm=uniform(base, 8.0, 24.0),
        organs=organs,
        tubes=tubes,
        hu=_densities(base, now, study.phase),
        gravity=gravity,
    )
    return _changed(body, study.findings, stream(patient.seed, patient.index, 6))


def _cap(organs: dict[str, Ellipsoid], tubes: dict[str, Tube]) -> None:
    """Keep healthy organs below the sizes that count as findings."""
    for name, axis, limit in _LARGEST:
        half = organs[name].semi[axis]
        organs[name] = _scaled(organs[name], min(1.0, limit / half))
    for side in ("left", "right"):
        kidney = organs[f"kidney_{side}"]
        organs[f"kidney_{side}"] = _scaled(kidney, max(1.0, _SMALLEST_KIDNEY / kidney.semi[2]))
    for name, limit in _WIDEST.items():
        tube = tubes[name]
        tubes[name] = Tube(tube.points, tuple(min(radius, limit) for radius in tube.radii))


def _organ(
    base: np.random.Generator,
    now: np.random.Generator,
    breadth: float,
    stature: float,
    center: Point,
    semi: Point,
    tilt: Point,
) -> Ellipsoid:
    shift = [gauss(base, 0.0, 4.5) + gauss(now, 0.0, 2.0) for _ in range(3)]
    size = gauss(base, 1.0, 0.07)
    a, b, c = (half * size * gauss(base, 1.0, 0.06) for half in semi)
    lean = [value + gauss(base, 0.0, 0.07) for value in tilt]
    bumps = [gauss(base, 0.0, 0.09) for _ in range(3)]
    return Ellipsoid(
        (
            center[0] * breadth + shift[0],
            center[1] * breadth + shift[1],
            center[2] * stature + shift[2],
        ),
        (a * breadth, b * breadth, c * stature),
        (lean[0], lean[1], lean[2]),
        (bumps[0], bumps[1], bumps[2]),
    )


def _vessel(
    base: np.random.Generator,
    now: np.random.Generator,
    breadth: float,
    stature: float,
    points: tuple[Point, ...],
    radii: tuple[float, ...],
) -> Tube:
    drift = [gauss(base, 0.0, 3.0) + gauss(now, 0.0, 1.2) for _ in range(3)]
    wide = gauss(base, 1.0, 0.09)
    moved: list[Point] = []
    for x, y, z in points:
        moved.append(
            (
                x * breadth + drift[0] + gauss(base, 0.0, 2.0),
                y * breadth + drift[1] + gauss(base, 0.0, 2.0),
                z * stature + drift[2] + gauss(base, 0.0, 2.0),
            )
        )
    return Tube(tuple(moved), tuple(radius * wide * gauss(base, 1.0, 0.04) for radius in radii))


def _small_bowel(base: np.random.Generator, breadth: float, stature: float) -> Tube:
    """Loops that wind through the mid abdomen, level by level."""
    points: list[Point] = []
    for level in range(4):
        across = [-62.0, -22.0, 22.0, 62.0]
        if level % 2:
            across.reverse()
        for row, x in enumerate(across):
            y = -48.0 + (28.0 if (row + level) % 2 else 0.0)
            points.append(
                (
                    (x + gauss(base, 0.0, 9.0)) * breadth,
                    (y + gauss(base, 0.0, 8.0)) * breadth,
                    (92.0 + 28.0 * level + gauss(base, 0.0, 7.0)) * stature,
                )
            )
    return Tube(tuple(points), tuple(uniform(base, 8.5, 12.5) for _ in points))


def _densities(base: np.random.Generator, now: np.random.Generator, phase: str) -> dict[str, float]:
    column = ("none", "arterial", "portal").index(phase)
    # one factor for all tissues: a scan with more contrast medium is brighter everywhere
    strength = 1.0 if column == 0 else gauss(now, 1.0, 0.16)
    densities = {}
    for tissue, row in _PHASES.items():
        enhanced = row[0] + (row[column] - row[0]) * strength
        densities[tissue] = enhanced + gauss(base, 0.0, _SPREAD.get(tissue, 5))
    densities["lung"] = gauss(base, -855.0, 22.0) + gauss(now, 0.0, 18.0)
    densities["bone"] = gauss(base, 190.0, 40.0)
    densities["fat"] = gauss(base, -103.0, 5.0)
    return densities


def _scaled(shape: Ellipsoid, factor: float) -> Ellipsoid:
    a, b, c = shape.semi
    return Ellipsoid(shape.center, (a * factor, b * factor, c * factor), shape.tilt, shape.bumps)


def _with_height(shape: Ellipsoid, height_mm: float, share: float) -> Ellipsoid:
    """Make an organ `height_mm` tall; its width follows by the power `share`."""
    factor = height_mm / 2.0 / shape.semi[2]
    a, b, c = shape.semi
    wide = 1.0 + (factor - 1.0) * share
    return Ellipsoid(shape.center, (a * wide, b * wide, c * factor), shape.tilt, shape.bumps)


def _changed(body: Body, findings: Mapping[str, Present], rng: np.random.Generator) -> Body:
    """Apply the findings that change the size or the density of a whole organ."""
    organs, tubes, hu = dict(body.organs), dict(body.tubes), dict(body.hu)
    bent = uniform(rng, 0.0, 1.0)
    if "cardiomegaly" in findings:
        organs["heart"] = _scaled(organs["heart"], 1.06 + 0.2 * findings["cardiomegaly"].severity)
    if "hepatic_steatosis" in findings:
        hu["liver"] -= 13.0 + 30.0 * findings["hepatic_steatosis"].severity
    if "hepatomegaly" in findings:
        tall = findings["hepatomegaly"].size_mm or 180.0
        organs["liver"] = _with_height(organs["liver"], 0.88 * tall, 0.45).moved(z=-8.0)
    if "cirrhosis" in findings:
        worse = findings["cirrhosis"].severity
        organs["liver"] = _scaled(organs["liver"], 0.94 - 0.14 * worse)
        organs["liver_left"] = _scaled(organs["liver_left"], 1.05 + 0.2 * worse)
    if "splenomegaly" in findings:
        tall = findings["splenomegaly"].size_mm or 130.0
        organs["spleen"] = _with_height(organs["spleen"], 0.88 * tall, 0.3).moved(z=-6.0)
    if "gallbladder_distention" in findings:
        short = (findings["gallbladder_distention"].size_mm or 42.0) / 2.0
        organs["gallbladder"] = _scaled(
            organs["gallbladder"], 0.85 * short / organs["gallbladder"].semi[1]
        )
    _change_kidneys(organs, findings)
    _change_tubes(tubes, findings, bent)
    return Body(
        sex=body.sex,
        stature=body.stature,
        girth=body.girth,
        wall_mm=body.wall_mm,
        organs={name: shape for name, shape in organs.items() if name not in _gone(findings)},
        tubes=tubes,
        hu=hu,
        gravity=body.gravity,
    )


def _gone(findings: Mapping[str, Present]) -> set[str]:
    gone = {name.removesuffix("_absent") for name in findings if name.endswith("_absent")}
    if "kidney_absent" in findings:
        gone = gone - {"kidney"} | {f"kidney_{findings['kidney_absent'].sides[0]}"}
    return gone


def _change_kidneys(organs: dict[str, Ellipsoid], findings: Mapping[str, Present]) -> None:
    if "kidney_atrophy" in findings:
        small = findings["kidney_atrophy"]
        for side in small.sides:
            kidney = organs[f"kidney_{side}"]
            organs[f"kidney_{side}"] = _with_height(kidney, small.size_mm or 70.0, 0.8)
    if "hydronephrosis" in findings:
        for side in findings["hydronephrosis"].sides:
            organs[f"kidney_{side}"] = organs[f"kidney_{side}"].grown(1.5)


def _change_tubes(tubes: dict[str, Tube], findings: Mapping[str, Present], bent: float) -> None:
    if "pancreatic_atrophy" in findings:
        thin = 0.88 - 0.22 * findings["pancreatic_atrophy"].severity
        tubes["pancreas"] = tubes["pancreas"].scaled([thin] * 6)
    if "portal_vein_dilatation" in findings:
        wide = (findings["portal_vein_dilatation"].size_mm or 16.0) / 2.0 / 6.6
        tubes["portal"] = tubes["portal"].scaled([wide] * 5)
        tubes["splenic_vein"] = tubes["splenic_vein"].scaled([0.5 + 0.5 * wide] * 4)
    if "aortic_dissection" in findings:
        tubes["aorta"] = tubes["aorta"].scaled([1.0] * 4 + [1.12] * 4 + [1.0] * 3)
    if "gastric_distention" in findings:
        wide = (findings["gastric_distention"].size_mm or 90.0) / 2.0
        factor = wide / tubes["stomach"].radii[1]
        tubes["stomach"] = tubes["stomach"].scaled(
            [factor, factor, factor, 0.3 + 0.7 * factor, 1.0, 1.0]
        )
    if "small_bowel_dilatation" in findings:
        wide = (findings["small_bowel_dilatation"].size_mm or 30.0) / 2.0
        loops = tubes["small_bowel"]
        start = int(bent * 6)
        radii = [
            wide if start <= index < start + 7 else radius
            for index, radius in enumerate(loops.radii)
        ]
        tubes["small_bowel"] = Tube(loops.points, tuple(radii))
