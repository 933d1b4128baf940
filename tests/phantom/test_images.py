from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest

from fvlm_data.phantom.acquisition import SeriesPlan, plan_series
from fvlm_data.phantom.body import build_body
from fvlm_data.phantom.catalogue import ANATOMIES, ANATOMY_CLASSES, KIND, KINDS, VALUE
from fvlm_data.phantom.patient import Patient, Present, Study, draw_patient
from fvlm_data.phantom.render import Rendered, render

LARGER = {
    "adrenal_nodule", "adrenal_hyperplasia", "aortic_aneurysm", "aortic_dissection",
    "bladder_wall_thickening", "colonic_dilatation", "hiatal_hernia",
    "esophageal_wall_thickening", "gallbladder_distention", "cardiomegaly", "hepatomegaly",
    "hydronephrosis", "portal_vein_dilatation", "small_bowel_dilatation", "splenomegaly",
    "gastric_distention",
}  # fmt: skip
SMALLER = {
    "gallbladder_absent", "kidney_absent", "kidney_atrophy", "cirrhosis", "pancreatic_atrophy",
    "pleural_effusion", "pneumothorax", "spleen_absent",
}  # fmt: skip
DENSER = {
    "adrenal_calcification", "arterial_wall_calcification", "bladder_stone", "gallstone",
    "coronary_artery_wall_calcification", "kidney_stone", "liver_calcification", "lung_nodule",
    "consolidation", "lung_opacity", "atelectasis", "sacral_sclerotic_lesion",
    "splenic_calcification",
}  # fmt: skip
LIGHTER = {
    "kidney_cyst", "hepatic_steatosis", "liver_cyst", "liver_hypodense_lesion", "emphysema",
    "pancreatic_cyst", "pancreatic_duct_dilatation", "portal_vein_thrombosis",
    "sacral_lytic_lesion", "spleen_cyst",
}  # fmt: skip


@cache
def scene() -> tuple[Patient, Study, SeriesPlan]:
    """A contrast-enhanced scan of the whole trunk, without findings and nearly without noise."""
    patient = draw_patient(7, 3)
    study = dataclasses.replace(
        patient.studies[0], protocol="both", phase="portal", low_mm=0.0, high_mm=515.0,
        findings={}, imaged=ANATOMIES,
    )  # fmt: skip
    plan = plan_series(7, study, build_body(patient, study, 1))[0]
    return patient, study, dataclasses.replace(plan, noise_hu=0.0, position="HFS")


@cache
def drawn(finding: str | None, side: str | None = "left") -> Rendered:
    patient, study, plan = scene()
    if finding is not None:
        kind = KIND[finding]
        size = None if kind.size_mm is None else sum(kind.size_mm) / 2
        present = Present(
            kind=kind, laterality=side if kind.sided else None, size_mm=size, severity=0.6
        )
        study = dataclasses.replace(study, findings={finding: present})
    return render(patient, study, plan, {})


def organ(rendered: Rendered, anatomy: str) -> np.ndarray:
    return np.isin(rendered.label_zyx, [VALUE[name] for name in ANATOMY_CLASSES[anatomy]])


def test_every_finding_is_expected_to_do_something() -> None:
    others = {
        "colonic_diverticulosis", "colonic_wall_thickening", "pericardial_effusion",
        "small_bowel_wall_thickening", "gastric_wall_thickening",
    }  # fmt: skip
    assert LARGER | SMALLER | DENSER | LIGHTER | others == {kind.finding for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.finding)
def test_finding_changes_the_image_at_its_anatomy(kind) -> None:  # noqa: ANN001
    before, after = drawn(None), drawn(kind.finding)
    old, new = organ(before, kind.anatomy), organ(after, kind.anatomy)
    change = np.abs(after.hu_zyx.astype(int) - before.hu_zyx) > 15
    near = old | new
    for axis in range(3):
        near = near | np.roll(near, 2, axis) | np.roll(near, -2, axis)
    assert np.count_nonzero(change & near) >= 2
    if kind.finding in LARGER:
        assert new.sum() > 1.02 * old.sum()
    if kind.finding in SMALLER:
        assert new.sum() < 0.97 * old.sum()
    common = old & new
    shift = int((after.hu_zyx[common].astype(int) - before.hu_zyx[common]).sum())
    if kind.finding in DENSER:
        assert shift > 0
    if kind.finding in LIGHTER:
        assert shift < 0


@pytest.mark.parametrize("finding", ["lung_nodule", "pleural_effusion", "pneumothorax"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_side_is_the_patients_side(finding: str, side: str) -> None:
    """+x is the patient's left."""
    _, _, plan = scene()
    change = np.abs(drawn(finding, side).hu_zyx.astype(int) - drawn(None).hu_zyx) > 15
    x_mm = plan.x_mm[np.nonzero(change)[2]]
    assert np.all(x_mm > 0) if side == "left" else np.all(x_mm < 0)


def test_missing_kidney_is_that_of_its_side() -> None:
    after = drawn("kidney_absent", "right")
    assert not np.any(after.label_zyx == VALUE["kidney_right"])
    assert np.any(after.label_zyx == VALUE["kidney_left"])


def test_reconstructions_of_a_scan_show_a_lesion_at_one_place() -> None:
    patient, study, plan = scene()
    kind = KIND["liver_calcification"]
    present = Present(kind=kind, laterality=None, size_mm=9.0, severity=0.6)
    study = dataclasses.replace(study, findings={kind.finding: present})
    centres = []
    places: dict[str, list[tuple[float, float, float]]] = {}
    for step in (5.0, 7.0):
        z_mm = np.arange(150.0, 400.0, step)
        rendered = render(patient, study, dataclasses.replace(plan, z_mm=z_mm), places)
        spots = np.argwhere((rendered.hu_zyx > 200) & organ(rendered, "liver"))
        centres.append(z_mm[spots[:, 0]].mean())
    assert abs(centres[0] - centres[1]) < 4.0
