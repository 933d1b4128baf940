"""A denial and a statement in one sentence: each is read as it stands, however they are joined."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from fvlm_data.reports import ReportParser

DENIED = "hydronephrosis"
DENIALS = (
    *("no {}", "there is no {}", "no evidence of {}", "{} is not seen", "negative for {}"),
    *("no {} is seen", "{} is absent", "no {} or lymphadenopathy", "the examination shows no {}"),
    *("{} has resolved", "the {} is no longer seen", "without {}"),
)
JOINTS = (", ", "; ", " and ", ", and ", " but ", ", but ", ". ", " - ", " while ", ", however, ")
STATEMENTS = {
    "the liver is enlarged": "hepatomegaly",
    "the heart is mildly enlarged": "cardiomegaly",
    "the right kidney contains a stone": "kidney_stone",
    "gallbladder has stones": "gallstone",
    "both kidneys show cysts": "kidney_cyst",
    "there is a small hiatal hernia": "hiatal_hernia",
    "a 6 mm nodule is seen in the right lung": "lung_nodule",
    "a 2 cm cyst is present in the liver": "liver_cyst",
    "the spleen measures 15 cm and is enlarged": "splenomegaly",
    "the lungs demonstrate consolidation": "consolidation",
}
"""Sentences that cannot be items of a list of what is denied."""


@pytest.fixture(scope="module")
def parser() -> ReportParser:
    return ReportParser()


def sentence(*parts: str) -> str:
    first, joint, second = parts
    second = second[0].upper() + second[1:] if joint == ". " else second
    return f"{first[0].upper()}{first[1:]}{joint}{second}."


@pytest.mark.parametrize("denied_first", [True, False], ids=["denied first", "denied last"])
def test_a_denial_and_a_statement(parser: ReportParser, denied_first: bool):
    wrong = []
    for denial, joint, (statement, finding) in product(DENIALS, JOINTS, STATEMENTS.items()):
        said = denial.format(DENIED)
        order = (said, joint, statement) if denied_first else (statement, joint, said)
        text = sentence(*order)
        found = parser.parse(f"FINDINGS: {text}").findings
        denied = {one.status for one in found if one.finding == DENIED}
        stated = {one.status for one in found if one.finding == finding}
        if denied != {"absent"} or stated != {"present"}:
            wrong.append((text, sorted(denied), sorted(stated)))
    assert wrong == []


LISTED = {
    "pneumothorax": "pneumothorax", "pleural effusion": "pleural_effusion",
    "consolidation": "consolidation", "ascites": "ascites", "lymphadenopathy": "lymphadenopathy",
}  # fmt: skip
LISTS = (
    *("{}, {}, or {}", "{}, {} or {}", "{}, {}, and {}", "{} or {} or {}", "{} and {} or {}"),
    *("{}/{}/{}", "suspicious {}, large {}, or {}", "acute {}, {}, or new {}"),
)
LISTS_DENIED = (
    *("no {}", "no evidence of {}", "there is no {}", "no {} is seen", "{} are not seen"),
    *("no {}, but there is a hiatal hernia", "hiatal hernia without {}", "no {}; hiatal hernia"),
    *("no {}, hiatal hernia is unchanged", "hiatal hernia is unchanged, no {}", "without {}"),
    *("no definite {} within the limits of this examination", "{}: none"),
)


def test_each_item_of_a_list_is_denied_and_nothing_else(parser: ReportParser):
    wrong = []
    some = list(permutations(LISTED, 3))[::5]
    for names, form, denial in product(some, LISTS, LISTS_DENIED):
        said = denial.format(form.format(*names))
        found = parser.parse(f"FINDINGS: {said[0].upper()}{said[1:]}.").findings
        told = {one.finding: one.status for one in found}
        expected = dict.fromkeys((LISTED[name] for name in names), "absent")
        if "hiatal" in denial:
            expected["hiatal_hernia"] = "present"
        if told != expected:
            wrong.append((said, told))
    assert wrong == []
