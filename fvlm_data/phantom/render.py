"""From a patient and a scan to one series: HU and labels on the series' grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.phantom.body import Body, build_body
from fvlm_data.phantom.catalogue import ANATOMY_CLASSES, VALUE
from fvlm_data.phantom.draws import stream, uniform
from fvlm_data.phantom.lesions import Brush, paint_lesions
from fvlm_data.phantom.organs import (
    paint_abdomen,
    paint_bowel,
    paint_chest,
    paint_pelvis,
    paint_vessels,
    trim_outside,
)
from fvlm_data.phantom.scene import Scene, Tube
from fvlm_data.phantom.tissues import paint_lungs, paint_mediastinum, paint_skeleton, paint_trunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fvlm_data.phantom.acquisition import SeriesPlan
    from fvlm_data.phantom.patient import Patient, Study
    from fvlm_data.phantom.scene import Floats, Point


@dataclass(frozen=True, slots=True)
class Rendered:
    """One series: HU (int16) and labels (uint8), both (z, y, x), ascending patient coordinates."""

    hu_zyx: NDArray[np.int16]
    label_zyx: NDArray[np.uint8]


def render(
    patient: Patient, study: Study, plan: SeriesPlan, places: dict[str, list[Point]]
) -> Rendered:
    """Paint one series of a scan.

    Args:
        patient: whose body.
        study: the scan; its findings are painted.
        plan: the series' grid, kernel and noise.
        places: where lesions were put by an earlier series of the scan; filled by the first.

    Returns:
        The series on `plan`'s grid.
    """
    body = build_body(patient, study, plan.gravity)
    scene = Scene.empty(plan.x_mm, plan.y_mm, plan.z_mm)
    # a stream for each painter: another draw in one leaves the others as they were
    draws = [stream(patient.seed, patient.index, 8, part) for part in range(6)]
    now = stream(patient.seed, patient.index, 9, study.order)
    paint_trunk(scene, body, draws[0])
    paint_lungs(scene, body, draws[1])
    paint_mediastinum(scene, body)
    paint_skeleton(scene, body, draws[2])
    # what `trim_outside` goes back to where organs stick out of the wall
    before_zyx = scene.hu_zyx.copy()
    paint_bowel(scene, body, study.findings, now)
    paint_pelvis(scene, body, study.findings, draws[3])
    paint_chest(scene, body, study.findings, draws[4])
    paint_abdomen(scene, body, study.findings, draws[5])
    # the aneurysm is set before lesions are painted: calcium and flaps follow the widened wall
    aorta = _aorta(patient, study, body)
    body = _with_aorta(body, aorta)
    paint_vessels(scene, body, study.findings, aorta)
    trim_outside(scene, body, before_zyx)
    paint_lesions(Brush(scene, body, patient.seed, patient.index, places), study.findings)
    _stipple(scene, draws[1])
    hu = scene.hu_zyx + _noise(plan, scene, patient, study)
    # the range of a 12-bit CT with intercept -1024
    return Rendered(np.rint(np.clip(hu, -1024.0, 3071.0)).astype(np.int16), scene.label_zyx)


def _with_aorta(body: Body, aorta: Tube) -> Body:
    return Body(
        sex=body.sex,
        stature=body.stature,
        girth=body.girth,
        wall_mm=body.wall_mm,
        organs=body.organs,
        tubes={**body.tubes, "aorta": aorta},
        hu=body.hu,
        gravity=body.gravity,
    )


def _aorta(patient: Patient, study: Study, body: Body) -> Tube:
    """Widen the aorta where its aneurysm lies: a stretch that the scan shows."""
    tube, found = body.tubes["aorta"], study.findings.get("aortic_aneurysm")
    if found is None:
        return tube
    rng = stream(patient.seed, patient.index, 10)
    shown = [
        index
        for index, point in enumerate(tube.points)
        # points 3 and 4 are the top of the arch
        if study.low_mm + 10.0 < point[2] < study.high_mm - 10.0 and index not in (3, 4)
    ]
    middle = shown[int(uniform(rng, 0.0, float(len(shown))))]
    widest = (found.size_mm or 40.0) / 2.0
    radii = list(tube.radii)
    for index in range(len(radii)):
        share = (1.0, 0.45)[abs(index - middle)] if abs(index - middle) < 2 else 0.0
        radii[index] += share * max(0.0, widest - radii[index])
    return Tube(tube.points, tuple(radii))


def _stipple(scene: Scene, rng: np.random.Generator) -> None:
    """Give organs a coarse, harmless unevenness of a few HU."""
    for name in ("liver", "spleen"):
        values = [VALUE[label] for label in ANATOMY_CLASSES[name]]
        inside = np.isin(scene.label_zyx, values)
        x, y, z = scene.axes((slice(None), slice(None), slice(None)))
        a, b, c = (uniform(rng, -0.05, 0.05) for _ in range(3))
        scene.hu_zyx[inside] += np.broadcast_to(a * x + b * y + c * (z - 260.0), inside.shape)[
            inside
        ]


def _noise(plan: SeriesPlan, scene: Scene, patient: Patient, study: Study) -> Floats:
    """Return noise (HU) whose grain follows the kernel, stronger in the trunk's middle."""
    rng = stream(patient.seed, patient.index, 11, study.order, plan.number)
    grain: Floats = rng.standard_normal(scene.hu_zyx.shape)
    side = plan.grain
    for axis in (1, 2):
        ahead, behind = np.roll(grain, 1, axis), np.roll(grain, -1, axis)
        # divided by the root of the summed squares, so that smoothing keeps the noise's strength
        grain = (grain + side * (ahead + behind)) / (1.0 + 2.0 * side * side) ** 0.5
    x, y, _ = scene.axes((slice(None), slice(None), slice(None)))
    middle = np.clip(1.25 - (x * x + y * y) / 40000.0, 0.6, 1.25)
    quiet = np.where(scene.hu_zyx < -700.0, 0.7, 1.0)
    noise: Floats = grain * plan.noise_hu * middle * quiet
    return noise
