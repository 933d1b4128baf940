"""Regions and texts: which side and part a sentence is about, and where a template may speak."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fvlm_data.export import EXPORTS
from fvlm_data.export.organ_pairs.told import Mention, Part, Said, told_of
from fvlm_data.export.run import Form, run_tables_export
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary
from schemas import AnatomyText, Mask
from tests.core import hand_store
from tests.export.exporting import refused
from tests.export.over_time import made_store, visit

EN = Vocabulary.load()
LEFT, RIGHT = Part.of("kidney_left"), Part.of("kidney_right")


def mask(class_name: str, value: int) -> Mask:
    one = hand_store.mask("v_0", "masks/00/v_0.total.nii.gz")
    fields = {name: getattr(one, name) for name in one.__slots__}
    return Mask(**{**fields, "class_name": class_name, "class_value": value})


def store_of(folder: Path, text: str, classes: list[str], **states: str) -> Store:
    """A store of one volume whose report says `text`; `states` of its anatomies."""
    store = made_store(folder, visit("st_1", None, text), splits={"p_1": "train"})
    store.replace_all("masks", [mask(one, value + 1) for value, one in enumerate(classes)])
    said = store.read("sentences").to_pylist()
    texts = [
        AnatomyText(
            study_id="st_1", anatomy=anatomy, text="-", state=state, signature=0, findings=(),
            labels=(), sources=tuple(
                f"{one['report_id']}:{one['start']}:{one['end']}"
                for one in said if anatomy in one["anatomies"]
            ),
        )
        for anatomy, state in states.items()
    ]  # fmt: skip
    store.replace_all("anatomy_texts", texts)
    return store


def exported(store: Store, folder: Path, **options: Any) -> tuple[dict[Any, Any], dict[str, Any]]:
    entry = EXPORTS.load("organ-pairs")
    form = Form("organ-pairs", entry, entry.options(**options))
    run_tables_export(store, form, folder, lambda _done, _total: None)
    rows = pq.read_table(folder / "organ_pairs.parquet").to_pylist()
    summary = json.loads((folder / "summary.json").read_text())
    return {(row["class_name"], row["text_kind"]): row for row in rows}, summary


KIDNEYS = ["kidney_left", "kidney_right", "liver", "spinal_cord"]


def test_a_finding_of_one_side_is_none_of_the_other(tmp_path: Path):
    store = store_of(
        tmp_path, "Simple cyst in the left kidney. The liver is normal.", KIDNEYS,
        kidney="abnormal", liver="normal_stated",
    )  # fmt: skip
    rows, summary = exported(store, tmp_path / "out")
    assert set(rows) == {("kidney_left", "report"), ("liver", "report"), ("liver", "template")}
    left = rows["kidney_left", "report"]
    assert left["findings"] == ["kidney_cyst"]
    assert (left["state"], left["regions_of_text"]) == ("abnormal", 1)
    assert left["text"] == "Simple cyst in the left kidney."
    assert (left["mask_path"], left["class_value"]) == ("masks/00/v_0.total.nii.gz", 1)
    assert rows["liver", "template"]["text"] in EN.regions.sentences("liver", "normal")
    assert rows["liver", "template"]["findings"] == []
    assert summary["classes"]["kidney_right"] == {"regions": 1, "without_text": 1}
    assert summary["rows"] == {
        "report:abnormal": 1, "report:normal_stated": 1, "studies": 1,
        "studies_without_report": 0, "template:normal_stated": 1,
    }  # fmt: skip


def test_what_a_report_passes_over_is_normal_only_where_that_is_asked_for(tmp_path: Path):
    store = store_of(tmp_path, "Simple cyst in the left kidney.", KIDNEYS, kidney="abnormal")
    rows, _ = exported(store, tmp_path / "out", normal="silent")
    assert set(rows) == {
        ("kidney_left", "report"), ("kidney_right", "template"), ("liver", "template"),
        ("spinal_cord", "template"),
    }  # fmt: skip
    assert {rows[one]["state"] for one in rows if one[1] == "template"} == {"not_mentioned"}
    assert "right kidney" in rows["kidney_right", "template"]["text"]
    assert rows["spinal_cord", "template"]["anatomy"] is None
    none, _ = exported(store, tmp_path / "none", normal="none")
    assert set(none) == {("kidney_left", "report")}


def test_a_finding_without_a_side_may_be_of_several_regions(tmp_path: Path):
    classes = ["vertebrae_T11", "vertebrae_T12", "vertebrae_L1", "kidney_cyst_left"]
    store = store_of(
        tmp_path, "Compression fracture of a thoracic vertebra.", classes,
        thoracic_vertebra="abnormal", kidney="normal_stated",
    )  # fmt: skip
    rows, _ = exported(store, tmp_path / "out", normal="silent")
    assert rows["vertebrae_T12", "report"]["regions_of_text"] == 2
    assert rows["vertebrae_T12", "report"]["anatomy"] == "thoracic_vertebra"
    assert ("vertebrae_L1", "report") not in rows
    # nothing normal is said of a lesion
    assert not [one for one in rows if one[0] == "kidney_cyst_left"]


def test_lobes_are_told_apart(tmp_path: Path):
    lobes = ["lung_upper_lobe_right", "lung_lower_lobe_right", "lung_upper_lobe_left"]
    store = store_of(tmp_path, "Nodule in the right upper lobe.", lobes, lung="abnormal")
    rows, _ = exported(store, tmp_path / "out")
    assert set(rows) == {("lung_upper_lobe_right", "report")}
    assert rows["lung_upper_lobe_right", "report"]["regions_of_text"] == 1


CYST = Said("r:0:1", "Cyst on the left.", "abnormal", (Mention("cyst", "present", "left"),))


@pytest.mark.parametrize(
    ("rest", "part", "state"),
    [
        ([], RIGHT, "not_mentioned"),
        ([Said("r:2:3", "The right kidney is normal.", "normal", (), frozenset({"right"}))], RIGHT,
         "normal_stated"),
        ([Said("r:2:3", "No stone.", "normal", (Mention("stone", "absent"),))], RIGHT,
         "normal_stated"),
        ([Said("r:2:3", "No stone on the left.", "normal", (Mention("stone", "absent", "left"),))],
         RIGHT, "not_mentioned"),
        ([Said("r:2:3", "Abnormal right kidney.", "abnormal", (), frozenset({"right"}))], RIGHT,
         "abnormal"),
        ([Said("r:2:3", "The right kidney is normal.", "normal", (), frozenset({"right"}))], LEFT,
         "abnormal"),
    ],
)  # fmt: skip
def test_the_state_of_a_side(rest: list[Said], part: Part, state: str):
    told = told_of(part, ["kidney"], {"kidney": "abnormal"}, {"kidney": [CYST, *rest]})
    assert told.state == state
    assert ("cyst" in told.findings) == (part is LEFT)


def test_a_language_without_the_sentences_is_told(tmp_path: Path):
    store = store_of(tmp_path, "Cyst.", KIDNEYS)
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "regions.yaml").write_text("normal: []\n")
    asked = ("--overlay", str(tmp_path / "overlay"))
    assert "regions.yaml" in refused("organ-pairs", tmp_path / "out", store.url, *asked)


def test_every_class_of_totalsegmentator_has_a_name():
    classes = {
        one
        for system in ("totalsegmentator_v1", "totalsegmentator_v2")
        for names in EN.classes_of(system).values()
        for one in names
    }
    assert classes | {"spinal_cord"} == set(EN.regions.names)
    names = [name for one, name in EN.regions.names.items() if one not in EN.regions.lesions]
    assert len(set(names)) == len(names)


def test_a_sentence_that_names_no_region_is_refused(tmp_path: Path):
    from fvlm_data.errors import ConfigError

    (tmp_path / "regions.yaml").write_text("normal: ['All is well.']\n")
    with pytest.raises(ConfigError, match=r"needs \{region\}"):
        Vocabulary.load(overlay=tmp_path)
