from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from fvlm_data.reports import ParsedReport, ReportParser


def contents(text: str, parsed: ParsedReport) -> list[tuple[str, str]]:
    return [(section.name, text[section.start : section.end]) for section in parsed.sections]


def said(parsed: ParsedReport) -> list[tuple[str, tuple[str, ...]]]:
    return [(sentence.text, sentence.anatomies) for sentence in parsed.sentences]


@pytest.mark.parametrize(
    "text",
    [
        "FINDINGS:\nThe lungs are clear.\nIMPRESSION:\nNormal.",
        "FINDINGS\nThe lungs are clear.\n\nIMPRESSION\nNormal.",
        "Findings: The lungs are clear. Impression: Normal.",
        "findings:\r\nThe lungs are clear.\r\nimpression:\r\nNormal.",
        "FINDINGS The lungs are clear. IMPRESSION Normal.",
        "1. Findings:\nThe lungs are clear.\n2. Impression:\nNormal.",
        "**Findings:** The lungs are clear.\n\n**Impression:** Normal.",
        "<b>Findings:</b> The lungs are clear.\n<b>Impression:</b> Normal.",
        "Findings - The lungs are clear.\nConclusion - Normal.",
        "CT FINDINGS: The lungs are clear.\nOPINION: Normal.",
        "FINDINGS. The lungs are clear. IMPRESSION. Normal.",
        "[FINDINGS] The lungs are clear.\n[IMPRESSION] Normal.",
        "*** FINDINGS ***\nThe lungs are clear.\n*** IMPRESSION ***\nNormal.",
        "FINDINGS\n--------\nThe lungs are clear.\n\nIMPRESSION\n----------\nNormal.",
        "== FINDINGS ==\nThe lungs are clear.\n== IMPRESSION ==\nNormal.",
        "FINDINGS (CHEST): The lungs are clear.\nIMPRESSION (FINAL): Normal.",
        "FINDINGS= The lungs are clear.\nIMPRESSION= Normal.",
        "Findings The lungs are clear.\nImpression Normal.",
        "II. FINDINGS: The lungs are clear.\nIII. IMPRESSION: Normal.",
        "FINDINGS \u2013 The lungs are clear. IMPRESSION \u2013 Normal.",
        "Findings:The lungs are clear.Impression:Normal.",
        "(FINDINGS) The lungs are clear. (IMPRESSION) Normal.",
        "FINDINGS: The lungs are clear.\nRESULT: Normal.",
    ],
)
def test_headers_in_many_forms(parser: ReportParser, text: str):
    assert contents(text, parser.parse(text)) == [
        ("findings", "The lungs are clear."),
        ("impression", "Normal."),
    ]


def test_every_section(parser: ReportParser):
    text = (
        "CLINICAL HISTORY: Cough.\nTECHNIQUE: Axial CT.\nCOMPARISON: None.\n"
        "FINDINGS: Clear.\nIMPRESSION: Normal.\nADDENDUM: Seen again."
    )
    names = [section.name for section in parser.parse(text).sections]
    assert names == [
        "clinical_information", "technique", "comparison", "findings", "impression", "other",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "The following findings were discussed. The impression is good.",
        "In comparison with the earlier study the nodule has grown.",
        "Findings are consistent with pneumonia.",
        "Contrast enhancement of the liver is normal.",
    ],
)
def test_words_of_headers_in_a_sentence_open_no_section(parser: ReportParser, text: str):
    parsed = parser.parse(text)
    assert [section.name for section in parsed.sections] == ["findings"]
    assert not parsed.headers


def test_text_before_the_findings_is_other(parser: ReportParser):
    text = "CT of the chest\nFINDINGS: Clear."
    assert contents(text, parser.parse(text)) == [
        ("other", "CT of the chest"),
        ("findings", "Clear."),
    ]


def test_sub_headers_tell_the_anatomy_of_what_follows(parser: ReportParser):
    text = (
        "FINDINGS:\nLUNGS AND AIRWAYS: Clear. No nodule.\nLiver and biliary: Enlarged.\n"
        "UPPER ABDOMEN: Unremarkable.\nSpleen: Normal. The aorta is ectatic."
    )
    assert said(parser.parse(text)) == [
        ("Clear.", ("airway", "lung")),
        ("No nodule.", ("airway", "lung")),
        ("Enlarged.", ("bile_duct", "gallbladder", "liver")),
        ("Unremarkable.", ()),
        ("Normal.", ("spleen",)),
        ("The aorta is ectatic.", ("aorta",)),
    ]


