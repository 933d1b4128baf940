"""Findings that lie at one place of an organ, painted after all organs stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.phantom.catalogue import ANATOMY_CLASSES, KIND, VALUE
from fvlm_data.phantom.draws import chance, gauss, stream, uniform
from fvlm_data.phantom.organs import adrenal_limbs
from fvlm_data.phantom.scene import Ellipsoid, Tube, ellipsoid_distance
from fvlm_data.phantom.tissues import LUNG_VALUES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fvlm_data.phantom.body import Body
    from fvlm_data.phantom.patient import Present
    from fvlm_data.phantom.scene import Point, Scene

    Painter = Callable[["Brush", Present], None]

_ORDER = tuple(KIND)
_TRIES = 14


class Brush:
    """Paints the lesions of one scan; each finding has a stream and remembered places.

    Places are chosen on the first series of a scan and used again for its other series, so that
    a lesion lies at the same point in both.
    """

    def __init__(
        self, scene: Scene, body: Body, seed: int, patient: int, places: dict[str, list[Point]]
    ) -> None:
        """Hold the scene; `places` is filled, or used where it is filled already."""
        self.scene, self.body = scene, body
        self._seed, self._patient, self._places = seed, patient, places
        self.rng = stream(seed, patient, 7)
        self._fixed = False

    def begin(self, finding: str) -> None:
        """Start the stream of a finding."""
        self.rng = stream(self._seed, self._patient, 7, _ORDER.index(finding))
        self._fixed = finding in self._places
        self._queue = self._places.setdefault(finding, [])
        self._used = 0

    def point(self, candidates: Callable[[], Point], radius_mm: float, *values: int) -> Point:
        """Return the candidate around which most of a ball lies on the given labels."""
        # drawn even if the place is fixed: the stream must be at the same point in every series
        drawn = [candidates() for _ in range(_TRIES)]
        if self._fixed:
            self._used += 1
            return self._queue[self._used - 1]
        best, most = drawn[0], -1.0
        for point in drawn:
            share = self._share(point, radius_mm, values)
            if share > most:
                best, most = point, share
            if share > 0.85:
                break
        self._queue.append(best)
        return best

    def _share(self, point: Point, radius_mm: float, values: tuple[int, ...]) -> float:
        ball = Ellipsoid(point, (radius_mm, radius_mm, radius_mm))
        region = self.scene.around(ball)
        inside = ellipsoid_distance(ball, *self.scene.axes(region)) < self.scene.blur_mm / 2
        wanted = np.isin(self.scene.label_zyx[region], values)
        # 4/3 pi, in ml
        whole = 4.19 * (radius_mm + self.scene.blur_mm / 2) ** 3 / 1000.0
        return float(np.count_nonzero(inside & wanted)) * self.scene.voxel_ml / whole

    def within(self, organ: Ellipsoid, reach: float = 0.72) -> Callable[[], Point]:
        """Return a source of points inside an organ's ellipsoid."""

        def draw() -> Point:
            u, v, w = (uniform(self.rng, -reach, reach) for _ in range(3))
            return organ.inside(u, v, w)

        return draw

    def along(self, tube: Tube, low: float = 0.05, high: float = 0.95) -> Callable[[], Point]:
        """Return a source of points on a tube's axis."""
        return lambda: tube.at(uniform(self.rng, low, high))[0]

    def ball(self, point: Point, size_mm: float, squeeze: float = 0.12) -> Ellipsoid:
        """Return a slightly uneven ball of a diameter (the largest) around a point."""
        a, b, c = (size_mm / 2.0 * (1.0 - squeeze * float(self.rng.random())) for _ in range(3))
        bumps = [gauss(self.rng, 0.0, 0.05) for _ in range(3)]
        return Ellipsoid(point, (a, b, c), bumps=(bumps[0], bumps[1], bumps[2]))


def paint_lesions(brush: Brush, findings: Mapping[str, Present]) -> None:
    """Paint all local findings of a scan, in the catalogue's order."""
    for finding in _ORDER:
        if finding in findings and finding in _PAINTERS:
            brush.begin(finding)
            _PAINTERS[finding](brush, findings[finding])


