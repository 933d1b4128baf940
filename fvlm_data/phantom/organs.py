"""The labelled organs, painted in an order in which the later covers the earlier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fvlm_data.phantom.catalogue import VALUE
from fvlm_data.phantom.draws import chance, gauss, uniform
from fvlm_data.phantom.scene import Ellipsoid, Tube
from fvlm_data.phantom.tissues import trunk_distance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.phantom.body import Body
    from fvlm_data.phantom.patient import Present
    from fvlm_data.phantom.scene import Floats, Scene


def paint_bowel(
    scene: Scene, body: Body, found: Mapping[str, Present], rng: np.random.Generator
) -> None:
    """Paint small bowel and colon: wall, then content (fluid, stool or gas)."""
    wall = body.hu["wall"]
    loops, value = body.tubes["small_bowel"], VALUE["small_bowel"]
    thick_mm = [gauss(rng, 2.6, 0.3) for _ in loops.points]
    thickening = found.get("small_bowel_wall_thickening")
    first = int(uniform(rng, 0.0, 8.0))
    stretch = 4 + int(4 * thickening.severity) if thickening else 0
    dilated = "small_bowel_dilatation" in found
    scene.tube(loops, wall, value)
    for index in range(len(loops.points) - 1):
        thick = thick_mm[index]
        content = uniform(rng, 5.0, 45.0)
        if chance(rng, 0.12):
            content = -700.0
        if thickening and first <= index < first + stretch:
            thick = thickening.size_mm or 7.0
            piece = Tube(loops.points[index : index + 2], loops.radii[index : index + 2])
            scene.tube(piece.grown(1.5), wall + 12.0, value)
        if dilated and loops.radii[index] > 13.5:
            content = uniform(rng, 2.0, 20.0)
        inner = Tube(loops.points[index : index + 2], loops.radii[index : index + 2]).grown(-thick)
        scene.tube(inner, content, over=(value,))
    _paint_colon(scene, body, found, rng)


def _paint_colon(
    scene: Scene, body: Body, found: Mapping[str, Present], rng: np.random.Generator
) -> None:
    wall, value = body.hu["wall"], VALUE["colon"]
    tube = body.tubes["colon"]
    pieces = len(tube.points) - 1
    dilatation = found.get("colonic_dilatation")
    thickening = found.get("colonic_wall_thickening")
    first = int(uniform(rng, 0.0, 6.0))
    start = int(uniform(rng, 0.0, pieces - 3.0))
    radii = list(tube.radii)
    if dilatation:
        for index in range(first, first + 3):
            radii[index] = (dilatation.size_mm or 60.0) / 2.0 * (1.0 if index > 2 else 1.1)
    for index in range(pieces):
        piece = Tube(tube.points[index : index + 2], tuple(radii[index : index + 2]))
        thick, swollen = gauss(rng, 2.8, 0.3), 0.0
        content = uniform(rng, -60.0, 45.0)
        if chance(rng, 0.4) or (dilatation and first <= index < first + 3):
            content = -850.0
        if thickening and start <= index < start + 3:
            thick, swollen = thickening.size_mm or 9.0, 2.5
            scene.tube(piece.grown(8.0), body.hu["fat"] + 40.0, over=(0,))
        scene.tube(piece.grown(swollen), wall, value)
        scene.tube(piece.grown(swollen - thick), content, over=(value,))


def paint_pelvis(
    scene: Scene, body: Body, found: Mapping[str, Present], rng: np.random.Generator
) -> None:
    """Paint urinary bladder and sacrum."""
    thickening = found.get("bladder_wall_thickening")
    thick = thickening.size_mm or 7.0 if thickening else uniform(rng, 2.2, 4.6)
    bladder, value = body.organs["bladder"], VALUE["urinary_bladder"]
    scene.ellipsoid(bladder.grown(0.4 * thick if thickening else 0.0), body.hu["wall"], value)
    scene.ellipsoid(bladder.grown(-0.6 * thick), body.hu["urine"], over=(value,))
    for _ in range(int(uniform(rng, 0.0, 3.5))):  # phleboliths: harmless, and not reported
        side = -1.0 if chance(rng, 0.5) else 1.0
        spot = (side * uniform(rng, 42.0, 58.0), uniform(rng, -5.0, 25.0), uniform(rng, 8.0, 30.0))
        scene.ellipsoid(Ellipsoid(spot, (2.2, 2.2, 2.5)), 450.0, over=(0,))
    sacrum, value = body.organs["sacrum"], VALUE["sacrum"]
    scene.ellipsoid(sacrum, body.hu["bone"] + 110.0, value)
    scene.ellipsoid(sacrum.grown(-3.0), body.hu["bone"] - 20.0, over=(value,))


def paint_chest(
    scene: Scene, body: Body, found: Mapping[str, Present], rng: np.random.Generator
) -> None:
    """Paint heart (with its effusion) and esophagus (with its hernia)."""
    heart, value = body.organs["heart"], VALUE["heart"]
    scene.ellipsoid(heart.grown(4.5), body.hu["fat"], 0)
    effusion = found.get("pericardial_effusion")
    if effusion:
        depth = effusion.size_mm or 8.0
        dependent = 0.35 * depth * body.gravity
        scene.ellipsoid(heart.grown(0.75 * depth).moved(y=dependent, z=-0.15 * depth), 14.0, 0)
    scene.ellipsoid(heart, body.hu["heart"], value)
    muscle = 0.55 * body.hu["heart"] + 0.45 * body.hu["muscle"]
    septum = Ellipsoid(heart.inside(0.15, 0.0, -0.1), (7.0, 30.0, 28.0), (0.3, 0.0, 0.7))
    scene.ellipsoid(septum, muscle, over=(value,))
    esophagus, value = body.tubes["esophagus"], VALUE["esophagus"]
    thickening = found.get("esophageal_wall_thickening")
    last = len(esophagus.points) - 1
    first = 1 + int(uniform(rng, 0.0, 2.0))
    for index in range(last):
        piece = Tube(esophagus.points[index : index + 2], esophagus.radii[index : index + 2])
        if thickening and first <= index < first + 2:
            piece = piece.grown((thickening.size_mm or 6.0) - 3.5)
        scene.tube(piece, body.hu["wall"] - 8.0, value)
        if chance(rng, 0.35):
            narrow = Tube(piece.points, (uniform(rng, 1.5, 3.5),) * 2)
            scene.tube(narrow, -600.0, over=(value,))
    hernia = found.get("hiatal_hernia")
    if hernia:
        size = hernia.size_mm or 30.0
        point, _ = esophagus.at(0.74)
        pouch = Ellipsoid(
            (point[0] + 4.0, point[1] - 3.0, point[2]), (0.5 * size, 0.4 * size, 0.45 * size)
        )
        scene.ellipsoid(pouch, body.hu["wall"] - 8.0, value)
        content = -650.0 if chance(rng, 0.5) else 20.0
        scene.ellipsoid(pouch.grown(-4.0), content, over=(value,))


def paint_abdomen(
    scene: Scene, body: Body, found: Mapping[str, Present], rng: np.random.Generator
) -> None:
    """Paint stomach, spleen, pancreas, kidneys, liver, adrenal glands and gallbladder."""
    # later organs cover earlier ones where they overlap
    _paint_stomach(scene, body, found, rng)
    if "spleen" in body.organs:
        scene.ellipsoid(body.organs["spleen"], body.hu["spleen"], VALUE["spleen"])
    if chance(rng, 0.15) and "spleen" in body.organs:  # an accessory spleen: not reported
        point = body.organs["spleen"].inside(-1.25, -0.5, -0.3)
        scene.ellipsoid(Ellipsoid(point, (5.0, 5.0, 5.5)), body.hu["spleen"])
    fatty = body.hu["pancreas"] - uniform(rng, 0.0, 22.0)
    if "pancreatic_atrophy" in found:
        fatty -= 14.0
    scene.tube(body.tubes["pancreas"], fatty, VALUE["pancreas"])
    for side in ("left", "right"):
        _paint_kidney(scene, body, found, rng, side)
    _paint_liver(scene, body, rng, nodular="cirrhosis" in found)
    _paint_adrenals(scene, body, found, rng)
    gallbladder = body.organs.get("gallbladder")
    wall = uniform(rng, 1.8, 2.8)
    if gallbladder is not None:
        value = VALUE["gallbladder"]
        scene.ellipsoid(gallbladder, body.hu["wall"], value)
        scene.ellipsoid(gallbladder.grown(-wall), body.hu["bile"], over=(value,))


def _paint_stomach(
    scene: Scene, body: Body, found: Mapping[str, Present], rng: np.random.Generator
) -> None:
    tube, value = body.tubes["stomach"], VALUE["stomach"]
    thickening = found.get("gastric_wall_thickening")
    first = 1 + int(uniform(rng, 0.0, 3.0))
    fluid, level = uniform(rng, 5.0, 60.0), uniform(rng, -30.0, 10.0)
    scene.tube(tube, body.hu["wall"], value)
    for index in range(len(tube.points) - 1):
        thick = gauss(rng, 4.2, 0.5)
        if thickening and first <= index < first + 2:
            thick = thickening.size_mm or 10.0
        piece = Tube(tube.points[index : index + 2], tube.radii[index : index + 2]).grown(-thick)
        ends, radii = piece.points, piece.radii
        region, distance = scene.piece(ends[0], ends[1], radii[0], radii[1])
        _, y, _ = scene.axes(region)
        gas = scene.cover(body.gravity * y - (tube.points[2][1] * body.gravity - level * 0.4 + 8.0))
        content = fluid + (-900.0 - fluid) * gas
        # broadcast to the region's shape
        content = content + 0.0 * distance
        scene.blend(region, scene.cover(distance), content, only=scene.labelled(region, (value,)))


def _paint_kidney(
    scene: Scene,
    body: Body,
    found: Mapping[str, Present],
    rng: np.random.Generator,
    side: str,
) -> None:
    sign = 1.0 if side == "left" else -1.0
    inward = uniform(rng, 0.3, 0.45)
    kidney = body.organs.get(f"kidney_{side}")
    if kidney is None:
        return
    value = VALUE[f"kidney_{side}"]
    scene.ellipsoid(kidney, body.hu["kidney"], value)
    a, b, c = kidney.semi
    center = kidney.inside(-sign * inward, -0.1, 0.0)
    sinus = Ellipsoid(center, (0.36 * a, 0.36 * b, 0.5 * c))
    scene.ellipsoid(sinus, body.hu["fat"] + 25.0, over=(value,))
    widening = found.get("hydronephrosis")
    if widening and side in widening.sides:
        wide = (widening.size_mm or 15.0) / 2.0
        pelvis = Ellipsoid(center, (wide, 0.8 * wide, 0.45 * c + 0.6 * wide))
        scene.ellipsoid(pelvis, 9.0, value, over=(0, value))


def _paint_liver(scene: Scene, body: Body, rng: np.random.Generator, *, nodular: bool) -> None:
    value, hu = VALUE["liver"], body.hu["liver"]
    liver = body.organs["liver"]
    scene.ellipsoid(body.organs["liver_left"], hu, value)
    scene.ellipsoid(liver, hu, value)
    if chance(rng, 0.1):  # Riedel's lobe: harmless, and not reported
        low = liver.inside(-0.55, 0.0, -0.75)
        scene.ellipsoid(Ellipsoid(low, (22.0, 28.0, 38.0)), hu, value)
    knobs = 46 if nodular else 0
    for _ in range(knobs):
        u, v, w = (float(rng.standard_normal()) for _ in range(3))
        # normalised to a point on the surface
        length = max(0.2, (u * u + v * v + w * w) ** 0.5)
        point = liver.inside(u / length, v / length, w / length)
        radius = uniform(rng, 4.0, 9.0)
        ball = Ellipsoid(point, (radius, radius, radius))
        if chance(rng, 0.5):
            scene.ellipsoid(ball, body.hu["fat"] + 25.0, 0, over=(value,))
        else:
            scene.ellipsoid(ball, hu, value, over=(0, value))
    for _ in range(14):  # vessels of the liver
        tip = liver.inside(
            uniform(rng, -0.7, 0.7), uniform(rng, -0.7, 0.7), uniform(rng, -0.7, 0.7)
        )
        stem = liver.inside(0.35, -0.1, 0.2)
        vessel = Tube((stem, tip), (3.2, 1.2))
        scene.tube(vessel, 0.6 * body.hu["portal"] + 0.4 * hu, over=(value,))


def _paint_adrenals(
    scene: Scene, body: Body, found: Mapping[str, Present], rng: np.random.Generator
) -> None:
    hyperplasia = found.get("adrenal_hyperplasia")
    for side in ("left", "right"):
        for limb in adrenal_limbs(body, rng, side):
            if hyperplasia and side in hyperplasia.sides:
                radius = (hyperplasia.size_mm or 10.0) / 2.0
                limb = Tube(limb.points, (radius, 0.85 * radius))
            scene.tube(limb, body.hu["adrenal"], VALUE[f"adrenal_gland_{side}"])


def adrenal_limbs(body: Body, rng: np.random.Generator, side: str) -> tuple[Tube, Tube]:
    """Return the two limbs of an adrenal gland, above and before its kidney's place."""
    sign = 1.0 if side == "left" else -1.0
    x = sign * (31.0 + gauss(rng, 0.0, 2.5))
    y, z = 26.0 + gauss(rng, 0.0, 2.5), (282.0 + gauss(rng, 0.0, 4.0)) * body.stature
    radius = gauss(rng, 3.5, 0.5)
    outer, inner = (x + sign * 7.0, y + 15.0, z - 14.0), (x - sign * 3.0, y + 16.0, z - 14.0)
    return (
        Tube(((x, y, z), outer), (radius, radius * 0.8)),
        Tube(((x, y, z), inner), (radius, radius * 0.8)),
    )


def paint_vessels(scene: Scene, body: Body, found: Mapping[str, Present], aorta: Tube) -> None:
    """Paint the portal and splenic vein and the aorta (given: an aneurysm has widened it)."""
    value, hu = VALUE["portal_vein_and_splenic_vein"], body.hu["portal"]
    for name in ("splenic_vein", "portal_left", "portal"):
        scene.tube(body.tubes[name], hu, value)
    wall = 3.0 if "aortic_aneurysm" in found else 1.6
    scene.tube(aorta, body.hu["muscle"] - 5.0, VALUE["aorta"])
    scene.tube(aorta.grown(-wall), body.hu["aorta"], over=(VALUE["aorta"],))


def trim_outside(scene: Scene, body: Body, before_zyx: Floats) -> None:
    """Undo what large or deformed organs painted outside the muscle wall.

    Args:
        scene: with all organs.
        body: whose wall it is.
        before_zyx: HU before any organ was painted, (z, y, x).
    """
    beyond = trunk_distance(scene, body) + body.wall_mm + 2.0
    share = scene.cover(beyond)
    scene.hu_zyx[:] = before_zyx + share * (scene.hu_zyx - before_zyx)
    scene.label_zyx[beyond > 0] = 0