def test_side_of_a_sub_header(parser: ReportParser):
    parsed = parser.parse("RIGHT KIDNEY: Cyst of 3 cm.\nLEFT KIDNEY: 4 mm stone.")
    assert [(m.finding, m.laterality, m.size_mm) for m in parsed.findings] == [
        ("kidney_cyst", "right", 30.0),
        ("kidney_stone", "left", 4.0),
    ]


def test_a_section_ends_a_sub_header(parser: ReportParser):
    parsed = parser.parse("FINDINGS:\nLIVER: Normal.\nIMPRESSION:\nNormal examination.")
    assert said(parsed)[-1] == ("Normal examination.", ())


def test_sentence_before_lends_its_anatomy(parser: ReportParser):
    parsed = parser.parse(
        "There is a cyst in the right kidney. It measures 4 mm. The spleen is normal. "
        "Follow-up is recommended."
    )
    assert said(parsed) == [
        ("There is a cyst in the right kidney.", ("kidney",)),
        ("It measures 4 mm.", ("kidney",)),
        ("The spleen is normal.", ("spleen",)),
        ("Follow-up is recommended.", ()),
    ]


def test_nothing_is_lent_over_a_header(parser: ReportParser):
    parsed = parser.parse("FINDINGS: Cyst in the liver.\nIMPRESSION: It is benign.")
    assert said(parsed)[-1][1] == ()


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Nodule of 1.5 cm. No effusion.", ["Nodule of 1.5 cm.", "No effusion."]),
        ("Clear lungs.The heart is normal.", ["Clear lungs.", "The heart is normal."]),
        ("1. Nodule. 2. Cyst.", ["1. Nodule.", "2. Cyst."]),
        ("- Nodule\n- Cyst", ["- Nodule", "- Cyst"]),
        ("The lungs are\nclear.", ["The lungs are\nclear."]),
        ("No nodule\nNo effusion", ["No nodule", "No effusion"]),
        ("Approx. 5 mm nodule.", ["Approx. 5 mm nodule."]),
        ("Seen by Dr. Smith today.", ["Seen by Dr. Smith today."]),
        ("Pneumonia? Effusion?", ["Pneumonia?", "Effusion?"]),
        ("Nodule, ca. 3 mm, vs. scar.", ["Nodule, ca. 3 mm, vs. scar."]),
        ("Clear lungs<br>Normal heart", ["Clear lungs<br>", "Normal heart"]),
        ("Liver, spleen,\nPancreas are normal.", ["Liver, spleen,\nPancreas are normal."]),
        ("no nodule. no effusion.", ["no nodule.", "no effusion."]),
        ("Size 3 x 4 mm. (Series 3.) Stable!", ["Size 3 x 4 mm.", "(Series 3.)", "Stable!"]),
    ],
)
def test_sentence_boundaries(parser: ReportParser, text: str, sentences: list[str]):
    assert [sentence.text for sentence in parser.parse(text).sentences] == sentences


def test_columns_in_any_order_make_one_text(parser: ReportParser):
    columns = {
        "Impressions_EN": "Hiatal hernia.",
        "ClinicalInformation_EN": "Pneumonia?",
        "Findings_EN": "The lungs are clear.",
        "Technique_EN": "",
    }
    text, parsed = parser.parse_columns(columns)
    again, _ = parser.parse_columns(dict(reversed(columns.items())))

    assert text == again
    assert contents(text, parsed) == [
        ("clinical_information", "Pneumonia?"),
        ("findings", "The lungs are clear."),
        ("impression", "Hiatal hernia."),
    ]
    assert sum(parsed.ct_rate_labels().values()) == 1


def test_unknown_column_is_named(parser: ReportParser):
    with pytest.raises(InputError, match="'Remarks'"):
        parser.parse_columns({"Remarks": "none"})


