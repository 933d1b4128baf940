"""Sentences of our own: what pairing writes of an anatomy, and wordings of mended kinds."""

from __future__ import annotations

import pytest

from fvlm_data.reports import ReportParser
from fvlm_data.vocabulary import Vocabulary
from tests.reports.lots import faults


@pytest.mark.parametrize("language", ["en", "de", "tr"])
def test_the_sentence_of_a_normal_anatomy_is_read_as_normal(language: str):
    vocabulary = Vocabulary.load(language)
    parser = ReportParser(vocabulary=vocabulary)
    wrong = {}
    for anatomy in vocabulary.anatomies:
        if anatomy.id == "face":  # by itself the word may be the surface of an organ
            continue
        report = parser.parse(vocabulary.pairing.normal.format(anatomy=anatomy.name))
        states = {name: one.state for name, one in report.anatomy_states().items()}
        if states[anatomy.id] != "normal_stated" or "abnormal" in states.values():
            wrong[anatomy.id] = {name: one for name, one in states.items() if "not_" not in one}
    assert wrong == {}


@pytest.mark.parametrize("text", [
    "The liver shows no significant abnormality.", "Liver: shows no significant abnormality.",
    "The liver showed no significant abnormalities.", "The liver and spleen show no abnormality.",
])  # fmt: skip
def test_showing_no_abnormality_is_normal(text: str):
    report = ReportParser().parse(f"FINDINGS: {text}")
    assert not report.findings
    assert report.anatomy_states()["liver"].state == "normal_stated"


@pytest.fixture(scope="module")
def parser() -> ReportParser:
    return ReportParser()


@pytest.mark.parametrize(("text", "expected", "never"), [
    ("No ascites, the liver is enlarged.", ["ascites absent", "hepatomegaly present"], []),
    ("No ascites, liver is enlarged.", ["hepatomegaly present"], []),
    ("No ascites and the liver is enlarged.", ["ascites absent", "hepatomegaly present"], []),
    ("No effusion, pneumothorax, the heart is enlarged.",
     ["pneumothorax absent", "cardiomegaly present"], []),
    ("No stones in the right kidney, left kidney shows a stone.",
     ["kidney_stone absent right", "kidney_stone present left"], ["kidney_stone present right"]),
    ("No stone on the right, the left kidney has a stone.",
     ["kidney_stone absent right", "kidney_stone present left"], ["kidney_stone present right"]),
    ("No nodule in the right lung, the left lung has a nodule.",
     ["lung_nodule absent right", "lung_nodule present left"], []),
    ("No hepatic lesion in the right lobe, the left lobe has a cyst.", ["liver_cyst present"], []),
    ("No effusion or pneumothorax, lungs demonstrate ground glass opacities.",
     ["pleural_effusion absent", "lung_opacity present"], []),
    ("No focal liver lesion, gallbladder and bile duct have stones.",
     ["gallstone present", "bile_duct_stone present"], []),
    ("No mass, the pancreas is atrophic.", ["pancreatic_atrophy present"], []),
    ("Possible pneumonia, the heart is enlarged.",
     ["pneumonia uncertain", "cardiomegaly present"], []),
    ("History of lung cancer, the liver has a cyst.", ["liver_cyst present"], []),
    ("No pneumothorax - a 6 mm nodule is seen in the right lung.",
     ["lung_nodule present right size=6"], []),
    ("There is a hiatal hernia - pneumothorax is not seen.",
     ["hiatal_hernia present", "pneumothorax absent"], []),
    ("Possible pneumonia, a 6 mm nodule is seen in the right lung.",
     ["pneumonia uncertain", "lung_nodule present right size=6"], []),
    ("No ascites is seen and possible pneumonia.", ["ascites absent", "pneumonia uncertain"], []),
    ("Nodule in the right lung, 7 mm and cyst of 23 mm in the liver.",
     ["lung_nodule present right size=7", "liver_cyst present size=23"], []),
    ("7 mm nodule in the right lung, previously 4 mm and cyst of 23 mm in the liver.",
     ["lung_nodule present right size=7 prior=4", "liver_cyst present size=23"], []),
    ("No hydronephrosis, in the left kidney there is a stone.",
     ["hydronephrosis absent", "kidney_stone present left"], []),
    ("No ascites, at the liver dome is a 2 cm lesion.",
     ["ascites absent", "liver_hypodense_lesion present size=20"], []),
    ("Pneumothorax, pleural effusion, or consolidation: none.",
     ["pneumothorax absent", "pleural_effusion absent", "consolidation absent"], []),
    ("Liver and spleen enlarged, ascites: none.",
     ["hepatomegaly present", "splenomegaly present", "ascites absent"], []),
    ("No pneumothorax, hiatal hernia is unchanged.",
     ["pneumothorax absent", "hiatal_hernia present"], []),
    ("Large right effusion, pneumothorax is not seen.",
     ["pleural_effusion present right", "pneumothorax absent"], []),
    # items of the denial, whatever verb stands at its end
    ("No consolidation, effusion or pneumothorax is seen.",
     ["consolidation absent", "pleural_effusion absent", "pneumothorax absent"], []),
    ("No effusion, lung nodule is seen.", ["lung_nodule absent"], []),
    ("No nodule and lung consolidation is seen.", ["consolidation absent"], []),
    ("No intrahepatic, extrahepatic bile duct is dilated.", ["bile_duct_dilatation absent"], []),
    ("No effusion, the heart is not enlarged.", ["cardiomegaly absent"], []),
])  # fmt: skip
def test_a_verb_tells_what_an_organ_has_whatever_was_denied_before(
    parser: ReportParser, text: str, expected: list[str], never: list[str]
):
    assert told_wrongly(parser, text, expected, never) == []