def _speck(brush: Brush, point: Point, size_mm: float, hu: float, *values: int) -> None:
    brush.scene.ellipsoid(brush.ball(point, size_mm), hu, over=values)


def _in_organ(
    organ: str, value: str, hu: tuple[float, float], *, relative: bool = False, count: float = 0.0
) -> Painter:
    """Return a painter of one or some balls within an ellipsoidal organ."""

    def paint(brush: Brush, present: Present) -> None:
        label, shape = VALUE[value], brush.body.organs[organ]
        size = present.size_mm or 8.0
        density = uniform(brush.rng, *hu) + (brush.body.hu[organ] if relative else 0.0)
        for number in range(1 + int(count * float(brush.rng.random()))):
            one = size if number == 0 else size * uniform(brush.rng, 0.4, 0.9)
            point = brush.point(brush.within(shape), one / 2.0, label)
            _speck(brush, point, one, density, label)

    return paint


def _bladder_stone(brush: Brush, present: Present) -> None:
    bladder, value = brush.body.organs["bladder"], VALUE["urinary_bladder"]
    down = 0.6 * brush.body.gravity
    point = bladder.inside(uniform(brush.rng, -0.4, 0.4), down, uniform(brush.rng, -0.35, 0.35))
    _speck(brush, point, present.size_mm or 8.0, uniform(brush.rng, 450, 1000), value)


def _adrenal_nodule(brush: Brush, present: Present) -> None:
    size = present.size_mm or 12.0
    density = uniform(brush.rng, -2.0, 34.0) + 0.45 * (brush.body.hu["adrenal"] - 22.0)
    for side in ("left", "right"):
        limb = adrenal_limbs(brush.body, brush.rng, side)[0]
        point = limb.at(uniform(brush.rng, 0.2, 0.8))[0]
        if side in present.sides:
            value = VALUE[f"adrenal_gland_{side}"]
            lifted = (point[0], point[1] - 0.15 * size, point[2] + 0.2 * size)
            brush.scene.ellipsoid(brush.ball(lifted, size), density, value)


def _adrenal_calcification(brush: Brush, present: Present) -> None:
    for side in present.sides:
        value = VALUE[f"adrenal_gland_{side}"]
        sign = 1.0 if side == "left" else -1.0
        tall = brush.body.stature
        where = Ellipsoid((sign * 33.0, 33.0, 275.0 * tall), (9.0, 10.0, 12.0))
        point = brush.point(brush.within(where, 0.95), 2.0, value)
        _speck(brush, point, (present.size_mm or 4.0) + 1.0, uniform(brush.rng, 300, 700), value)


def _wall_calcification(brush: Brush, present: Present) -> None:
    value, tube = VALUE["aorta"], brush.body.tubes["aorta"]
    for _ in range(4 + int(16 * present.severity)):
        place, turn, out = (float(brush.rng.random()) for _ in range(3))
        (x, y, z), radius = tube.at(place)
        dx, dy = 2.0 * turn - 1.0, 1.0 if out < 0.5 else -1.0
        # a point of the unit circle without sine or cosine, which are not rounded alike everywhere
        dy *= (1.0 - dx * dx) ** 0.5
        point = (x + radius * dx, y + radius * dy, z)
        size = uniform(brush.rng, 2.5, 3.5 + 3.0 * present.severity)
        _speck(brush, point, size, uniform(brush.rng, 350, 900), value, 0)