SUB_HEADERS = {
    "liver": (
        "LIVER: ", "Liver : ", "Liver:\n", "Liver - ", "Liver \u2013 ", "Liver \u2014 ",
        "- Liver - ",
        "LIVER\n", "Liver\n", "Liver.\n", "LIVER. ", "LIVER ", "Liver\t", "Liver = ", "1. Liver: ",
        "2) Liver: ", "(3) Liver: ", "a) Liver: ", "IV. Liver: ", "* Liver: ", "\u2022 Liver: ",
        "## Liver\n", "### LIVER\n", "**Liver** ", "**Liver:** ", "**Liver**: ", "**Liver** - ",
        "**LIVER**\n", "__Liver__: ", "_Liver_: ", "[Liver] ", "[LIVER]\n", "{Liver} ",
        "<b>Liver</b> ", "<b>Liver:</b> ", "<u>Liver</u>: ", "<b>LIVER</b><br>",
        "<p><strong>Liver</strong>: ", "| Liver | ", "Liver (segment VII): ", "Liver (image 45): ",
        "Liver findings: ", "Evaluation of the liver: ", "Findings in the liver: ",
        "Abdomen: Liver: ", "FINDINGS: Liver: ",
    ),
    "bile_duct,gallbladder,liver": (
        "Liver and biliary tree: ", "Hepatobiliary: ", "HEPATOBILIARY SYSTEM\n", "Liver/biliary - ",
    ),
    "bone,soft_tissue": ("Bones and soft tissues: ", "Soft tissues/bones - "),
    "lung,pleura": (
        "Lungs/Pleura: ", "Lungs & pleura - ", "LUNGS AND PLEURA\n", "Lungs + pleura: ",
    ),
    "bladder,kidney": (
        "Kidneys, ureters, bladder (KUB): ", "KIDNEYS/URETERS/BLADDER\n",
        "Kidneys, ureters and bladder \u2013 ",
    ),
    "kidney": (
        "Kidneys (both): ", "GU: ", "GENITOURINARY SYSTEM: ", "Left kidney - ", "RIGHT KIDNEY\n",
    ),
    "vessel": ("Abdominal vessels: ", "Blood vessels - "),
    "lymph_node": ("Abdominal/pelvic lymph nodes: ",),
    "bone": ("MSK: ", "Osseous structures - ", "BONES\n"),
    "": (
        "Other findings: ", "OTHER\n", "Others - ", "Remaining organs: ", "Remainder: ",
        "Further findings: ", "Additional: ", "Abdomen/Pelvis: ", "Pelvis - ", "CT CHEST:\n",
        "Abdomen and pelvis CT: ", "Visualized portions of the upper abdomen: ",
        "Limited evaluation of the upper abdomen: ", "Tubes, lines, devices: ",
        "Upper abdominal structures - ", "Pelvic viscera\n", "Retroperitoneum: ",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("title", "anatomies"),
    [(title, named) for named, titles in SUB_HEADERS.items() for title in titles],
)
def test_forms_of_sub_headers(parser: ReportParser, title: str, anatomies: str):
    text = f"FINDINGS:\nStomach: Full.\n{title}Smooth outline. All well.\nSpleen: Normal."
    parsed = parser.parse(text)
    named = tuple(anatomies.split(",")) if anatomies else ()
    assert said(parsed) == [
        ("Full.", ("stomach",)),
        ("Smooth outline.", named),
        ("All well.", named),
        ("Normal.", ("spleen",)),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Liver, spleen\nand pancreas are normal.",
        "The liver - a large organ - is smooth.",
        "Liver-spleen ratio is high.",
        "Lungs clear.",
        "The bladder wall: thickened.",
        "Left: Nothing.",
        "Upper pole: Nothing.",
        "Without contrast\nNothing.",
        "Liver cyst: unchanged.",
        "Ascites: none.",
        "Free fluid - a small amount.",
        "Free fluid: small amount in the pelvis.",
    ],
)
def test_what_is_no_sub_header(parser: ReportParser, text: str):
    assert not parser.parse(f"FINDINGS:\n{text}").headers[1:]


def test_a_side_alone_stays_with_its_sub_header(parser: ReportParser):
    parsed = parser.parse("FINDINGS:\nKidneys:\nRight: Cyst of 3 cm.\nLeft: 4 mm stone.")
    assert [(m.finding, m.laterality) for m in parsed.findings] == [
        ("kidney_cyst", "right"),
        ("kidney_stone", "left"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ascites: None.", ("ascites", "absent")),
        ("Free fluid: small amount in the pelvis.", ("ascites", "present")),
        ("ASCITES: Ascites is present.", ("ascites", "present")),
        ("Ascites: mild, perihepatic.", ("ascites", "present")),
        ("Ascites - none.", ("ascites", "absent")),
        ("Ascites.", ("ascites", "present")),
        ("Ascites", ("ascites", "present")),
        ("Free fluid in the left pleural space.", ("pleural_effusion", "present")),
    ],
)
def test_a_finding_with_a_title_of_its_own_is_told(
    parser: ReportParser, text: str, expected: tuple[str, str]
):
    parsed = parser.parse(f"FINDINGS:\nLiver: Normal.\n{text}")
    assert {(m.finding, m.status) for m in parsed.findings} == {expected}


