"""A hospital's own words: laid over the built-in ones, and used by all that reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fvlm_data.errors import ConfigError
from fvlm_data.pairing.anatomy_text import StudyText, anatomy_text
from fvlm_data.pairing.config import PairConfig
from fvlm_data.reports import ReportParser
from fvlm_data.reports.language.reconcile import assessments
from fvlm_data.reports.versions.original_reports import Original, withdraws
from fvlm_data.run.config import load_config
from fvlm_data.segment import merge_labels
from fvlm_data.shards import ShardConfig
from fvlm_data.vocabulary import Vocabulary

EN = Vocabulary.load()

FILES = {
    "anatomies.yaml": """
anatomies:
  - id: thymus
    name: thymus gland
    phrases: [thymus gland, "thymic (bed|region)"]
  - id: liver
    phrases: {add: [hepar]}
sides:
  left: {add: [sinistral]}
""",
    "segmentation.yaml": """
anatomies:
  thymus:
    totalsegmentator_v2: [thymus_whole]
  lung:
    totalsegmentator_v2: {add: [lung_accessory]}
""",
    "findings.yaml": """
findings:
  - id: thymoma
    name: thymoma
    anatomy: thymus
    prompts: {positive: "Thymoma.", negative: "Not thymoma."}
    synonyms: [thymoma]
  - id: liver_cyst
    prompts: {positive: "Cyst of the liver.", negative: "No cyst of the liver."}
""",
    "cues.yaml": """
rules:
  add:
    - {category: absent, direction: backward, phrases: ["nowhere to be found"]}
""",
    "sections.yaml": "impression: {add: [bottom line]}\n",
    "grammar.yaml": "sentences: {abbreviations: {add: [hosp]}}\n",
    "lists.yaml": "ours: [thymoma, liver_cyst]\n",
    "pairing.yaml": 'normal: "{anatomy} is fine."\n',
    "versions.yaml": "withdrawn: {add: [report void]}\n",
    "label_sets.yaml": """
ward:
  source: the board's list
  unmentioned: -1
  labels:
    Thymic tumour: {any: [thymoma], why: the word alone}
merlin:
  labels:
    renal_cyst: {any: {add: [kidney_hypodense_lesion]}}
rad_chest_ct:
  labels:
    debris: {any: [tree_in_bud], why: ours tells it}