@pytest.mark.parametrize(("text", "expected", "never"), [
    ("Removal of the chest tube is recommended.", ["chest_tube present"], []),
    ("Removal of the left drain should be considered.", ["drainage present left"], []),
    ("Interval removal of the chest tube, follow-up recommended.", ["chest_tube absent"], []),
    ("Right lung nodule with emphysema.",
     ["lung_nodule present right", "emphysema present noside"], []),
    ("Right upper lobe nodule with interstitial lung disease and emphysema.",
     ["interstitial_lung_disease present noside", "emphysema present noside"], []),
    ("Emphysema of the right lung with a nodule.", ["emphysema present right"], []),
    ("Findings no. 3: Liver cyst.", ["liver_cyst present"], []),
    ("Lesion no 2, liver cyst of 8 mm.", ["liver_cyst present size=8"], []),
    ("Effusion: no. 3 mm nodule in the left lung.",
     ["pleural_effusion absent", "lung_nodule present left size=3"], []),
])  # fmt: skip
def test_what_is_advised_numbered_or_beside_is_no_denial_and_no_side(
    parser: ReportParser, text: str, expected: list[str], never: list[str]
):
    assert told_wrongly(parser, text, expected, never) == []


@pytest.mark.parametrize(("text", "expected", "never"), [
    ("Left kidney: size small | stones: no | hydronephrosis: yes | cortical thinning: yes",
     ["kidney_stone absent left", "hydronephrosis present left"], ["kidney_stone"]),
    ("Spleen: normal | Lungs: left nodule | effusion: no | pneumothorax: yes",
     ["lung_nodule present left", "pleural_effusion absent", "pneumothorax present"], []),
    ("Hydronephrosis      R: none      L: mild",
     ["hydronephrosis absent right", "hydronephrosis present left"], []),
    ("Pleural effusion: R: 14 mm L: none",
     ["pleural_effusion present right size=14", "pleural_effusion absent left"],
     ["pleural_effusion absent left size=14"]),
    ("CT for acute abdomen: colon dilated to 9 cm.", ["colonic_dilatation present size=90"], []),
    ("CT chest for pulmonary embolism: right pneumothorax.",
     ["pulmonary_embolism hypothetical", "pneumothorax present right"], []),
    ("Evaluate for: pneumothorax.", ["pneumothorax hypothetical"], []),
    ("Lymphoma, end of treatment staging.", ["lymphadenopathy historical"], []),
    ("Left basal consolidation, aspiration is suspected.", ["consolidation present left"], []),
    ("Left basal consolidation, tuberculosis is suspected.",
     ["consolidation present left", "tuberculosis uncertain"], []),
    ("No left pleural effusion or pneumothorax.",
     ["pleural_effusion absent left", "pneumothorax absent left"], []),
    ("The liver, pancreas and both kidneys are without laceration.",
     ["liver_laceration absent", "pancreatic_laceration absent", "kidney_laceration absent"], []),
    ("Liver and spleen are without lesion, ascites present.",
     ["liver_hypodense_lesion absent", "ascites present"], []),
    ("Dilated small bowel without a transition point, likely ileus.",
     ["small_bowel_obstruction uncertain"], []),
])  # fmt: skip
def test_forms_questions_and_denials_reach_what_they_are_of(
    parser: ReportParser, text: str, expected: list[str], never: list[str]
):
    assert told_wrongly(parser, text, expected, never) == []


