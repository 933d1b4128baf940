"""Plain sentences in a grid: finding by wording by joint by order, each read as it stands."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from fvlm_data.reports import ReportParser

FINDINGS = {
    "pleural effusion": "pleural_effusion",
    "pneumothorax": "pneumothorax",
    "consolidation": "consolidation",
    "ascites": "ascites",
    "hiatal hernia": "hiatal_hernia",
}
PAIRS = list(permutations(FINDINGS.items(), 2))[::3]
P, A, H, U = "present", "absent", "historical", "uncertain"
TOO = {"liver_cyst": {"liver_hypodense_lesion"}, "kidney_cyst": {"kidney_hypodense_lesion"}}
"""What a sentence of a finding may tell beside it."""


@pytest.fixture(scope="module")
def parser() -> ReportParser:
    return ReportParser()


def told(parser: ReportParser, text: str) -> dict[str, set[str]]:
    """Findings of one line, each with what is told of it."""
    made: dict[str, set[str]] = {}
    line = f"{text[0].upper()}{text[1:]}" + ("" if text.endswith("?") else ".")
    for one in parser.parse(f"FINDINGS: {line}").findings:
        made.setdefault(one.finding, set()).add(one.status)
    return made


def misread(parser: ReportParser, text: str, expected: dict[str, str]) -> list[object]:
    read = told(parser, text)
    for finding in expected:
        for more in TOO.get(finding, ()):
            read.pop(more, None)
    return [] if read == {f: {s} for f, s in expected.items()} else [(text, read)]


ONE = {
    P: (
        *("new {}", "interval development of {}", "{} has increased", "{} is unchanged"),
        *("{} has decreased but is still present", "{}, not seen previously, is now present"),
        *("the {} was not present on the prior study", "{} has not resolved", "residual {}"),
        *("{} has partially resolved", "no change in the {}", "{} persists", "known {}"),
        *("normal examination except for {}", "no abnormality excepting {}", "{} only"),
        *("no acute findings save for {}", "{}, which is unchanged", "findings of {}"),
        *("the {} that was not seen on the last study is now visible", "consistent with {}"),
    ),
    A: (
        *("previously seen {} is no longer visible", "interval resolution of {}", "resolved {}"),
        *("the {} seen on the prior examination has resolved", "{} is not redemonstrated"),
        *("the previously noted {}, which was large, is no longer seen", "no residual {}"),
        *("the {}, which was seen previously, has resolved", "{} has not recurred"),
        *("no history of {}", "{} is unlikely", "nothing to suggest {}", "unlikely {}"),
        *("not suspicious for {}", "no findings suspicious for {}", "{} was ruled out"),
        *("none of the following: {}", "- ve {}"),
    ),
    H: ("history of {}", "patient with a history of {}", "h/o {}", "s/p {}", "prior {}"),
    U: (
        *("possible {}", "{} cannot be excluded", "suspicious for {}", "{} is hard to exclude"),
        *("{}?", "{} versus artifact", "rule out {}", "{} could not be ruled out", "favor {}"),
        *("differential diagnosis: {}", "raises concern for {}", "{} is a consideration"),
    ),
}


@pytest.mark.parametrize("status", ONE)
def test_one_finding(parser: ReportParser, status: str):
    wrong: list[object] = []
    for form, (name, finding) in product(ONE[status], FINDINGS.items()):
        wrong += misread(parser, form.format(name), {finding: status})
    assert wrong == []


TWO = (
    *((form, A, P) for form in ("{} has resolved, {} is unchanged", "resolved {}, new {}")),
    *((form, A, P) for form in ("interval resolution of {} and development of {}",)),
    *((form, A, P) for form in ("no {} and unchanged {}", "no {} and {} has increased")),
    *((form, A, P) for form in ("there is no {}, new {}", "no {} is seen, small {}")),
    *((form, A, P) for form in ("no {} and previously seen {} is unchanged", "no {}, {} present")),
    *((form, A, P) for form in ("no {} {} present", "{}: none and {} is seen", "- ve {}, + ve {}")),
    *((form, A, P) for form in ("{}: none - {} are seen", "{} resolved and {} is seen")),
    *((form, A, P) for form in ("{} unlikely, {} present", "no {} and interval increase in {}")),
    *((form, P, A) for form in ("{} is unchanged, {} has resolved", "{} is seen, {} resolved")),
    *((form, P, A) for form in ("{} unchanged and {} not seen", "{} present {} absent")),
    *((form, P, A) for form in ("{} is seen, {} is not", "{} present, {} unlikely")),
    *((form, P, A) for form in ("{} is seen, {}: none", "{} is seen and {}: none")),
    *((form, P, A) for form in ("small {}, {}: none", "{}: yes, {}: no", "{} +ve, {} -ve")),
    *((form, P, A) for form in ("known {}, no {}", "{} which is unchanged, and no {}")),
    *((form, H, P) for form in ("history of {}, {} is seen", "history of {} with new {}")),
    *((form, H, A) for form in ("history of {}, no {}", "status post {}, no {}")),
    *((form, A, H) for form in ("no {} in this patient with a history of {}",)),
    *((form, A, H) for form in ("no {}, history of {}", "no evidence of {} s/p {}")),
    *((form, A, U) for form in ("no {}, possible {}", "no {} and possible {}")),
    *((form, A, U) for form in ("no {} is seen and findings suggestive of {}",)),
    *((form, A, U) for form in ("no {}, findings suspicious for {}",)),
    *((form, U, A) for form in ("possible {}, no {}", "findings suggestive of {}, {} is absent")),
    *((form, A, A) for form in ("{} and {} have resolved", "no {}, suspicious for {}")),
    *((form, H, H) for form in ("history of {} and {}",)),
)


def test_two_findings(parser: ReportParser):
    wrong: list[object] = []
    for (form, first, second), ((a, i), (b, j)) in product(TWO, PAIRS):
        wrong += misread(parser, form.format(a, b), {i: first, j: second})
    assert wrong == []


SUBJECTS: dict[str, dict[str, str]] = {
    "the liver, spleen and both kidneys are enlarged": {"hepatomegaly": P, "splenomegaly": P},
    "the heart and liver are enlarged": {"cardiomegaly": P, "hepatomegaly": P},
    "the enlarged liver is noted": {"hepatomegaly": P},
    "the enlarged spleen is again seen": {"splenomegaly": P},
    "in the liver a cyst is seen": {"liver_cyst": P},
    "in the lungs nodules are seen": {"lung_nodule": P},
    "on the right a kidney stone is seen": {"kidney_stone": P},
    "in the right kidney there is a stone": {"kidney_stone": P},
    "findings suggestive of pneumonia": {"pneumonia": U},
    "findings compatible with pneumonia": {"pneumonia": P},
}
JOINTS = (", ", "; ", " and ", ", and ", ", but ", ". ")


def test_what_stands_behind_a_denial(parser: ReportParser):
    wrong: list[object] = []
    denials = ("no ascites", "no ascites is seen", "there is no ascites", "no evidence of ascites")
    for denial, joint, (text, expected) in product(denials, JOINTS, SUBJECTS.items()):
        behind = f"{text[0].upper()}{text[1:]}" if joint == ". " else text
        wrong += misread(parser, f"{denial}{joint}{behind}", {"ascites": A, **expected})
    assert wrong == []


ITEMS = {**FINDINGS, "lung nodule": "lung_nodule"}
ITEMS.pop("hiatal hernia")  # seldom denied: a list without "or" does not go on to it
DENIED = (
    *("{}, {}, {}: none", "{}, {}, {} - none", "{}, {}, {}: not seen", "{}, {}, {}: absent"),
    *("{}, {} and {}: no", "{}/{}/{}: none", "{}, {} or {}? No", "negative for {}, {}, {}"),
    *("none of the following: {}, {}, {}", "no: {}, {}, {}", "{}: no, {}: no, {}: no"),
    *("{} (-), {} (-), {} (-)", "{} -ve, {} -ve, {} -ve", "neither {}, {} nor {} is seen"),
)
FIRST_IS_THERE = (
    *("{} present, {}, {}: none", "{}: present. {}, {}: none", "small {}, no {} or {}"),
    *("{} is present; {}, {} none", "{} is seen, {} and {} are not", "+ve {}, -ve {}, -ve {}"),
    *("{}? Yes. {}? No. {}? No", "{} present {} absent {} absent"),
)


def test_answers_of_lists(parser: ReportParser):
    wrong: list[object] = []
    for names in list(permutations(ITEMS, 3))[::9]:
        absent = {ITEMS[name]: A for name in names}
        capitals = [f"{name[0].upper()}{name[1:]}" for name in names]
        for form in (*DENIED, *FIRST_IS_THERE):
            text = form.format(*(capitals if ". {}" in form else names))
            there = {ITEMS[names[0]]: P} if form in FIRST_IS_THERE else {}
            wrong += misread(parser, text, {**absent, **there})
    assert wrong == []


DICTATED: dict[str, dict[str, str]] = {
    "lungs clear": {},
    "no pleural effusion": {"pleural_effusion": A},
    "liver normal": {},
    "gallstones present": {"gallstone": P},
    "small hiatal hernia": {"hiatal_hernia": P},
    "kidneys normal no hydronephrosis": {"hydronephrosis": A},
    "5 mm nodule right upper lobe": {"lung_nodule": P},
    "bowel unremarkable": {},
    "spleen enlarged": {"splenomegaly": P},
}


@pytest.mark.parametrize("joint", [" ", ", "], ids=["no mark", "commas"])
def test_dictation(parser: ReportParser, joint: str):
    wrong: list[object] = []
    for parts in list(permutations(DICTATED, 3))[::2]:
        expected = {f: s for part in parts for f, s in DICTATED[part].items()}
        wrong += misread(parser, joint.join(parts), expected)
    assert wrong == []


TITLES = {
    "Liver": ("cyst", "liver_cyst"),
    "Kidneys": ("cyst", "kidney_cyst"),
    "Lungs": ("small nodule", "lung_nodule"),
    "Thyroid": ("small nodule", "thyroid_nodule"),
}


def test_titles_behind_any_mark(parser: ReportParser):
    wrong: list[object] = []
    for (a, (one, i)), (b, (other, j)) in permutations(TITLES.items(), 2):
        for mark in (". ", "; ", ", ", "\n"):
            wrong += misread(parser, f"{a}: normal{mark}{b}: {other}", {j: P})
            wrong += misread(parser, f"{a}: {one}{mark}{b}: no {other.split()[-1]}", {i: P, j: A})
    assert wrong == []


SIDED = {
    "{f} only on the {s}": {("present", "s")},
    "no {s} {f}, {o} {f} is present": {("absent", "s"), ("present", "o")},
    "no {f} on the {s} and small {f} on the {o}": {("absent", "s"), ("present", "o")},
    "the {f} on the {s} has resolved, on the {o} it persists": {("absent", "s"), ("present", "o")},
    "{s} {f} is larger than the {o}": {("present", "s")},
    "{s} {f} unchanged, {o} {f} resolved": {("present", "s"), ("absent", "o")},
    "{s} {f} has resolved, new {o} {f}": {("absent", "s"), ("present", "o")},
}


def test_sides_of_what_differs(parser: ReportParser):
    wrong = []
    names = {"pleural effusion": "pleural_effusion", "kidney stone": "kidney_stone"}
    for (form, expected), name, sides in product(
        SIDED.items(), names, (("left", "right"), ("right", "left"))
    ):
        text = form.format(f=name, s=sides[0], o=sides[1])
        found = parser.parse(f"FINDINGS: {text[0].upper()}{text[1:]}.").findings
        read = {(one.finding, one.status, one.laterality) for one in found}
        side = {"s": sides[0], "o": sides[1]}
        if read != {(names[name], status, side[at]) for status, at in expected}:
            wrong.append((text, read))
    assert wrong == []


SIZED = (
    *("{} measures 8 mm, previously 5 mm", "{} now measures 8 mm compared to 5 mm"),
    *("{} now measures 8 mm compared to 5 mm on the prior study", "increase in {} from 5 to 8 mm"),
    *("{} is 8 mm in size, 5 mm in the previous study", "previously 5 mm {} now measures 8 mm"),
    *("increase in size of {} from 5 to 8 mm", "the {} which measured 5 mm now measures 8 mm"),
)


def test_sizes_with_earlier_ones(parser: ReportParser):
    wrong = []
    names = {"right pulmonary nodule": "lung_nodule", "splenic cyst": "spleen_cyst"}
    for form, name in product(SIZED, names):
        text = form.format(name)
        found = parser.parse(f"FINDINGS: {text[0].upper()}{text[1:]}.").findings
        read = [(one.finding, one.status, one.size_mm, one.prior_size_mm) for one in found]
        if read != [(names[name], "present", 8, 5)]:
            wrong.append((text, read))
    assert wrong == []


ALONE: dict[str, dict[str, str]] = {
    "small kidney stone": {"kidney_stone": P},
    "no effusion, liver cyst increased": {"pleural_effusion": A, "liver_cyst": P},
    "no liver cyst, pneumothorax increased": {"liver_cyst": A, "pneumothorax": P},
    "liver enlarged no pleural effusion": {"hepatomegaly": P, "pleural_effusion": A},
    "heart normal size no effusion lungs clear": {"pleural_effusion": A},
    "ectatic aorta, no aneurysm": {"aortic_aneurysm": A},
    "kidneys: mild fullness, no hydronephrosis": {"hydronephrosis": A},
    "prior cholecystectomy and ascites": {"gallbladder_absent": P, "ascites": P},
    "no mass in the liver and the spleen is enlarged": {"liver_lesion": A, "splenomegaly": P},
    "lymph nodes: none larger than 10 mm": {},
}


@pytest.mark.parametrize("text", ALONE)
def test_sentence(parser: ReportParser, text: str):
    read = told(parser, text)
    expected = {f: {s} for f, s in ALONE[text].items() if f != "liver_lesion"}
    assert {f: s for f, s in read.items() if f in expected or P in s} == expected


def test_sizes_behind_a_title_of_nodes(parser: ReportParser):
    found = parser.parse("FINDINGS: Lymph nodes: right hilar 14 mm, subcarinal 6 mm.").findings
    assert [(one.finding, one.laterality, one.size_mm) for one in found] == [
        ("lymphadenopathy", "right", 14), ("visible_lymph_node", "right", 14),
        ("visible_lymph_node", None, 6),
    ]  # fmt: skip
