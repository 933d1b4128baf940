from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fvlm_data.identity.ids import link_key
from fvlm_data.reports.scrubbing.original_span import original_span
from fvlm_data.vocabulary import Vocabulary
from schemas import IdentityMark
from tests.core.hand_store import link, volume
from tests.reports.driven import made, ran, unplaced

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_data.store.declared import Context

EN = Vocabulary.load()

HEADER = ["Mustermann Erika", "1964-08-12", "PAT-77001"]


def texts(context: Context) -> list[str]:
    return sorted(row["text"] for row in context.store.read("reports", ["text"]).to_pylist())


def images_arrive(context: Context) -> None:
    """One study of one patient, as ingest would have left it."""
    context.vault.remember_patient("p_1", HEADER)
    key = context.vault.key
    names = (
        ("study", "st_1", "study_uid", "1.2.3.4"),
        ("patient", "p_1", "patient_id", "PAT-77001"),
    )
    rows = [
        link(owner, named, kind, link_key(kind, value, key=key), "se_1")
        for owner, named, kind, value in names
    ]
    context.store.replace("links", ["se_1"], rows)
    context.store.replace("volumes", ["st_1"], [volume(1, "st_1", "p_1")])
    context.store.replace("identity_marks", ["se_1"], [mark("p_1", "se_1", "Mustermann")])


def mark(owner: str, series: str, told: str) -> IdentityMark:
    return IdentityMark(owner_id=owner, series_id=series, mark=told)


def test_a_report_read_before_its_images_is_scrubbed_again(tmp_path: Path):
    file = tmp_path / "r.jsonl"
    rows = [
        {"study_uid": "1.2.3.4", "report": "Mrs. Mustermann, born 12.8.64: liver cyst."},
        {"mrn": "PAT-77001", "report": "ADDENDUM for Erika: no change."},
        {"study_uid": "9.9", "report": "Mustermann sign."},
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    config = made(tmp_path, {"path": file})
    context = ran(config)
    assert any("Erika" in text for text in texts(context))
    images_arrive(context)
    context = ran(config)
    assert texts(context) == [
        "ADDENDUM for [NAME]: no change.",
        "Mrs. [NAME], born [DATE]: liver cyst.",
        "Mustermann sign.",
    ]
    row = next(r for r in context.store.read("reports").to_pylist() if "cyst" in r["text"])
    place = row["text"].index("[NAME]")
    assert original_span(context, EN, row["report_id"], place, place + 6) == "Mustermann"
    finding = next(
        f for f in context.store.read("findings").to_pylist() if f["report_id"] == row["report_id"]
    )
    assert row["text"][finding["start"] : finding["end"]] == "liver cyst"
    assert unplaced(context) == []


def test_identities_of_the_reports_own_columns(tmp_path: Path):
    file = tmp_path / "r.csv"
    file.write_text(
        "accession,patient_name,dob,radiologist,findings,impression\n"
        "ACC-9,Doe^Jane,1964-08-12,Gregory House,"
        '"JANE DOE (08/12/1964). Normal liver.","House: see acc 9."\n',
        encoding="utf-8",
    )
    (text,) = texts(ran(made(tmp_path, {"path": file})))
    assert text == ("FINDINGS:\n[NAME] ([DATE]). Normal liver.\n\nIMPRESSION:\n[NAME]: see [ID].")


def test_every_row_is_somewhere(tmp_path: Path):
    file = tmp_path / "r.csv"
    file.write_text(
        "study_uid,report\n1,Liver cyst.\n1,Liver cyst.\n2,\n,Text.\n3,a,b\n4,Other.\n",
        encoding="utf-8",
    )
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "5.txt").write_text("Liver cyst.", encoding="utf-8")
    (tmp_path / "texts" / "notes.doc").write_text("x", encoding="utf-8")
    context = ran(made(tmp_path, {"path": file}, {"path": tmp_path / "texts", "kind": "auto"}))
    aside = context.store.read("quarantine", ["kind", "reason"]).to_pylist()
    assert sorted((row["kind"], row["reason"]) for row in aside) == [
        ("duplicate", "same_report"),
        ("fault", "broken_row"),
        ("fault", "empty_report"),
        ("fault", "no_link"),
        ("out_of_scope", "unknown_kind"),
    ]
    assert len(texts(context)) == 3
    assert unplaced(context) == []


def test_rows_are_committed_in_pieces_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "r.csv"
    rows = [f"{number},Liver cyst of {number} mm." for number in range(1, 8)]
    file.write_text("\n".join(["study_uid,report", *rows, rows[0]]), encoding="utf-8")
    config = made(tmp_path, {"path": file})
    context = ran(config)
    before = context.store.read("inputs").to_pylist()
    monkeypatch.setattr("fvlm_data.reports.discovery.COMMIT_ROWS", 3)
    after = ran(config).store.read("inputs").to_pylist()
    assert sorted(before, key=str) == sorted(after, key=str)
    assert len(after) == 8


def test_sentences_with_blanks_of_a_template_are_counted(tmp_path: Path):
    file = tmp_path / "r.jsonl"
    text = "There is a [ ] mm nodule in the *** lobe. Liver cyst."
    file.write_text(json.dumps({"study_uid": "1.2.3.4", "report": text}), encoding="utf-8")
    context = ran(made(tmp_path, {"path": file}))
    told = context.store.read("measures").to_pylist()
    assert [(row["name"], row["value"]) for row in told] == [("unfilled_blanks", 1.0)]
    assert {row["finding"] for row in context.store.read("findings").to_pylist()} == {"liver_cyst"}
