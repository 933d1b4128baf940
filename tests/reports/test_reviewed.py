"""What review says of sentences and findings reaches their reports alone, and is taken back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fvlm_data.reports.corrections.overlay import discover_corrections
from fvlm_data.reports.corrections.reviewed import check_correction
from fvlm_data.reports.review.commands import _whole
from fvlm_data.reports.stage import reports_stage
from fvlm_data.review.decisions import take_in
from fvlm_data.review.standing import Chosen, derive_effects, set_applied
from fvlm_data.vocabulary import Vocabulary
from tests.reports.driven import made, ran, remade
from tests.reports.test_overlay import FIRST, rows, sources
from tests.review.made import entry

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_data.store.declared import Context

EN = Vocabulary.load()
TEXT = "FINDINGS: Liver cyst and hepatic steatosis of the liver. Spleen is normal. No ascites."


def judged(context: Context, *told: tuple[str, str, Any]) -> None:
    entries = [entry(kind, text, correction=correction) for kind, text, correction in told]
    counts = take_in(
        context, entries, EN, lambda one, right: check_correction(one, right, EN), "reader"
    )
    assert counts["taken"] == len(told)
    set_applied(context, EN, Chosen(), applied=True)


def test_findings_and_sentences_are_corrected_and_taken_back(tmp_path: Path):
    config = made(tmp_path, {"path": sources(tmp_path, FIRST, TEXT)})
    context = ran(config)
    stage = reports_stage(config.parse, EN)
    tables = ("reports", "sentences", "findings")
    before = {name: rows(context, name) for name in tables}
    (report,) = (i for i, (row,) in before["reports"].items() if row["text"] == TEXT)
    read = {row["finding"]: row for row in before["findings"][report]}
    assert read.keys() == {"liver_cyst", "hepatic_steatosis", "ascites"}

    def subject(finding: str) -> str:
        row = read[finding]
        parts = ("report_id", "start", "end", "finding", "anatomy", "status")
        return ":".join(str(row[name]) for name in parts)

    spleen = before["sentences"][report][1]
    assert spleen["assessments"] == ["normal"]
    judged(
        context,
        ("finding", subject("liver_cyst"), None),
        ("finding", subject("hepatic_steatosis"), {"status": "uncertain"}),
        ("sentence", f"{report}:{spleen['start']}:{spleen['end']}", None),
    )
    assert discover_corrections(context, None, EN) == {"corrections_by_review": 1}
    assert remade(context, stage) == [report]
    found = {row["finding"]: row for row in rows(context, "findings")[report]}
    assert found.keys() == {"hepatic_steatosis", "ascites"}
    changed = found["hepatic_steatosis"]
    assert (changed["status"], changed["decided_by"]) == ("uncertain", "correction")
    assert (changed["start"], changed["end"]) == tuple(
        read["hepatic_steatosis"][name] for name in ("start", "end")
    )
    assert found["ascites"] == read["ascites"]
    (first, second, third) = rows(context, "sentences")[report]
    assert (first["text"], first["anatomies"]) == (
        before["sentences"][report][0]["text"],
        before["sentences"][report][0]["anatomies"],
    )
    assert (second["text"], second["anatomies"]) == (spleen["text"], [])
    assert third == before["sentences"][report][2]
    # what is derived has changed, what was judged has not: nothing turns back by itself
    assert derive_effects(context, EN) == {"holds": 3}
    discover_corrections(context, None, EN)
    assert remade(context, stage) == []
    set_applied(context, EN, Chosen(subjects={subject("liver_cyst")}), applied=False)
    discover_corrections(context, None, EN)
    assert remade(context, stage) == [report]
    assert "liver_cyst" in {row["finding"] for row in rows(context, "findings")[report]}
    set_applied(context, EN, Chosen(), applied=False)
    discover_corrections(context, None, EN)
    assert remade(context, stage) == [report]
    assert {name: rows(context, name) for name in tables} == before


def test_single_mentions_make_no_gold(tmp_path: Path):
    from fvlm_data.reports.corrections.reviewed import as_sentence
    from fvlm_data.review.subjects import subject_of

    edit = as_sentence(subject_of("finding", "r_1:0:4:liver_cyst:liver:present"), None)
    whole = as_sentence(subject_of("sentence", "r_1:0:40"), {"findings": []})
    assert _whole((edit, whole)) == (whole,)
    assert _whole((edit,)) is None
    assert _whole(()) == ()
    assert json.loads(edit.model_dump_json())["wrong"][0]["status"] == "present"
