"""Wordings that were once read wrongly, by kind."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from fvlm_data.reports.language.layout import laid_out, layout
from fvlm_data.reports.language.readable import too_long, unread
from tests.reports.kinds import KindCase, differences, kind_cases

if TYPE_CHECKING:
    from fvlm_data.reports import ReportParser

CASES = kind_cases()


def test_each_is_there_once():
    assert len({case.text for case in CASES}) == len(CASES) >= 190


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.text[:50]!a}")
def test_kind(parser: ReportParser, case: KindCase):
    assert differences(parser.parse(case.text), case.expected) == []


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.xfail(strict=True)] if case.known else [])
        for lot in ("third_lot.tsv", "fourth_lot.tsv")
        for case in kind_cases(lot)
    ],
    ids=lambda case: f"{case.kind}: {case.text[:50]!a}",
)
def test_third_lot(parser: ReportParser, case: KindCase):
    assert differences(parser.parse(case.text), case.expected) == []


def test_sides_in_turn_are_mentions_of_their_own_degree(parser: ReportParser):
    parsed = parser.parse("Moderate right and mild left pleural effusions.")
    told = {(m.laterality, m.severity, parsed.sentences[0].text[m.start]) for m in parsed.findings}
    assert told == {("right", "moderate", "r"), ("left", "mild", "l")}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Kein Pleuraerguss. Kein Pneumothorax. Leber unauffällig.", "language_not_covered"),
        ("Pas de pneumothorax. Foie normal.", "language_not_covered"),
        ("未见气胸。双肺未见结节。", "language_not_covered"),
        ("Dictation not available.", "no_report"),
        ("TEST", "no_report"),
        ("This is a test report.", "no_report"),
        ("SCREENING MAMMOGRAM. No suspicious mass. BI-RADS 1.", "other_examination"),
        ("Ultrasound of the abdomen. Gallstones.", "other_examination"),
        ("MRI abdomen. Comparison: CT of 2019. Liver normal.", "other_examination"),
        ("MAMMOGRAM. Comparison CT chest. No mass.", "other_examination"),
        ("Ultrasound abdomen, prior CT. Liver normal.", "other_examination"),
        ("EXAM: MRI of the liver.\nCOMPARISON: CT of 2019.\nFINDINGS: Cyst.", "other_examination"),
        ("CT after ultrasound. Gallstones.", None),
        ("Nodule in the right lobe. Recommend MRI to exclude metastasis.", None),
        ("MRI is recommended. Lesion in the liver.", None),
        ("COMPARISON: Chest radiograph. Multidetector axial images. No nodule.", None),
        ("Gallstones as on ultrasound.", None),
        ("History of abnormal colonoscopy. Helical scan. Liver normal.", None),
        ("CHEST\nINDICATION: Abnormal x-ray.\nFINDINGS: Nodule.", None),
        ("N/A", "no_report"),
        (".", "no_report"),
        ("FINDINGS: none. Report not available yet", "no_report"),
        ("FINDINGS:\nLungs:\nPleura:\nIMPRESSION:", "no_report"),
        ("Findings: ___\nImpression: ___", "no_report"),
        ("FINDINGS: N/A\nIMPRESSION: N/A", "no_report"),
        ("FINDINGS: none of note. Lungs clear.", None),
        ("Test of patency: lungs clear. No effusion.", None),
        ("No pneumothorax. Small effusion. Kein Erguss.", None),
        ("No pneumothorax.", None),
    ],
)
def test_what_is_no_report_of_ours(parser: ReportParser, text: str, reason: str | None):
    why = unread(text, parser.parse(text))
    assert (why.reason if why else None) == reason


@pytest.mark.parametrize(
    "text", ["Liver: [ ] normal", "[ ] normal\n[x] Gallstones", "Liver:\n[ ] normal\n[ ] enlarged"]
)
def test_a_verdict_that_is_not_ticked_says_nothing(parser: ReportParser, text: str):
    parsed = parser.parse(f"FINDINGS: {text}")
    assert parsed.anatomy_states()["liver"].state == "not_mentioned"
    assert not parsed.normal


@pytest.mark.parametrize("row", ["a [ ]", ": [ ]", "[ ] A. ", "(Y/N)", "x: no / yes; ", "A ", "["])
def test_rows_of_many_boxes_take_no_long(parser: ReportParser, row: str):
    start = time.process_time()
    laid_out(row * 20_000 + " [x]", layout(parser.vocabulary))
    assert time.process_time() - start < 2


def test_a_foreign_sentence_is_listed_and_tells_nothing(parser: ReportParser):
    parsed = parser.parse("Small left effusion. Kein Pneumothorax. Leber normal.")
    assert [sentence.language for sentence in parsed.sentences][1] == "de"
    assert parsed.sentences[1].anatomies == ()
    assert all(mention.sentence != 1 for mention in parsed.findings)


def test_texts_that_are_too_long_are_told():
    assert too_long("a" * 1_000_000) is None
    why = too_long("a" * 1_000_001)
    assert why is not None
    assert why.reason == "too_long"


@pytest.mark.parametrize(
    ("text", "label", "enlarged"),
    [
        ("Small mediastinal lymph nodes are seen.", 1, False),
        ("Mediastinal lymph node with a short axis of 12 mm.", 1, True),
        ("Mediastinal lymph nodes with a short axis below 1 cm are seen.", 1, False),
        ("No lymph node was detected.", 0, False),
        ("Lymph nodes are unremarkable.", 0, False),
    ],
)
def test_lymph_nodes_by_label_set(parser: ReportParser, text: str, label: int, enlarged: bool):
    parsed = parser.parse(text)
    assert parsed.ct_rate_labels()["Lymphadenopathy"] == label
    stated = {m.finding for m in parsed.findings if m.status == "present"}
    assert ("lymphadenopathy" in stated) == enlarged
