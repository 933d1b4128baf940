"""What surrounds the organs: trunk, fat, muscle, bones, lungs and airways, and the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.phantom.catalogue import VALUE
from fvlm_data.phantom.draws import chance, gauss, uniform
from fvlm_data.phantom.scene import Ellipsoid, Tube, ellipsoid_distance

if TYPE_CHECKING:
    from fvlm_data.phantom.body import Body
    from fvlm_data.phantom.scene import Floats, Scene

LUNG_VALUES = tuple(value for name, value in VALUE.items() if name.startswith("lung_"))


def paint_trunk(scene: Scene, body: Body, rng: np.random.Generator) -> None:
    """Paint skin, subcutaneous fat, the muscle wall, visceral fat and the rib cage."""
    half_y = body.girth[1]
    depth = trunk_distance(scene, body)
    everything = (slice(None), slice(None), slice(None))
    fat = body.hu["fat"]
    scene.blend(everything, scene.cover(depth), fat)
    wall = scene.cover(depth + body.wall_mm)
    scene.blend(everything, wall, body.hu["muscle"])
    scene.blend(everything, scene.cover(depth + body.wall_mm + 13.0), fat + 6.0)
    _paint_ribs(scene, body, depth, uniform(rng, 0.0, 1.0))
    if body.sex == "F":
        size = uniform(rng, 22.0, 40.0)
        for side in (-1.0, 1.0):
            breast = Ellipsoid(
                (side * 72.0, -half_y + 4.0, 395.0 * body.stature), (size * 1.5, size, size * 1.4)
            )
            scene.ellipsoid(breast, fat + 8.0, over=(0,))
            scene.ellipsoid(breast.grown(-0.55 * size), uniform(rng, -40.0, 20.0), over=(0,))
    paint_table(scene, body, deep_mm=half_y)


def trunk_distance(scene: Scene, body: Body) -> Floats:
    """Return an approximate signed distance (mm, (z, y, x)) to the skin, negative inside."""
    x, y, z = scene.axes((slice(None), slice(None), slice(None)))
    half_x, half_y = body.girth
    waist = _narrowing(z / body.stature)
    across, down = x / (half_x * waist), y / (half_y * (0.55 + 0.45 * waist))
    radius = np.sqrt(across * across + down * down)
    distance: Floats = (radius - 1.0) * (2.0 / (1.0 / half_x + 1.0 / half_y))
    return distance


def _narrowing(height: Floats) -> Floats:
    """Return the relative width of the trunk at a height (mm, stature 1)."""
    bend = (height - 190.0) / 190.0
    waist = 0.93 + 0.07 * np.minimum(bend * bend, 1.0)
    top = np.clip((height - 430.0) / 110.0, 0.0, 1.0)
    return waist - 0.22 * top * top


def _paint_ribs(scene: Scene, body: Body, depth: Floats, phase: float) -> None:
    """Paint slanted rings of bone inside the chest wall, from the sternum to the spine."""
    first = int(np.searchsorted(scene.z_mm, 235.0 * body.stature))
    if first >= scene.z_mm.size:
        return
    region = (slice(first, None), slice(None), slice(None))
    _, y, z = scene.axes(region)
    # ribs slant downwards to the front; 29 mm from one to the next
    turns = (z + 0.45 * y) / (29.0 * body.stature) + phase
    between = np.abs(turns - np.floor(turns) - 0.5) * 29.0 - 5.0
    shell = np.abs(depth[region] + body.wall_mm + 9.0) - 4.0
    share = scene.cover(np.maximum(between, shell))
    scene.blend(region, share, 320.0)


def paint_table(scene: Scene, body: Body, deep_mm: float) -> None:
    """Paint the curved couch below (supine) or in front of (prone) the patient."""
    x, y, _ = scene.axes((slice(None), slice(None), slice(None)))
    surface = body.gravity * y - (deep_mm + 7.0) + (x / 60.0) ** 2
    slab = np.abs(surface) - 4.0
    share = scene.cover(np.maximum(slab, np.abs(x) - 175.0))
    # only where there is air: the table must not show through the patient
    air = scene.hu_zyx < -900.0
    scene.blend((slice(None), slice(None), slice(None)), share * 0.4 * air, -250.0)


def paint_skeleton(scene: Scene, body: Body, rng: np.random.Generator) -> None:
    """Paint spine, pelvis, and the muscles next to them."""
    tall, muscle, bone = body.stature, body.hu["muscle"], body.hu["bone"]
    for side in (-1.0, 1.0):
        back = Tube(
            ((side * 32, 84, -30), (side * 34, 84, 240 * tall), (side * 28, 82, 560 * tall)),
            (24, 25, 19),
        )
        scene.tube(back, muscle)
        psoas = Tube(
            ((side * 62, 10, 20), (side * 44, 42, 120 * tall), (side * 30, 48, 230 * tall)),
            (20, 18, 8),
        )
        scene.tube(psoas, muscle)
        gluteus = Ellipsoid((side * 78, 78, 25), (50, 28, 60))
        scene.ellipsoid(gluteus, muscle)
        iliac = Ellipsoid((side * 92, 36, 82), (9, 46, 46), (side * 0.35, 0.2, side * 0.5))
        scene.ellipsoid(iliac, bone + 60.0)
        scene.ellipsoid(Ellipsoid((side * 92, 8, -2), (25, 25, 24)), bone + 110.0)
    column = Tube(
        ((0, 56, 108 * tall), (0, 51, 150 * tall), (0, 54, 280 * tall), (0, 62, 420 * tall),
         (0, 52, 560 * tall)),
        (21, 20, 18, 16, 14),
    )  # fmt: skip
    scene.tube(column, bone + 120.0)
    scene.tube(column.grown(-2.5), bone)
    step, start = 32.0 * tall, (108.0 + uniform(rng, 0.0, 20.0)) * tall
    for number in range(14):
        middle = start + number * step
        point, radius = column.at(min(1.0, max(0.0, (middle / tall - 108.0) / 452.0)))
        disc = Ellipsoid((point[0], point[1], middle), (radius, radius, 4.0))
        scene.ellipsoid(disc, 85.0)
        spine = Ellipsoid((0.0, point[1] + 38.0, middle + 8.0), (3.5, 15.0, 8.0))
        scene.ellipsoid(spine, bone + 150.0)
    canal = Tube(tuple((x, y + 27.0, z) for x, y, z in column.points), (8, 8, 7.5, 7.5, 7.5))
    scene.tube(canal.grown(3.0), bone + 130.0)
    scene.tube(canal, 30.0)
    if chance(rng, 0.25):  # a bone island: harmless, and not reported
        spot = Ellipsoid(column.at(uniform(rng, 0.05, 0.5))[0], (4.0, 4.0, 5.0))
        scene.ellipsoid(spot.moved(x=gauss(rng, 0.0, 6.0)), 650.0)


def paint_lungs(scene: Scene, body: Body, rng: np.random.Generator) -> None:
    """Paint both lungs in five lobes, with vessels that radiate from the hilum."""
    tall = body.stature
    steep = gauss(rng, 0.95, 0.12)
    fissure = gauss(rng, 372.0, 8.0) * tall
    middle = gauss(rng, 392.0, 8.0) * tall
    for side in ("right", "left"):
        shape = body.organs[f"lung_{side}"]
        region = scene.around(shape)
        x, y, z = scene.axes(region)
        share = scene.cover(ellipsoid_distance(shape, x, y, z))
        # the dependent part of a lung is denser
        gradient = 0.28 * body.gravity * (y - shape.center[1])
        # 0.0 * share broadcasts the gradient to the region's shape
        scene.blend(region, share, body.hu["lung"] + gradient + 0.0 * share)
        lower = (z - fissure) < steep * (y - 8.0)
        labels = np.where(
            lower, VALUE[f"lung_lower_lobe_{side}"], VALUE[f"lung_upper_lobe_{side}"]
        ).astype(np.uint8)
        if side == "right":
            front = ~lower & (z < middle)
            labels[np.broadcast_to(front, labels.shape)] = VALUE["lung_middle_lobe_right"]
        inside = share > 0.5
        view = scene.label_zyx[region]
        view[inside] = np.broadcast_to(labels, share.shape)[inside]
    for side, sign in (("right", -1.0), ("left", 1.0)):
        shape = body.organs[f"lung_{side}"]
        hilum = (sign * 28.0, 12.0, 398.0 * tall)
        for _ in range(11):
            tip = shape.inside(
                uniform(rng, -0.75, 0.75), uniform(rng, -0.75, 0.75), uniform(rng, -0.8, 0.75)
            )
            scene.tube(Tube((hilum, tip), (gauss(rng, 3.6, 0.5), 1.2)), 35.0, over=LUNG_VALUES)


def paint_mediastinum(scene: Scene, body: Body) -> None:
    """Paint mediastinal fat, airways, pulmonary artery and vena cava (none has a label)."""
    tall = body.stature
    scene.ellipsoid(Ellipsoid((4, -2, 432 * tall), (30, 48, 95 * tall)), body.hu["fat"] + 15.0, 0)
    scene.ellipsoid(Ellipsoid((8, 10, 345 * tall), (32, 50, 60 * tall)), body.hu["fat"] + 12.0, 0)
    for name in ("pulmonary", "pulmonary_right"):
        scene.tube(body.tubes[name], body.hu["heart"], 0)
    scene.tube(body.tubes["cava"], body.hu["cava"], 0)
    for name in ("trachea", "bronchus_right", "bronchus_left"):
        scene.tube(body.tubes[name], body.hu["wall"], 0)
        scene.tube(body.tubes[name].grown(-1.8), -990.0, 0)
