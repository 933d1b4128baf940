"""Every anatomy that a segmentation tells apart is one that reports speak of, with its findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fvlm_data.vocabulary import Vocabulary
from fvlm_data.vocabulary.phrases import expand

if TYPE_CHECKING:
    from fvlm_data.reports import ReportParser
    from fvlm_data.vocabulary import Anatomy

EN = Vocabulary.load()
GROUPS = {
    "adrenal gland": "adrenal_gland", "aorta": "aorta", "autochthon": "autochthon",
    "brain": "brain", "clavicle": "clavicle", "colon": "colon", "duodenum": "duodenum",
    "esophagus": "esophagus",
    "face": "face", "femur": "femur", "gallbladder": "gallbladder", "gluteus": "gluteus",
    "heart": "heart", "hip": "hip", "humerus": "humerus", "iliac artery": "iliac_artery",
    "iliac vein": "iliac_vein", "iliopsoas": "iliopsoas",
    "inferior vena cava": "inferior_vena_cava", "kidney": "kidney", "liver": "liver",
    "lung": "lung", "pancreas": "pancreas", "portal and splenic vein": "portal_vein",
    "pulmonary artery": "pulmonary_artery", "ribs": "rib", "sacrum": "sacrum",
    "scapula": "scapula", "small bowel": "small_intestine", "spleen": "spleen",
    "stomach": "stomach", "trachea": "airway", "urinary bladder": "bladder",
    "cervical vertebrae": "cervical_vertebra", "lumbar vertebrae": "lumbar_vertebra",
    "thoracic vertebrae": "thoracic_vertebra",
}  # fmt: skip
"""The 36 groups of TotalSegmentator v1's 104 classes, and our ids."""
UNIONS = {"vertebra", "bone", "muscle", "vessel"}
"""Anatomies of label maps that hold others."""


def _may_lie_in() -> set[str]:
    """Anatomies that mentions of some finding may name."""
    named: set[str] = set()
    for term in EN.findings:
        places = {site.split(".")[0] for site in term.sites} if term.at_site else {term.anatomy}
        named |= places | {part for part, whole in EN.within.items() if whole in places}
    return named


def test_label_maps_vocabulary_and_findings_name_the_same_groups():
    classes = EN.classes_of("totalsegmentator_v1")
    groups = set(GROUPS.values())
    assert len(groups) == 36
    assert set(classes) - UNIONS == groups
    assert groups <= {anatomy.id for anatomy in EN.anatomies}
    assert groups <= _may_lie_in()
    made_of = [name for group in groups for name in classes[group]]
    assert len(made_of) == len(set(made_of)) == 104


def test_every_anatomy_of_label_maps_is_one_of_reports_that_some_finding_may_lie_in():
    assert set(EN.imaged) <= {anatomy.id for anatomy in EN.anatomies}
    assert {anatomy.id for anatomy in EN.anatomies} == _may_lie_in()


@pytest.mark.parametrize("anatomy", EN.anatomies, ids=lambda one: one.id)
def test_every_phrase_of_a_part_names_part_and_whole(parser: ReportParser, anatomy: Anatomy):
    for pattern in anatomy.phrases[:2]:
        phrase = max(expand(pattern), key=len)
        named = set(parser.parse(f"The {phrase} is normal.").sentences[0].anatomies)
        assert {anatomy.id, EN.within.get(anatomy.id, anatomy.id)} <= named, phrase


