"""Count, location, change, contradictions, misspellings, implants and plaques at their sites."""

from __future__ import annotations

import pytest

from fvlm_data.errors import ConfigError
from fvlm_data.reports import ReportParser
from fvlm_data.reports.language.phrasebook import phrasebook
from fvlm_data.vocabulary import Vocabulary
from fvlm_data.vocabulary.phrases import expand

EN = Vocabulary.load()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Two nodules in the right lung.", "2"),
        ("Multiple simple cysts in the liver.", "multiple"),
        ("A few small stones in the gallbladder.", "few"),
        ("Solitary nodule in the lingula.", "1"),
        ("Cyst in the liver.", None),
    ],
)
def test_count(parser: ReportParser, text: str, count: str | None):
    assert {m.count for m in parser.parse(text).findings} == {count}


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("Nodule in the right upper lobe.", "right upper lobe"),
        ("Consolidation in the right middle lobe.", "right middle lobe"),
        ("Cyst in the upper pole of the left kidney.", "left kidney"),
        ("Cyst in the liver.", None),
        ("Pulmonary nodule in the right upper lobe.", "right upper lobe"),
        ("No pulmonary nodule in the left lower lobe.", "left lower lobe"),
        ("Pulmonary nodules are seen in both lower lobes.", "both lower lobes"),
        ("Right upper lobe pulmonary nodule.", "Right upper lobe"),
        ("Hepatic cyst in segment 4.", "segment 4"),
        ("Renal cyst at the upper pole of the left kidney.", "upper pole"),
        ("Pulmonary nodule in the left lung.", None),
        ("Renal cyst on the left.", None),
        ("Renal cyst with a wall of 2 mm.", None),
    ],
)
def test_location(parser: ReportParser, text: str, location: str | None):
    assert {m.location for m in parser.parse(text).findings} == {location}


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("Stable nodule in the left lung.", "stable"),
        ("New consolidation in the lingula.", "new"),
        ("The pleural effusion has increased.", "increased"),
        ("Regressive pleural effusion.", "decreased"),
        ("Resolved pneumothorax.", "resolved"),
        ("The nodule in the left lung is unchanged.", "stable"),
        ("No significant change in the size of the liver cyst.", "stable"),
        ("Pneumothorax.", None),
    ],
)
def test_change(parser: ReportParser, text: str, change: str | None):
    assert {m.change for m in parser.parse(text).findings} == {change}


def test_contradictions_are_listed(parser: ReportParser):
    parsed = parser.parse(
        "FINDINGS: Pleural effusion on the left. The liver is normal. No gallstones.\n"
        "IMPRESSION: No pleural effusion. Liver cyst. Multiple gallstones."
    )
    assert [(c.anatomy, c.finding, c.denied_in, c.stated_in) for c in parsed.contradictions()] == [
        ("gallbladder", "gallstone", 2, 5),
        ("liver", None, 1, 4),
        ("lung", "pleural_effusion", 3, 0),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Pleural effusion on the left. No pleural effusion on the right.",
        "No new nodule in the lungs. Stable nodules in both lungs.",
        "INDICATION: Gallstones.\nFINDINGS: No gallstones.",
        "The liver is normal in size. There is a cyst in the liver.",
        "Consolidation in the left lower lobe. No consolidation in the right lung.",
    ],
)
def test_what_is_no_contradiction(parser: ReportParser, text: str):
    assert parser.parse(text).contradictions() == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("plueral", "pleural"),
        ("efusion", "effusion"),
        ("cardiomeagly", "cardiomegaly"),
        ("consolidaton", "consolidation"),
        ("bronchiectesis", "bronchiectasis"),
        ("gallblader", "gallbladder"),
        ("lymphadenopthy", "lymphadenopathy"),
    ],
)
def test_misspelt_words_are_mended(written: str, meant: str):
    lexicon = phrasebook(EN).lexicon
    assert lexicon.canonical(written) == lexicon.canonical(meant) != "_"