def _dissection(brush: Brush, present: Present) -> None:
    value, tube = VALUE["aorta"], brush.body.tubes["aorta"]
    lean, enhanced = uniform(brush.rng, -0.5, 0.5), brush.body.hu["aorta"]
    flap = Tube(tube.points[3:8], tube.radii[3:8])
    for index in range(len(flap.points) - 1):
        (x0, y0, _), (x1, y1, _) = flap.points[index : index + 2]
        ends = flap.points[index : index + 2]
        region, distance = brush.scene.piece(
            ends[0], ends[1], flap.radii[index], flap.radii[index + 1]
        )
        x, y, _ = brush.scene.axes(region)
        plane = (x - 0.5 * (x0 + x1)) + lean * (y - 0.5 * (y0 + y1))
        only = brush.scene.labelled(region, (value,))
        inside = brush.scene.cover(distance + 2.0)
        half = np.maximum(distance + 2.0, plane + 1.0)
        brush.scene.blend(region, brush.scene.cover(half), 0.72 * enhanced + 8.0, only=only)
        sheet = inside * brush.scene.cover(np.abs(plane) - 1.0)
        brush.scene.blend(region, sheet, brush.body.hu["muscle"] + 8.0, only=only)
    for _ in range(2 + int(4 * present.severity)):  # intimal calcium, displaced inwards
        point = brush.along(flap)()
        _speck(brush, point, 3.0, 500.0, value)


def _diverticulosis(brush: Brush, present: Present) -> None:
    value, tube = VALUE["colon"], brush.body.tubes["colon"]
    for _ in range(6 + int(16 * present.severity)):
        (x, y, z), radius = tube.at(uniform(brush.rng, 0.58, 0.9))
        turn = uniform(brush.rng, -1.0, 1.0)
        side = 1.0 if chance(brush.rng, 0.5) else -1.0
        out = radius + 1.5
        point = (x + out * turn, y + out * side * (1.0 - turn * turn) ** 0.5, z)
        size = uniform(brush.rng, 5.0, 8.5)
        brush.scene.ellipsoid(brush.ball(point, size + 3.0), 40.0, value, over=(0, value))
        _speck(brush, point, size, -900.0, value)


def _gallstone(brush: Brush, present: Present) -> None:
    shape, value = brush.body.organs["gallbladder"], VALUE["gallbladder"]
    density = uniform(brush.rng, 45.0, 450.0) if chance(brush.rng, 0.8) else -15.0
    for number in range(1 + int(5 * float(brush.rng.random()) ** 2)):
        size = (present.size_mm or 6.0) * (1.0 if number == 0 else 0.7)
        u, w = uniform(brush.rng, -0.4, 0.4), uniform(brush.rng, -0.6, 0.5)
        point = shape.inside(u, 0.45 * brush.body.gravity, w)
        _speck(brush, point, min(size, 1.7 * shape.semi[0]), density, value)


def _coronary(brush: Brush, present: Present) -> None:
    heart, value = brush.body.organs["heart"], VALUE["heart"]
    for _ in range(2 + int(7 * present.severity)):
        place = uniform(brush.rng, -0.35, 0.6)
        point = heart.inside(0.25 - 0.5 * place, -0.8 + 0.3 * place, place)
        size = uniform(brush.rng, 2.5, 6.0)
        _speck(brush, point, size, uniform(brush.rng, 350, 900), value, 0)


def _kidney_cyst(brush: Brush, present: Present) -> None:
    size, density = present.size_mm or 10.0, uniform(brush.rng, 0.0, 16.0)
    for side in present.sides:
        kidney, value = brush.body.organs[f"kidney_{side}"], VALUE[f"kidney_{side}"]
        spread = max(0.3, 0.95 - 0.012 * size)
        point = brush.point(brush.within(kidney, spread), min(size, 16.0) / 2.0, value)
        brush.scene.ellipsoid(brush.ball(point, size), density, value, over=(0, value))


def _kidney_stone(brush: Brush, present: Present) -> None:
    for side in present.sides:
        kidney, value = brush.body.organs[f"kidney_{side}"], VALUE[f"kidney_{side}"]
        sign = 1.0 if side == "left" else -1.0
        spot = kidney.inside(
            -sign * uniform(brush.rng, 0.05, 0.4), 0.1, uniform(brush.rng, -0.5, 0.5)
        )
        _speck(brush, spot, present.size_mm or 5.0, uniform(brush.rng, 400, 1000), value)


