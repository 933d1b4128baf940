from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError

from fvlm_data.pairing.anatomy_text import StudyText, anatomy_text
from fvlm_data.pairing.config import PairConfig
from fvlm_data.pairing.signature import signature
from fvlm_data.vocabulary import Anatomy, FindingTerm, Prompts, Vocabulary
from schemas import AnatomyText

EN = Vocabulary.load()

TEMPLATE = "Liver shows no significant abnormalities."
IMPLIED = {"hepatic_cyst": ("cyst",), "cyst": ("lesion",), "lesion": ("cyst",)}
WORDS = dataclasses.replace(
    EN,
    anatomies=(Anatomy(id="liver", name="Liver", phrases=("liver",)),),
    findings=tuple(
        FindingTerm(
            id=name,
            name=name,
            anatomy="liver",
            implies=implied,
            prompts=Prompts(positive="Yes.", negative="No."),
        )
        for name, implied in IMPLIED.items()
    ),
)


def told(sentences: list[Any], findings: list[Any] | None = None, **settings: Any) -> AnatomyText:
    study = StudyText(
        [dataclasses.asdict(row) for row in sentences],
        [dataclasses.asdict(row) for row in findings or []],
    )
    return anatomy_text("st_1", "liver", study, PairConfig(**settings), WORDS)


def test_impression_stands_first_whatever_the_order_of_the_report(hand: ModuleType):
    text = told(
        [
            hand.sentence(0, "findings", "Cyst in segment 4.", 10, liver="abnormal"),
            hand.sentence(1, "impression", "Liver cyst.", 40, liver="abnormal"),
            hand.sentence(2, "impression", "Spleen normal.", 60, spleen="normal"),
        ],
        [hand.finding(0, "cyst")],
    )
    assert text.text == "Liver cyst. Cyst in segment 4."
    assert text.sources == ("r_1:40:51", "r_1:10:28")
    assert text.state == "abnormal"


def test_all_impressions_of_several_reports_stand_first(hand: ModuleType):
    text = told(
        [
            hand.sentence(0, "findings", "A.", liver="neutral"),
            hand.sentence(1, "impression", "B.", liver="abnormal"),
            hand.sentence(0, "findings", "C.", report_id="r_2", liver="neutral"),
            hand.sentence(1, "impression", "D.", report_id="r_2", liver="neutral"),
        ]
    )
    assert text.text == "B. D. A. C."


def test_silence_is_a_state_of_its_own(hand: ModuleType):
    text = told([hand.sentence(0, "findings", "Spleen normal.", spleen="normal")])
    assert (text.state, text.text, text.sources) == ("not_mentioned", TEMPLATE, ())
    assert (text.signature, text.findings, text.labels) == (0, (), ())


def test_normal_is_what_a_sentence_says(hand: ModuleType):
    text = told([hand.sentence(0, "findings", "Liver is normal.", liver="normal")])
    assert text.state == "normal_stated"
    assert text.text == f"{TEMPLATE} Liver is normal."


def test_neutral_mention_is_neither_normal_nor_abnormal(hand: ModuleType):
    text = told([hand.sentence(0, "findings", "Liver measures 15 cm.", liver="neutral")])
    assert text.state == "not_mentioned"
    assert text.text == f"{TEMPLATE} Liver measures 15 cm."


def test_one_abnormal_sentence_outweighs_normal_ones(hand: ModuleType):
    text = told(
        [
            hand.sentence(0, "impression", "Liver is normal.", liver="normal"),
            hand.sentence(1, "findings", "Small cyst.", liver="abnormal"),
        ],
        [hand.finding(1, "cyst")],
    )
    assert text.state == "abnormal"
    assert text.text == "Liver is normal. Small cyst."


def test_assessment_is_read_for_the_right_anatomy_of_a_sentence(hand: ModuleType):
    said = hand.sentence(
        0, "findings", "Spleen enlarged, liver normal.", liver="normal", spleen="abnormal"
    )
    assert told([said]).state == "normal_stated"