@pytest.mark.parametrize(
    "title", ["CT Chest\n", "# CT of the abdomen with contrast\n", "**Chest**\n"]
)
def test_the_title_of_a_report_is_no_sub_header(parser: ReportParser, title: str):
    parsed = parser.parse(f"{title}Lungs: Clear.")
    assert [header.anatomies for header in parsed.headers] == [("lung",)]


def test_what_was_examined_is_no_sub_header(parser: ReportParser):
    text = "EXAM:\nCT chest with contrast\nHISTORY:\nLiver - metastases?\nFINDINGS:\nLiver - Clear."
    parsed = parser.parse(text)
    assert [header.anatomies for header in parsed.headers if not header.section] == [("liver",)]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("History: loin pain.\nRight kidney: Mild hydronephrosis.\nLeft kidney: No stone.", "Mild"),
        ("Clinical: fall. Exclude bleed.\nLungs: clear.\nBones: no fracture.", "clear"),
        ("Clinical: fall.\nLungs: emphysema.\nLiver: cyst 2 cm.\nPelvis: hernia.", "emphysema"),
        ("History: breast cancer.\n\nThe lungs are clear. No effusion. Liver cyst.", "The lungs"),
        ("History: breast cancer.\nNo nodule.\nNo effusion. Lungs clear. Liver cyst.", "No nodule"),
        ("Indication: ?PE\nNo PE. No effusion. Lungs clear.", "No PE"),
        ("Comparison: 11/2023\nRight breast absent. No axillary lymphadenopathy.", "Right breast"),
        ("COMPARISON: none\n\nLeft lower lobe consolidation. Small effusion.", "Left lower"),
        ("COMPARISON: None.\nLungs: clear.\nPleura: effusion.", "clear"),
        ("Technique: CT with contrast.\n\nSmall effusion. Emphysema.", "Small effusion"),
        ("Dose: DLP 300.\nLiver: normal. Gallstones.", "normal"),
        ("CT KUB\nTechnique: no contrast\n1. Small effusion.\n2. Emphysema.", "1. Small"),
    ],
)
@pytest.mark.parametrize("end", ["", "\nImpression: As above.", "\n\nCONCLUSION:\nAs above."])
def test_findings_without_a_header_begin_where_a_body_does(
    parser: ReportParser, text: str, first: str, end: str
):
    parsed = parser.parse(text + end)
    body = [one for one in parsed.sentences if one.section == "findings" and "CT" not in one.text]
    assert text[body[0].start :].startswith(first)
    assert text.endswith(body[-1].text)
    asked = [one for one in parsed.sentences if one.section == "clinical_information"]
    assert all(one.end <= body[0].start for one in asked)


@pytest.mark.parametrize(
    "text",
    [
        "History: lung cancer with liver metastases.\nHypertension. Gallstones.",
        "History: breast cancer.\n\nKnown liver metastases and pleural effusion.",
        "Indication: r/o PE\nr/o pneumonia",
        "Indication: rule out pneumonia\n? pleural effusion\n?PE",
        "Indication:\nNo pneumothorax on radiograph. Pleural effusion?",
        "History: No fever. No trauma.\nNo history of malignancy.",
        "History:\nAbdomen: pain\nChest: effusion on x-ray",
        "Technique: CT with contrast.\nNo oral contrast.",
        "COMPARISON: CT of 2019,\nwhich showed a 5 mm nodule.",
        "COMPARISON:\nCT of 2019 with a 5 mm nodule.",
    ],
)
def test_what_was_asked_or_known_is_no_body(parser: ReportParser, text: str):
    parsed = parser.parse(text + "\nImpression: Gallstones.")
    assert "findings" not in [section.name for section in parsed.sections]


def test_no_body_begins_where_a_header_opens_the_findings(parser: ReportParser):
    text = "HISTORY: cancer.\n\nLungs are clear. No effusion.\nFINDINGS: Effusion."
    sections = [section.name for section in parser.parse(text).sections]
    assert sections == ["clinical_information", "findings"]