def _liver_lesion(brush: Brush, present: Present) -> None:
    liver, value = brush.body.organs["liver"], VALUE["liver"]
    density = brush.body.hu["liver"] - uniform(brush.rng, 16.0, 42.0)
    for number in range(1 + int(3.4 * float(brush.rng.random()) ** 2)):
        size = (present.size_mm or 12.0) * (1.0 if number == 0 else uniform(brush.rng, 0.4, 0.9))
        point = brush.point(brush.within(liver), size / 2.0, value)
        _speck(brush, point, size, density, value)
        if size > 22.0:
            _speck(brush, point, 0.45 * size, density - 14.0, value)


def _lung(brush: Brush, side: str, reach: float, radius_mm: float) -> Point:
    values = tuple(VALUE[name] for name in ANATOMY_CLASSES["lung"] if name.endswith(side))
    shape = brush.body.organs[f"lung_{side}"]
    return brush.point(brush.within(shape, reach), radius_mm, *values)


def _lung_nodule(brush: Brush, present: Present) -> None:
    density = uniform(brush.rng, -60.0, 60.0)
    for side in present.sides:
        size = present.size_mm or 8.0
        for _ in range(1 + int(2.5 * float(brush.rng.random()) ** 2)):
            _speck(brush, _lung(brush, side, 0.75, size / 2), size, density, *LUNG_VALUES)


def _consolidation(brush: Brush, present: Present) -> None:
    size = present.size_mm or 30.0
    for side in present.sides:
        spot = brush.ball(_lung(brush, side, 0.7, 0.3 * size), size, 0.35)
        brush.scene.ellipsoid(spot, uniform(brush.rng, -20.0, 45.0), over=LUNG_VALUES)
        for _ in range(3):  # air bronchograms
            ends = (spot.center, spot.inside(*(uniform(brush.rng, -0.7, 0.7) for _ in range(3))))
            brush.scene.tube(Tube(ends, (2.2, 1.5)), -700.0, over=LUNG_VALUES)


def _ground_glass(brush: Brush, present: Present) -> None:
    size = present.size_mm or 30.0
    for side in present.sides:
        for number in range(2):
            spot = brush.ball(_lung(brush, side, 0.7, 0.3 * size), size * (1 - 0.3 * number), 0.4)
            region = brush.scene.around(spot)
            share = brush.scene.cover(ellipsoid_distance(spot, *brush.scene.axes(region)))
            veil = share * uniform(brush.rng, 0.16, 0.4)
            only = brush.scene.labelled(region, LUNG_VALUES)
            brush.scene.blend(region, veil, 20.0, only=only)


def _emphysema(brush: Brush, present: Present) -> None:
    for side in ("left", "right"):
        shape = brush.body.organs[f"lung_{side}"]
        region = brush.scene.around(shape)
        share = brush.scene.cover(ellipsoid_distance(shape, *brush.scene.axes(region)))
        only = brush.scene.labelled(region, LUNG_VALUES)
        brush.scene.blend(region, share * (0.05 + 0.2 * present.severity), -985.0, only=only)
        for _ in range(12 + int(45 * present.severity)):
            u, v = uniform(brush.rng, -0.8, 0.8), uniform(brush.rng, -0.8, 0.8)
            hole = brush.ball(shape.inside(u, v, uniform(brush.rng, -0.3, 0.9)), 12.0, 0.5)
            brush.scene.ellipsoid(hole, -965.0, over=LUNG_VALUES)


def _atelectasis(brush: Brush, present: Present) -> None:
    thick = (present.size_mm or 12.0) / 2.0
    for side in present.sides:
        shape = brush.body.organs[f"lung_{side}"]
        point = shape.inside(
            uniform(brush.rng, -0.25, 0.25),
            brush.body.gravity * uniform(brush.rng, 0.35, 0.65),
            uniform(brush.rng, -0.55, -0.3),
        )
        lean = uniform(brush.rng, -0.4, 0.4)
        band = Ellipsoid(point, (34.0, 0.7 * thick, 20.0 + thick), (0.0, lean, 0.0))
        brush.scene.ellipsoid(band, uniform(brush.rng, -40.0, 40.0), over=LUNG_VALUES)