@pytest.mark.parametrize(("text", "expected", "never"), [
    ("Three hepatic metastases: segment II 12 mm (prior 12 mm), segment V 31 mm (24 mm), "
     "segment VIII 9 mm, new.",
     ["liver_metastasis present size=12 prior=12", "liver_metastasis present size=31 prior=24",
      "liver_metastasis present size=9 change=new"], []),
    ("Lung nodules: RUL 4 mm (6 mm), LLL 9 mm (9 mm).",
     ["lung_nodule present right size=4 prior=6", "lung_nodule present left size=9 prior=9"], []),
    ("Bone metastases: T8, 12 mm; left scapula, 20 mm, increased.",
     ["bone_metastasis present noside size=12", "bone_metastasis present left size=20"], []),
    ("RUL mass 3.1 x 2.6 cm (3.9 x 3.4 cm).", ["lung_mass present right size=31 prior=39"], []),
    ("Aortic aneurysm of 62 mm (6.2 cm).", ["aortic_aneurysm present size=62"],
     ["aortic_aneurysm present prior=62"]),
    ("Terminal ileum with wall thickening of 8 mm over a length of 12 cm.",
     ["small_bowel_wall_thickening present size=8"], []),
    ("A liver lesion of 22 mm, compatible with a cyst.", ["liver_cyst present size=22"], []),
    ("A 22 mm left adrenal nodule diagnostic of a myelolipoma.",
     ["adrenal_lipoma present left size=22"], []),
    ("The bile duct is dilated to 14 mm with a filling defect in keeping with a stone.",
     ["bile_duct_dilatation present size=14"], ["bile_duct_stone present size=14"]),
    ("Metastatic nodules in both lungs have increased.",
     ["lung_metastasis present bilateral change=increased"], []),
    ("Nodule, left upper lobe, total 17 mm, prior total 15 mm.",
     ["lung_nodule present left size=17 prior=15"], []),
    ("The previously noted 5 mm nodule of the left lung is unchanged.",
     ["lung_nodule present left size=5 change=stable"], []),
    ("Fractures of ribs 2 to 6 bilaterally.", ["rib_fracture present bilateral"], []),
    ("Mild hydronephrosis of the right kidney secondary to a 7 mm stone.",
     ["kidney_stone present right size=7"], []),
])  # fmt: skip
def test_sizes_and_changes_are_of_what_they_are_said_of(
    parser: ReportParser, text: str, expected: list[str], never: list[str]
):
    assert told_wrongly(parser, text, expected, never) == []


def told_wrongly(
    parser: ReportParser, text: str, expected: list[str], never: list[str]
) -> list[str]:
    """What of a text is not as expected, or told although it never may be."""
    return faults({"expected": expected, "never": never}, parser.parse(text))
