from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fvlm_data.reports import ParseConfig, ReportParser
from fvlm_data.reports.language.function_words import function_words
from fvlm_data.reports.language.reconcile import assessments
from fvlm_data.reports.language.sizes import stated_sizes
from fvlm_data.vocabulary import OTHER_ABNORMALITY, Vocabulary

SIZES = function_words(Vocabulary.load().grammar).sizes

if TYPE_CHECKING:
    from fvlm_data.reports import ParsedReport


def state(parsed: ParsedReport, anatomy: str) -> str:
    return parsed.anatomy_states()[anatomy].state


@pytest.mark.parametrize(
    ("text", "size_mm"),
    [
        ("a 5 mm nodule", 5.0),
        ("5mm", 5.0),
        ("a 12-mm cyst", 12.0),
        ("1.5 cm", 15.0),
        ("2,5 cm", 25.0),
        ("12 x 14 mm", 14.0),
        ("1.2 x 0.8 x 2.1 cm", 21.0),
        ("3 cm x 9 mm", 30.0),
        ("20\u00d715\u00d711 mm", 20.0),
        ("8 millimeters", 8.0),
    ],
)
def test_sizes(text: str, size_mm: float):
    assert [size.mm for size in stated_sizes(text, SIZES)] == [size_mm]


@pytest.mark.parametrize("text", ["series 3 image 45", "segment 6", "120 HU", "", "99999 mm"])
def test_no_sizes(text: str):
    assert stated_sizes(text, SIZES) == []


def test_each_size_goes_to_its_finding(parser: ReportParser):
    parsed = parser.parse("12 mm cyst in the liver and a 5 mm stone in the left kidney.")
    assert {m.finding: m.size_mm for m in parsed.findings} == {
        "liver_cyst": 12.0,
        "kidney_stone": 5.0,
    }


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("Mild cardiomegaly.", "mild"),
        ("There is a moderate pericardial effusion.", "moderate"),
        ("Severely enlarged heart.", "severe"),
        ("Minimal pleural effusion.", "mild"),
        ("The pleural effusion is massive.", "severe"),
        ("Splenomegaly.", None),
    ],
)
def test_severity(parser: ReportParser, text: str, severity: str | None):
    assert {m.severity for m in parser.parse(text).findings} == {severity}


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("Pleural effusion on the left.", "left"),
        ("Right-sided pleural effusion.", "right"),
        ("Bilateral pleural effusions.", "bilateral"),
        ("Pleural effusions in both hemithoraces.", "bilateral"),
        ("Cysts in the right and left kidneys.", "bilateral"),
        ("Cysts in the kidneys.", None),
        ("Cyst in the left liver lobe.", None),
    ],
)
def test_sides(parser: ReportParser, text: str, side: str | None):
    assert {m.laterality for m in parser.parse(text).findings} == {side}


def test_observations_take_their_organ(parser: ReportParser):
    parsed = parser.parse("Cysts in the liver, the spleen and the left kidney.")
    assert {m.finding for m in parsed.findings} == {"liver_cyst", "spleen_cyst", "kidney_cyst"}


def test_finding_only_in_findings_makes_abnormal(parser: ReportParser):
    parsed = parser.parse(
        "FINDINGS: Calcific plaques are observed in the aortic arch.\n"
        "IMPRESSION: The aorta shows no significant abnormalities."
    )
    assert state(parsed, "aorta") == "abnormal"


def test_normal_must_be_said(parser: ReportParser):
    parsed = parser.parse("The liver is unremarkable. No splenomegaly. Cyst in the left kidney.")
    assert state(parsed, "liver") == "normal_stated"
    assert state(parsed, "spleen") == "normal_stated"
    assert state(parsed, "kidney") == "abnormal"
    assert state(parsed, "pancreas") == "not_mentioned"


def test_naming_an_anatomy_is_no_verdict(parser: ReportParser):
    parsed = parser.parse("The liver measures 15 cm.")
    assert state(parsed, "liver") == "not_mentioned"
    assert parsed.anatomy_states()["liver"].sentences == (0,)


def test_uncovered_abnormality_makes_abnormal(parser: ReportParser):
    parsed = parser.parse("There is a fistula in the spleen.")
    found = parsed.anatomy_states()["spleen"]
    assert found.state == "abnormal"
    assert [m.finding for m in found.findings] == [OTHER_ABNORMALITY]