def _pleural(brush: Brush, present: Present, hu: float, *, top: bool) -> None:
    """Cut a layer off the lung on the side where fluid gathers, or air (`top`) rises."""
    depth = present.size_mm or 12.0
    gravity = brush.body.gravity * (-1 if top else 1)
    for side in present.sides:
        shape = brush.body.organs[f"lung_{side}"]
        region = brush.scene.around(shape)
        sign = -1.0 if top else 1.0
        # the lung's shape moved away from the wall: what it no longer covers is fluid or air
        pressed = shape.moved(y=-0.75 * gravity * depth, z=0.5 * sign * depth)
        inside = brush.scene.cover(ellipsoid_distance(pressed, *brush.scene.axes(region)))
        share = 1.0 - inside
        only = brush.scene.labelled(region, LUNG_VALUES)
        brush.scene.blend(region, share, hu, 0, only)


def _pancreatic_cyst(brush: Brush, present: Present) -> None:
    value, tube = VALUE["pancreas"], brush.body.tubes["pancreas"]
    size = present.size_mm or 10.0
    point = brush.point(brush.along(tube), min(size / 2.0, 7.0), value)
    lifted = (point[0], point[1] - 0.25 * size, point[2])
    density = uniform(brush.rng, 2.0, 18.0)
    brush.scene.ellipsoid(brush.ball(lifted, size), density, value, over=(0, value))


def _pancreatic_duct(brush: Brush, present: Present) -> None:
    tube = brush.body.tubes["pancreas"]
    radius = (present.size_mm or 4.5) / 2.0
    duct = Tube(tube.points, (radius,) * len(tube.points))
    brush.scene.tube(duct, 9.0, over=(VALUE["pancreas"],))


def _portal_thrombosis(brush: Brush, present: Present) -> None:
    value, tube = VALUE["portal_vein_and_splenic_vein"], brush.body.tubes["portal"]
    stretch = 2 + int(2 * present.severity)
    clot = Tube(tube.points[1 : 2 + stretch], tube.radii[1 : 2 + stretch])
    brush.scene.tube(clot.grown(1.0), brush.body.hu["muscle"] - 12.0, value)
    rest = clot.grown(-uniform(brush.rng, 2.4, 4.0))
    brush.scene.tube(rest, 0.5 * brush.body.hu["portal"] + 25.0, over=(value,))


_PAINTERS: Mapping[str, Painter] = {
    "adrenal_nodule": _adrenal_nodule,
    "adrenal_calcification": _adrenal_calcification,
    "arterial_wall_calcification": _wall_calcification,
    "aortic_dissection": _dissection,
    "bladder_stone": _bladder_stone,
    "colonic_diverticulosis": _diverticulosis,
    "gallstone": _gallstone,
    "coronary_artery_wall_calcification": _coronary,
    "kidney_cyst": _kidney_cyst,
    "kidney_stone": _kidney_stone,
    "liver_cyst": _in_organ("liver", "liver", (0.0, 14.0), count=2.4),
    "liver_hypodense_lesion": _liver_lesion,
    "liver_calcification": _in_organ("liver", "liver", (250.0, 700.0), count=1.6),
    "lung_nodule": _lung_nodule,
    "consolidation": _consolidation,
    "lung_opacity": _ground_glass,
    "emphysema": _emphysema,
    "atelectasis": _atelectasis,
    "pleural_effusion": lambda brush, found: _pleural(brush, found, 9.0, top=False),
    "pneumothorax": lambda brush, found: _pleural(brush, found, -998.0, top=True),
    "pancreatic_cyst": _pancreatic_cyst,
    "pancreatic_duct_dilatation": _pancreatic_duct,
    "portal_vein_thrombosis": _portal_thrombosis,
    "sacral_sclerotic_lesion": _in_organ("sacrum", "sacrum", (380.0, 650.0)),
    "sacral_lytic_lesion": _in_organ("sacrum", "sacrum", (20.0, 70.0)),
    "spleen_cyst": _in_organ("spleen", "spleen", (0.0, 18.0)),
    "splenic_calcification": _in_organ("spleen", "spleen", (250.0, 700.0), count=2.4),
}