@pytest.mark.parametrize(
    "word", ["intrarenal", "hypotension", "contract", "displayed", "dilution", "xyzoma"]
)
def test_words_of_other_meaning_are_not_mended(word: str):
    assert phrasebook(EN).lexicon.canonical(word) == "_"


@pytest.mark.parametrize(
    ("text", "anatomy"),
    [
        ("Stent in the left anterior descending artery.", "heart"),
        ("Nasogastric tube in the stomach.", "stomach"),
        ("Pacemaker.", "soft_tissue"),
        ("Calcified plaques in the iliac arteries.", "iliac_artery vessel"),
        ("Calcified plaques in the aorta.", "aorta"),
        ("Calcified plaques in the aorta and the iliac arteries.", "aorta iliac_artery vessel"),
        ("Arterial wall calcifications.", "vessel"),
    ],
)
def test_what_lies_anywhere_is_where_it_lies(parser: ReportParser, text: str, anatomy: str):
    assert {m.anatomy for m in parser.parse(text).findings} == set(anatomy.split())


def test_named_lists():
    lists = EN.lists
    anatomies = {term.id: term.anatomy for term in EN.findings}
    trained = set(EN.trained) - {"aorta"}
    assert len(lists["ct_rate"]) == 18
    assert len(lists["anatomy_54"]) == 54
    assert {anatomies[finding] for finding in lists["anatomy_54"]} == trained
    assert len(lists["anatomy_18"]) == 139


def test_codes_are_well_formed():
    for term in EN.findings:
        assert term.codes.get("radlex", "RID1").startswith("RID")
        assert term.codes.get("snomed_ct", "1").isdigit()
    codes = [code for term in EN.findings for code in term.codes.items()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("term", [t for t in EN.findings if t.observations], ids=lambda t: t.id)
def test_every_observation_is_denied(parser: ReportParser, term: object):
    site = (term.sites or (term.anatomy,))[0].split(".")  # type: ignore[attr-defined]
    anatomy = next(a for a in EN.anatomies if a.id == site[0])
    named = anatomy.parts[site[1]] if len(site) > 1 else anatomy.phrases
    macros = EN.macros
    words = min(expand(term.observations[0], macros), key=len)  # type: ignore[attr-defined]
    parsed = parser.parse(f"There is no {words} in the {min(expand(named[0]), key=len)}.")
    found = {(m.finding, m.status) for m in parsed.findings}
    assert (term.id, "absent") in found  # type: ignore[attr-defined]


def test_choice_within_a_choice_is_refused():
    with pytest.raises(ConfigError, match="choice within a choice"):
        expand("previously (absent|not (seen|found))")


@pytest.mark.parametrize(
    ("text", "finding", "location", "severity"),
    [
        ("Cyst in the left kidney, stone on the right.", "kidney_stone", None, None),
        ("Atelectasis in the lingula, effusion on the right.", "pleural_effusion", None, None),
        ("Cyst in the left kidney, stone on the right.", "kidney_cyst", "left kidney", None),
        ("Nodule and mass in the right lower lobe.", "lung_nodule", "right lower lobe", None),
        ("Mild motion artifact, nodule in the left lung.", "lung_nodule", "left lung", None),
        ("Mild cardiomegaly, emphysema.", "emphysema", None, None),
        ("Emphysema, severe.", "emphysema", None, "severe"),
        ("Mild, diffuse emphysema.", "emphysema", None, "mild"),
    ],
)
def test_place_and_degree_are_not_a_neighbours(
    parser: ReportParser, text: str, finding: str, location: str | None, severity: str | None
):
    told = next(m for m in parser.parse(text).findings if m.finding == finding)
    assert (told.location, told.severity) == (location, severity)


def test_a_side_takes_no_degree_of_the_other(parser: ReportParser):
    parsed = parser.parse("Moderate right and small left pleural effusions.")
    assert {(m.laterality, m.severity) for m in parsed.findings} == {
        ("right", "moderate"),
        ("left", None),
    }