""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("overlay")
    for name, text in FILES.items():
        (place / name).write_text(text, encoding="utf-8")
    (place / "README.md").write_text("ours", encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def ours(folder: Path) -> Vocabulary:
    return Vocabulary.load("en", overlay=folder)


@pytest.fixture(scope="module")
def own_parser(ours: Vocabulary) -> ReportParser:
    return ReportParser(vocabulary=ours)


def test_entries_are_merged_key_by_key(ours: Vocabulary):
    liver, before = ours.anatomy("liver"), EN.anatomy("liver")
    assert liver.phrases == (*before.phrases, "hepar")
    assert (liver.name, liver.parts, liver.headers) == (before.name, before.parts, before.headers)
    cyst = {term.id: term for term in ours.findings}["liver_cyst"]
    assert cyst.prompts.positive == "Cyst of the liver."
    assert cyst.synonyms == {term.id: term for term in EN.findings}["liver_cyst"].synonyms
    assert ours.lists["ours"] == ("thymoma", "liver_cyst")
    assert ours.lists["anatomy_54"] == EN.lists["anatomy_54"]


def test_reports_are_read_by_it(own_parser: ReportParser):
    parsed = own_parser.parse(
        "FINDINGS: Thymoma in the thymic bed. Cyst in the hepar. Cyst in the sinistral kidney. "
        "Seen at St. Mary hosp. in May. Gallstones nowhere to be found.\n"
        "Bottom line: Thymoma."
    )
    said = {(m.finding, m.anatomy, m.status, m.laterality) for m in parsed.findings}
    assert ("thymoma", "thymus", "present", None) in said
    assert ("liver_cyst", "liver", "present", None) in said
    assert ("kidney_cyst", "kidney", "present", "left") in said
    assert {status for finding, _, status, _ in said if finding == "gallstone"} == {"absent"}
    assert [section.name for section in parsed.sections] == ["findings", "impression"]
    assert "Seen at St. Mary hosp. in May." in [one.text for one in parsed.sentences]
    assert parsed.anatomy_states()["thymus"].state == "abnormal"


def test_the_built_in_one_stays_as_it_is(own_parser: ReportParser):
    text = "Thymoma. Gallstones nowhere to be found. Cyst in the hepar."
    parsed = ReportParser().parse(text)
    assert "thymoma" not in {m.finding for m in parsed.findings}
    assert "thymus" not in parsed.anatomy_states()
    assert own_parser.parse(text).findings != parsed.findings
    assert Vocabulary.load() == EN


def test_texts_of_anatomies(own_parser: ReportParser, ours: Vocabulary):
    text = "IMPRESSION: Thymoma."
    parsed = own_parser.parse(text)
    said = assessments(parsed)
    sentences = [
        {
            "report_id": "r",
            "sentence": number,
            "start": one.start,
            "end": one.end,
            "section": one.section,
            "text": one.text,
            "anatomies": list(said[number]),
            "assessments": list(said[number].values()),
        }
        for number, one in enumerate(parsed.sentences)
    ]
    findings = [
        {
            "report_id": "r",
            "sentence": one.sentence,
            "finding": one.finding,
            "anatomy": one.anatomy,
            "status": one.status,
            "laterality": one.laterality,
            "severity": one.severity,
            "location": one.location,
        }
        for one in parsed.findings
    ]
    study = StudyText(sentences, findings)
    thymus, liver = (
        anatomy_text("st", name, study, PairConfig(), ours) for name in ("thymus", "liver")
    )
    assert (thymus.text, thymus.state, thymus.labels) == ("Thymoma.", "abnormal", ("thymoma",))
    assert liver.text == "liver is fine."


def test_label_maps_are_merged_by_it(ours: Vocabulary):
    classes = {1: "liver", 2: "thymus_whole", 3: "lung_accessory", 4: "lung_upper_lobe_left"}
    labels = np.array([0, 1, 2, 3, 4], np.uint8)
    maps = [(labels, classes, "totalsegmentator_v2")]
    assert merge_labels(maps, ["lung", "thymus"], ours).tolist() == [0, 0, 2, 1, 1]
    assert merge_labels(maps, ["lung"], EN).tolist() == [0, 0, 0, 0, 1]
    assert ours.imaged == ("thymus", *EN.imaged)


def test_samples_may_keep_an_anatomy_of_ones_own(folder: Path, tmp_path: Path):
    named = ["lung", "thymus"]
    assert ShardConfig(anatomies=named).label_values == {"lung": 1, "thymus": 2}
    values = {"store": "s", "shard": {"anatomies": named}}
    config = load_config(None, (), {**values, "vocabulary": {"overlay": str(folder)}})
    assert config.vocabulary.load().imaged[0] == "thymus"
    with pytest.raises(ConfigError, match=r"thymus, which is not known.*vocabulary\.overlay"):
        load_config(None, (), values)


def test_overlay_is_looked_up_from_the_file_that_names_it(folder: Path):
    file = folder.parent / "config.yaml"
    file.write_text(f"store: s\nvocabulary: {{overlay: {folder.name}}}\n", encoding="utf-8")
    assert load_config(file).vocabulary.overlay == folder


def test_first_words_of_reports(ours: Vocabulary):
    report = Original({"report": "** Report void: see below"})
    assert withdraws(report, ours)
    assert not withdraws(report, EN)


@pytest.mark.parametrize(
    ("name", "text", "changed"),
    [
        ("cues.yaml", "normal: {add: [hale]}\n", {"all", "reading"}),
        ("segmentation.yaml", FILES["segmentation.yaml"].replace("thymus:", "duct:"),
         {"all", "segmentation"}),
        ("pairing.yaml", FILES["pairing.yaml"], {"all", "pairing"}),
        ("versions.yaml", FILES["versions.yaml"], {"all", "versions", "reading", "pairing"}),
        ("sections.yaml", FILES["sections.yaml"], {"all", "versions", "reading"}),
        ("grammar.yaml", FILES["grammar.yaml"], {"all", "versions", "reading"}),
        ("lists.yaml", "ours: [liver_cyst]\n", {"all"}),
        ("references.yaml", "series: {add: [run]}\n", {"all"}),
        ("regions.yaml", "names: {liver: the liver}\n", {"all"}),
        ("questions.yaml", "present: 'Do you see {finding}?'\n", {"all"}),
        ("anatomies.yaml", "anatomies: [{id: liver, name: hepar}]\n", {"all", "pairing"}),
        ("findings.yaml", "findings: [{id: liver_cyst, name: hepatic cyst}]\n", {"all"}),
        ("grammar.yaml", "clauses: {known: {add: [documented]}}\n", {"all", "reading"}),
        ("identities.yaml", "titles: {add: [Dott]}\n", {"all", "reading"}),
    ],
)  # fmt: skip
def test_only_what_a_part_reads_changes_its_hash(
    tmp_path: Path, name: str, text: str, changed: set[str]
):
    (tmp_path / name).write_text(text, encoding="utf-8")
    ours = Vocabulary.load("en", overlay=tmp_path)
    parts = ("all", "versions", "reading", "pairing", "segmentation")
    assert {part for part in parts if ours.sha256(part) != EN.sha256(part)} == changed


def test_a_language_may_stand_in_the_folder_alone(tmp_path: Path):
    from fvlm_data.vocabulary.folders import NAMES, built_in_texts

    texts = built_in_texts("en")
    for name in NAMES:
        (tmp_path / name).write_text(texts[name], encoding="utf-8")
    other = Vocabulary.load("xx", overlay=tmp_path)
    assert other.findings == EN.findings
    assert other != EN
    (tmp_path / "cues.yaml").unlink()
    told = r"'xx' is not built in \(built in: de, en, tr\).*cues\.yaml"
    with pytest.raises(ConfigError, match=told):
        Vocabulary.load("xx", overlay=tmp_path)


def test_label_sets_of_a_users_own_and_built_in_ones_changed(
    ours: Vocabulary, own_parser: ReportParser
):
    told = own_parser.parse("FINDINGS: Thymoma. Hypodense lesion of the left kidney.")
    assert told.labels("ward") == {"Thymic tumour": 1}
    assert own_parser.parse("FINDINGS: Gallstones.").labels("ward") == {"Thymic tumour": -1}
    assert told.labels("merlin")["renal_cyst"] == 1
    assert EN.label_set("merlin").labels["renal_cyst"].any == ("kidney_cyst",)
    assert "debris" in EN.label_set("rad_chest_ct").not_told
    assert "debris" not in ours.label_set("rad_chest_ct").not_told
    merlin = ours.label_set("merlin")
    assert merlin.labels["renal_cyst"].why == EN.label_set("merlin").labels["renal_cyst"].why
    assert (
        merlin.labels["renal_hypodensities"] == EN.label_set("merlin").labels["renal_hypodensities"]
    )


def test_label_sets_enter_their_own_hash_and_no_stages(tmp_path: Path):
    text = "mine:\n  source: ours\n  labels:\n    A: {any: [liver_cyst], why: ours}\n"
    (tmp_path / "label_sets.yaml").write_text(text)
    own = Vocabulary.load("en", overlay=tmp_path)
    assert own.sha256("labels") != EN.sha256("labels")
    assert own != EN
    for part in ("reading", "versions", "pairing", "segmentation"):
        assert own.sha256(part) == EN.sha256(part)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "mine:\n  source: x\n  labels:\n    A: {any: [liver_cist], why: x}\n",
            r"label_sets\.yaml, line 4: label set mine, label 'A': finding 'liver_cist' is not "
            r"known.*did you mean liver_cyst",
        ),
        ("merlin:\n  labels:\n    renal_cyst: {over_mm: -3}\n", "line 3: .*greater than 0"),
        ("merlin:\n  lables: {}\n", r"line 2: .*lables is not a known key.*did you mean labels"),
        ("mine:\n  source: x\n", r"line 1: .*labels is missing"),
        ("mine:\n  source: x\n  labels:\n    A: {why: x}\n", r"line 4: .*any is missing"),
        ("mine:\n  source: x\n  unmentioned: 2\n  labels: {}\n", "line 3: .*found 2"),
    ],
)
def test_a_faulty_label_set_is_told_with_its_line(tmp_path: Path, text: str, told: str):
    (tmp_path / "label_sets.yaml").write_text(text)
    with pytest.raises(ConfigError, match=f"vocabulary overlay {told}|{told}"):
        Vocabulary.load("en", overlay=tmp_path)