def test_clinical_question_is_no_finding_of_the_scan(parser: ReportParser):
    parsed = parser.parse("INDICATION: Pneumonia, emphysema.\nFINDINGS: The lungs are clear.")
    assert state(parsed, "lung") == "normal_stated"
    assert not any(parsed.ct_rate_labels().values())


def test_uncertain_counts_as_configured(parser: ReportParser):
    text = "Possible hiatal hernia."
    strict = ReportParser(ParseConfig(uncertain_is_abnormal=False))
    assert state(parser.parse(text), "esophagus") == "abnormal"
    assert state(strict.parse(text), "esophagus") == "not_mentioned"
    assert strict.parse(text).ct_rate_labels()["Hiatal hernia"] == 0


def test_assessments_name_the_anatomies_of_each_sentence(parser: ReportParser):
    parsed = parser.parse("No splenomegaly. Cyst in the liver. The pancreas was biopsied.")
    assert assessments(parsed) == [
        {"spleen": "normal"},
        {"liver": "abnormal"},
        {"pancreas": "neutral"},
    ]
    for sentence, said in zip(parsed.sentences, assessments(parsed), strict=True):
        assert tuple(said) == sentence.anatomies


def test_eighteen_labels(parser: ReportParser):
    labels = parser.parse("Cardiomegaly. Emphysema. No pleural effusion.").ct_rate_labels()
    assert len(labels) == 18
    assert {name for name, value in labels.items() if value} == {"Cardiomegaly", "Emphysema"}


@pytest.mark.parametrize(
    ("sentence", "target", "status"),
    [
        ("Xyzoma was not detected.", "Xyzoma", "absent"),
        ("No foo, bar or baz.", "baz", "absent"),
        ("Foo cannot be excluded.", "foo", "uncertain"),
        ("Foo?", "foo", "uncertain"),
        ("Foo: no", "Foo", "absent"),
        ("Foo has disappeared.", "foo", "absent"),
        ("Mother had foo.", "foo", "family"),
        ("If symptoms of foo occur, return.", "foo", "hypothetical"),
        ("Status post foo.", "foo", "historical"),
        ("There is foo but no bar.", "foo", "present"),
        ("There is foo but no bar.", "bar", "absent"),
        ("No abnormality except foo.", "foo", "present"),
        ("There is no change in the foo.", "foo", "present"),
        ("Foo without bar.", "foo", "present"),
        ("Foo without bar.", "bar", "absent"),
        ("Foo is not without bar.", "bar", "present"),
    ],
)
def test_assertion_of_any_words(parser: ReportParser, sentence: str, target: str, status: str):
    assert parser.assertion(sentence, target) == status


def test_assertion_needs_the_target(parser: ReportParser):
    with pytest.raises(ValueError, match="does not stand in the sentence"):
        parser.assertion("No effusion.", "nodule")


def test_ascites_makes_the_peritoneum_abnormal_and_no_organ(parser: ReportParser):
    parsed = parser.parse(
        "The liver is normal. There is a small amount of perihepatic ascites. No free air."
    )
    states = {name: one.state for name, one in parsed.anatomy_states().items()}
    assert states["peritoneum"] == "abnormal"
    assert states["liver"] == "normal_stated"
    assert {(m.finding, m.status) for m in parsed.findings} == {
        ("ascites", "present"),
        ("pneumoperitoneum", "absent"),
    }


