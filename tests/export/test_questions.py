"""Questions that reports answer, each with its sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fvlm_data.errors import ConfigError
from fvlm_data.export import EXPORTS
from fvlm_data.export.run import Form, run_tables_export
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary
from schemas import AnatomyText
from tests.export.over_time import made_store, visit


def asked(store: Store, folder: Path) -> list[dict[str, Any]]:
    entry = EXPORTS.load("questions")
    run_tables_export(
        store, Form("questions", entry, entry.options()), folder, lambda _done, _total: None
    )
    lines = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(("text", "expected"), [
    ("Small left pleural effusion.", {("present", "pleural_effusion", "yes"),
                                      ("side", "pleural_effusion", "left")}),
    ("Bilateral pleural effusions.", {("present", "pleural_effusion", "yes"),
                                      ("side", "pleural_effusion", "bilateral")}),
    ("Pleural effusion on the right. Small pleural effusion on the left.",
     {("present", "pleural_effusion", "yes"), ("side", "pleural_effusion", "bilateral")}),
    ("No pleural effusion.", {("present", "pleural_effusion", "no")}),
    ("No pleural effusion on the left.", set()),  # says nothing of the right
    ("There is a 12 mm cyst in the liver, unchanged.",
     {("present", "liver_cyst", "yes"), ("size", "liver_cyst", 12.0),
      ("change", "liver_cyst", "unchanged")}),
    ("Possible hepatic cyst of 12 mm.", {("present", "liver_cyst", "possible")}),
    ("Pleural effusion. No pleural effusion.", set()),
])  # fmt: skip
def test_what_a_report_answers_is_asked(
    tmp_path: Path, text: str, expected: set[tuple[str, str, Any]]
):
    rows = asked(made_store(tmp_path, visit("st_1", None, text)), tmp_path / "out")
    about = {"pleural_effusion", "liver_cyst"}
    found = {(row["kind"], row["finding"], row["value"]) for row in rows if row["finding"] in about}
    assert found == expected


def test_each_is_worded_and_leads_to_its_sentences(tmp_path: Path):
    text = "The lungs are clear. Small left pleural effusion."
    store = made_store(tmp_path, visit("st_1", None, text), splits={"p_1": "test"})
    store.replace_all("anatomy_texts", [
        AnatomyText(study_id="st_1", anatomy="liver", text="Liver normal.", state="normal_stated",
                    signature=0, findings=(), labels=(), sources=("r:0:13",)),
        AnatomyText(study_id="st_1", anatomy="spleen", text="-", state="not_mentioned",
                    signature=0, findings=(), labels=(), sources=()),
    ])  # fmt: skip
    rows = asked(store, tmp_path / "out")
    effusion = {row["kind"]: row for row in rows if row["finding"] == "pleural_effusion"}
    start = len("FINDINGS: ") + text.index("Small")
    assert effusion["present"] == {
        "study_id": "st_1", "split": "test", "kind": "present", "anatomy": "lung",
        "finding": "pleural_effusion", "question": "Is there pleural effusion?", "answer": "Yes.",
        "value": "yes", "sources": [f"r_st_1_0:{start}:{start + 28}"],
    }  # fmt: skip
    assert effusion["side"]["answer"] == "On the left."
    normal = [(row["question"], row["answer"]) for row in rows if row["kind"] == "normal"]
    assert normal == [("Is the liver normal?", "Yes.")]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["normal"] == 1
    assert summary["studies"] == 1


def test_contradictions_are_counted_and_not_asked(tmp_path: Path):
    store = made_store(tmp_path, visit("st_1", None, "Pleural effusion. No pleural effusion."))
    assert not [r for r in asked(store, tmp_path / "out") if r["finding"] == "pleural_effusion"]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["contradicted"] == 1


def test_every_kind_and_value_has_words():
    words = Vocabulary.load().questions
    assert all(words.model_dump(exclude={"answers"}).values())
    assert all(words.answers.model_dump().values())


def test_a_language_without_questions_is_refused(tmp_path: Path):
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "questions.yaml").write_text("present: ''\n")
    store = made_store(tmp_path, visit("st_1", None, "Pleural effusion."))
    entry = EXPORTS.load("questions")
    form = Form("questions", entry, entry.options(overlay=tmp_path / "overlay"))
    with pytest.raises(ConfigError, match=r"questions\.yaml"):
        run_tables_export(store, form, tmp_path / "out", lambda _done, _total: None)