@pytest.mark.parametrize("section", ["clinical_information", "technique", "comparison"])
def test_other_sections_say_nothing_of_this_scan(hand: ModuleType, section: str):
    sentences = [hand.sentence(0, section, "Liver metastasis?", liver="abnormal")]
    assert told(sentences, [hand.finding(0, "metastasis")]).state == "not_mentioned"
    sentences.append(hand.sentence(1, "findings", "Liver cyst.", liver="abnormal"))
    text = told(sentences, [hand.finding(0, "metastasis"), hand.finding(1, "cyst")])
    assert text.findings == ("cyst|present|",)
    assert text.text == "Liver cyst."


def test_findings_of_equal_sentence_numbers_in_two_reports_are_told_apart(hand: ModuleType):
    text = told(
        [
            hand.sentence(0, "technique", "T.", liver="neutral"),
            hand.sentence(0, "findings", "F.", report_id="r_2", liver="abnormal"),
        ],
        [hand.finding(0, "wrong"), hand.finding(0, "cyst", report_id="r_2")],
    )
    assert text.findings == ("cyst|present|",)


def test_findings_of_other_anatomies_do_not_count(hand: ModuleType):
    text = told(
        [hand.sentence(0, "findings", "Cysts.", liver="abnormal", kidney="abnormal")],
        [hand.finding(0, "cyst"), hand.finding(0, "stone", anatomy="kidney")],
    )
    assert text.findings == ("cyst|present|",)
    assert text.signature == signature(["cyst|present|"])


@pytest.mark.parametrize(
    ("setting", "expected"), [("abnormal", "abnormal"), ("not_mentioned", "not_mentioned")]
)
def test_hedged_findings_alone_follow_the_setting(hand: ModuleType, setting: str, expected: str):
    sentences = [hand.sentence(0, "findings", "Possible cyst.", liver="abnormal")]
    findings = [hand.finding(0, "cyst", "uncertain")]
    assert told(sentences, findings, uncertain=setting).state == expected
    findings.append(hand.finding(0, "abscess", "historical"))
    assert told(sentences, findings, uncertain=setting).state == expected
    findings.append(hand.finding(0, "nodule"))
    assert told(sentences, findings, uncertain=setting).state == "abnormal"


def test_labels_hold_what_findings_imply_and_no_history(hand: ModuleType):
    text = told(
        [hand.sentence(0, "findings", "X.", liver="abnormal")],
        [
            hand.finding(0, "hepatic_cyst", "uncertain"),
            hand.finding(0, "abscess", "historical"),
            hand.finding(0, "mass", "absent"),
        ],
    )
    assert text.labels == ("cyst", "hepatic_cyst", "lesion")
    assert text.findings == ("abscess|historical|", "hepatic_cyst|uncertain|")


def test_reference_rule_looks_at_the_impression_only(hand: ModuleType):
    abnormal = hand.sentence(0, "findings", "Liver cyst.", liver="abnormal")
    text = told([abnormal], [hand.finding(0, "cyst")], normal="reference")
    assert (text.state, text.text) == ("normal_stated", f"{TEMPLATE} Liver cyst.")
    assert (text.signature, text.findings) == (0, ())
    assert text.labels == ("cyst", "lesion")  # the truth hangs on no rule
    normal = hand.sentence(1, "impression", "Liver is normal.", liver="normal")
    text = told([abnormal, normal], normal="reference")
    assert (text.state, text.text) == ("abnormal", "Liver is normal. Liver cyst.")


def test_template_is_a_setting(hand: ModuleType):
    assert told([], template="No lesion of the {anatomy}.").text == "No lesion of the Liver."


@pytest.mark.parametrize("template", ["normal", "{anatomy} {0}", "{anatomy} {", "{organ}"])
def test_template_that_cannot_be_filled_is_refused(template: str):
    with pytest.raises(ValidationError, match=r"must hold {anatomy} and no other braces"):
        PairConfig(template=template)