def test_free_fluid_is_where_it_is_said_to_be(parser: ReportParser):
    said = {
        text: {(m.finding, m.status) for m in parser.parse(text).findings}
        for text in (
            "No free fluid.",
            "Free fluid around the spleen.",
            "Free fluid in the left pleural space.",
            "Omental metastases.",
        )
    }
    assert list(said.values()) == [
        {("ascites", "absent")},
        {("ascites", "present")},
        {("pleural_effusion", "present")},
        {("peritoneal_carcinomatosis", "present")},
    ]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("The previously described nodule of the left lung is unchanged.", "lung_nodule:present"),
        ("The previously seen nodule of the left lung is gone.", "lung_nodule:absent"),
        ("Lymph nodes of non-pathological size in both axillae.", ""),
        ("Recanalized umbilical vein.", ""),
        (
            "No lytic or blastic bone lesion.",
            "bone_lytic_lesion:absent bone_sclerotic_lesion:absent",
        ),
        ("Nodular goitre.", "thyroid_nodule:present"),
        ("Gas in the bile ducts.", "pneumobilia:present"),
        ("Ventral hernia containing fat.", "other_abnormality:present"),
        ("Mucus plugging of the bronchi.", "mucus_plugging:present"),
        ("No urinary stones.", "kidney_stone:absent"),
        ("The effusion has been drained completely.", "pleural_effusion:absent"),
        ("Pneumonia less likely than atelectasis.", "atelectasis:uncertain pneumonia:uncertain"),
        ("The patient did not develop a pneumothorax.", "pneumothorax:absent"),
        ("Hydronephrosis has not developed.", "hydronephrosis:absent"),
    ],
)
def test_what_is_said(parser: ReportParser, sentence: str, expected: str):
    found = {f"{m.finding}:{m.status}" for m in parser.parse(sentence).findings}
    assert " ".join(sorted(found)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Partial left nephrectomy.",
        "Status post partial right nephrectomy.",
        "Subtotal nephrectomy.",
        "Nephron-sparing nephrectomy on the left.",
        "Left heminephrectomy.",
        "Condition after partial splenectomy.",
        "Post left partial (nephron-sparing) nephrectomy.",
        "Partial (left) nephrectomy.",
        "Status post left hemi-nephrectomy.",
        "Left partial robotic nephrectomy in 2018.",
        "Robotic-assisted partial laparoscopic right nephrectomy.",
        "Nephrectomy (partial) on the right.",
        "Nephrectomy (left, partial).",
        "Right nephrectomy, partial.",
        "Wedge resection of the spleen.",
        "The left kidney was partially resected.",
        "Partial resection of the left kidney.",
        "Heminephroureterectomy on the left.",
    ],
)
def test_an_operation_that_leaves_a_part_makes_no_organ_absent(parser: ReportParser, text: str):
    parsed = parser.parse(f"FINDINGS: {text}")
    assert not {f.finding for f in parsed.findings} & {"kidney_absent", "spleen_absent"}
    organ = "spleen" if "sple" in text else "kidney"
    assert organ in parsed.sentences[0].anatomies


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("Laparoscopic (left) nephrectomy.", "kidney_absent"),
        ("Total right nephrectomy.", "kidney_absent"),
        ("Partial colectomy and left nephrectomy.", "kidney_absent"),
        ("Subtotal gastrectomy with splenectomy.", "spleen_absent"),
        ("Subtotal gastrectomy, splenectomy.", "spleen_absent"),
        ("Splenectomy, partial gastrectomy.", "spleen_absent"),
        ("Splenectomy (distal pancreatectomy).", "spleen_absent"),
        ("Left nephrectomy. Partial right adrenalectomy.", "kidney_absent"),
        ("Partial nephrectomy on the right and nephrectomy on the left.", "kidney_absent"),
        ("Left nephroureterectomy.", "kidney_absent"),
    ],
)
def test_a_whole_organ_is_gone_beside_a_partial_operation(
    parser: ReportParser, text: str, finding: str
):
    found = {f.finding for f in parser.parse(f"FINDINGS: {text}").findings if f.status == "present"}
    assert finding in found


@pytest.mark.parametrize("operation", ["Partial", "Subtotal", "Fenestrating"])
def test_a_partial_cholecystectomy_leaves_a_gallbladder(parser: ReportParser, operation: str):
    parsed = parser.parse(f"FINDINGS: {operation} cholecystectomy.")
    assert "gallbladder_absent" not in {f.finding for f in parsed.findings}
    assert parsed.sentences[0].anatomies == ("gallbladder",)


def test_what_is_left_of_an_organ_is_abnormal_where_the_other_is_gone(parser: ReportParser):
    parsed = parser.parse("FINDINGS: Radical right nephrectomy. Partial left nephrectomy.")
    said = [(f.finding, f.laterality) for f in parsed.findings if f.status == "present"]
    assert said == [("kidney_absent", "right"), ("kidney_resection", "left")]