@pytest.mark.parametrize(
    ("text", "finding", "anatomies", "side"),
    [
        ("Fracture of the left clavicle.", "clavicle_fracture", "clavicle bone", "left"),
        ("Comminuted scapular fracture.", "scapula_fracture", "scapula bone", None),
        ("Right humeral neck fracture.", "humerus_fracture", "humerus bone", "right"),
        ("Left hip fracture.", "femur_fracture", "femur bone", "left"),
        ("Intertrochanteric fracture on the right.", "femur_fracture", "femur bone", "right"),
        ("Fractures of both pubic rami.", "hip_bone_fracture", "hip bone", "bilateral"),
        ("Acetabular fracture on the left.", "hip_bone_fracture", "hip bone", "left"),
        ("Insufficiency fracture of the sacrum.", "sacral_fracture", "sacrum", None),
        ("Nasal bone fracture.", "facial_fracture", "face", None),
        ("Fracture of the sternum.", "bone_fracture", "bone", None),
        ("Burst fracture of L1.", "vertebral_fracture", "lumbar_vertebra vertebra", None),
        ("Fracture of C5.", "vertebral_fracture", "cervical_vertebra vertebra", None),
        ("Left iliac aneurysm of 22 mm.", "iliac_artery_aneurysm", "iliac_artery vessel", "left"),
        ("Right iliac vein thrombus.", "iliac_vein_thrombosis", "iliac_vein vessel", "right"),
        ("IVC thrombosis.", "inferior_vena_cava_thrombosis", "inferior_vena_cava", None),
        ("Right psoas abscess.", "muscle_abscess", "iliopsoas muscle", "right"),
        ("Atrophy of the left gluteus maximus.", "muscle_atrophy", "gluteus muscle", "left"),
        ("Atrophy of the paraspinal muscles.", "muscle_atrophy", "autochthon muscle", None),
        ("Metastasis in the right scapula.", "bone_metastasis", "scapula bone", "right"),
        ("Subdural hematoma.", "brain_hemorrhage", "brain", None),
        ("Mucosal thickening of the maxillary sinuses.", "sinus_opacification", "face", None),
        ("Tracheal stenosis.", "tracheal_stenosis", "airway", None),
    ],
)  # fmt: skip
def test_findings_of_the_groups(
    parser: ReportParser, text: str, finding: str, anatomies: str, side: str | None
):
    told = [m for m in parser.parse(text).findings if m.finding == finding]
    assert {m.anatomy for m in told} == set(anatomies.split())
    assert all(m.status == "present" for m in told)
    assert next(m.laterality for m in told if m.anatomy == anatomies.split()[0]) == side


def test_a_whole_is_abnormal_with_its_part_and_not_the_other_way_round(parser: ReportParser):
    parsed = parser.parse("Fracture of the left femur. Bones osteopenic.")
    states = {name: one.state for name, one in parsed.anatomy_states().items()}
    assert (states["femur"], states["bone"], states["hip"]) == (
        "abnormal",
        "abnormal",
        "not_mentioned",
    )
    assert {m.finding for m in parsed.anatomy_states()["femur"].findings} == {"femur_fracture"}


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("Status post cholecystectomy.", "gallbladder_absent"),
        ("Status post left upper lobectomy.", "lung_resection"),
        ("S/p hysterectomy and appendectomy.", "appendix_absent uterus_absent"),
        ("Status post right hemihepatectomy.", "liver_resection"),
        ("Postoperative changes after Whipple procedure.", "pancreas_resection"),
        ("Status post sigmoid resection.", "colon_resection"),
        ("History of prostatectomy.", "prostate_absent"),
        ("Partial nephrectomy on the left.", "kidney_resection"),
        ("Status post liver transplantation.", "liver_transplant"),
        ("ETT and NGT in place.", "gastric_tube medical_material tracheal_tube"),
        ("Left hip prosthesis.", "joint_prosthesis medical_material"),
        ("Biliary stent.", "medical_material stent"),
        ("Cholecystectomy clips.", "gallbladder_absent medical_material surgical_clip"),
    ],
)  # fmt: skip
def test_operations_and_devices(parser: ReportParser, text: str, findings: str):
    told = [m for m in parser.parse(f"FINDINGS: {text}").findings if m.status == "present"]
    named = {m.finding for m in told} - {"other_abnormality"}
    assert named == set(findings.split())


def test_a_device_makes_no_organ_abnormal_that_the_sentence_does_not_name(parser: ReportParser):
    for term in EN.findings:
        if "medical_material" in term.implies:
            assert term.anatomy == "soft_tissue"
