"""Corrections of readings: kept in a file, put over the parser's reading, taken back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.errors import InputError
from fvlm_data.inspect.verify import verify
from fvlm_data.pairing.waiting import derive_waiting
from fvlm_data.reports.corrections.overlay import discover_corrections, read_corrections
from fvlm_data.reports.rows import document_sha256
from fvlm_data.reports.stage import reports_stage
from fvlm_data.vocabulary import Vocabulary
from tests.reports.driven import made, ran, remade
from tests.reports.test_stage import images_arrive

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Context

EN = Vocabulary.load()
FIRST = "FINDINGS: There is a 12 mm liver cyst. No pleural effusion."
SECOND = "FINDINGS: Bronchiectasis is not what this is."


def sources(folder: Path, *texts: str) -> Path:
    path = folder / "r.jsonl"
    rows = [{"study_uid": f"1.2.{n}", "report": text} for n, text in enumerate(texts)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def denied(text: str, **more: Any) -> dict[str, Any]:
    """A correction of SECOND: its finding is absent."""
    start = text.index("Bronchiectasis")
    finding = {"finding": "bronchiectasis", "anatomy": "lung", "status": "absent"}
    sentence = {"start": start, "end": len(text), "findings": [finding]}
    return {"document_sha256": document_sha256(text), "sentences": [sentence], **more}


def overlay(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / "corrections.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def settled(context: Context, config: Config) -> list[str]:
    """Reports that are made anew with the corrections as they are."""
    told = discover_corrections(context, config.parse.corrections, EN)
    assert set(told) <= {"corrections", "corrections_of_another_text", "corrections_of_no_report"}
    return remade(context, reports_stage(config.parse, EN))


def rows(context: Context, table: str) -> dict[str, list[dict[str, Any]]]:
    made: dict[str, list[dict[str, Any]]] = {}
    for row in context.store.read(table).to_pylist():
        made.setdefault(row["report_id"], []).append(row)
    return made


def test_a_correction_is_applied_to_its_report_alone_and_taken_back(tmp_path: Path):
    path = sources(tmp_path, FIRST, SECOND, f"{SECOND} No liver cyst.")
    config = made(tmp_path, {"path": path}, corrections=str(overlay(tmp_path)))
    context = ran(config)
    before = {name: rows(context, name) for name in ("reports", "sentences", "findings")}
    (report,) = (i for i, (row,) in before["reports"].items() if row["text"] == SECOND)
    assert settled(context, config) == []
    overlay(tmp_path, denied(SECOND))
    assert settled(context, config) == [report]
    (found,) = rows(context, "findings")[report]
    assert (found["status"], found["decided_by"], found["confidence"]) == (
        "absent", "correction", "high",
    )  # fmt: skip
    assert SECOND[found["start"] : found["end"]] == "Bronchiectasis"
    (sentence,) = rows(context, "sentences")[report]
    assert sentence["assessments"] == ["normal"]
    others = {i: told for i, told in rows(context, "findings").items() if i != report}
    assert others == {i: told for i, told in before["findings"].items() if i != report}
    assert settled(context, config) == []
    overlay(tmp_path)
    assert settled(context, config) == [report]
    assert {name: rows(context, name) for name in before} == before
    assert context.store.count("corrections") == 0
    derive_waiting(context)
    told = verify(context.store, [reports_stage(config.parse, EN)])
    assert [one.name for one in told if not one.passed] == []


def test_what_a_correction_does_not_tell_stays(tmp_path: Path):
    context = ran(made(tmp_path, {"path": sources(tmp_path, FIRST)}))
    finding = {"finding": "liver_cyst", "anatomy": "liver", "status": "uncertain"}
    sentence = {"start": 10, "end": 38, "findings": [finding]}
    line = {"text": FIRST, "sentences": [sentence]}
    config = made(
        tmp_path, {"path": tmp_path / "r.jsonl"}, corrections=str(overlay(tmp_path, line))
    )
    assert len(settled(context, config)) == 1
    ((cyst, effusion),) = rows(context, "findings").values()
    assert (cyst["status"], cyst["size_mm"], cyst["decided_by"]) == (
        "uncertain",
        12.0,
        "correction",
    )
    assert (effusion["status"], effusion["decided_by"]) == ("absent", "cue")
    overlay(tmp_path, {"text": FIRST, "sentences": [{**sentence, "findings": []}]})
    settled(context, config)
    ((effusion,),) = rows(context, "findings").values()
    assert effusion["finding"] == "pleural_effusion"
    first = next(iter(rows(context, "sentences").values()))[0]
    assert (first["anatomies"], first["assessments"]) == (["liver"], ["neutral"])


def test_a_correction_holds_for_no_other_text(tmp_path: Path):
    text = "FINDINGS: Mustermann sign. Bronchiectasis is not what this is."
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({"study_uid": "1.2.3.4", "report": text}), encoding="utf-8")
    context = ran(made(tmp_path, {"path": path}))
    (report,) = rows(context, "reports")
    line = denied(text, report_id=report)
    config = made(tmp_path, {"path": path}, corrections=str(overlay(tmp_path, line)))
    assert settled(context, config) == [report]
    images_arrive(context)  # the name is known now: its scrubbed text is another one
    context = ran(config)
    ((found,),) = rows(context, "findings").values()
    assert (found["status"], found["decided_by"]) == ("present", "stated")
    told = discover_corrections(context, config.parse.corrections, EN)
    assert told == {"corrections_of_another_text": 1}
    assert context.store.count("corrections") == 0


def test_a_correction_comes_before_its_report_by_id(tmp_path: Path):
    path = sources(tmp_path, SECOND)
    (report,) = rows(ran(made(tmp_path, {"path": path})), "reports")
    (tmp_path / "store").rename(tmp_path / "old")
    lines = (denied(SECOND, report_id=report), denied(FIRST + SECOND))
    config = made(tmp_path, {"path": path}, corrections=str(overlay(tmp_path, *lines)))
    context = ran(config)
    told = discover_corrections(context, config.parse.corrections, EN)
    assert told == {"corrections": 1, "corrections_of_no_report": 1}
    assert remade(context, reports_stage(config.parse, EN)) == [report]
    assert rows(context, "findings")[report][0]["status"] == "absent"


def test_faults_of_corrections_are_told(tmp_path: Path):
    finding = {"finding": "pleural_effusion", "anatomy": "lung", "status": "present"}
    sides = [{**finding, "laterality": side} for side in ("left", "right")]
    sentence = {"start": 0, "end": 9, "findings": sides}
    line = {"document_sha256": "0" * 64, "sentences": [sentence]}
    with pytest.raises(InputError, match=r"line 1, sentences\.0\.findings: two mentions"):
        list(read_corrections(overlay(tmp_path, line), EN))
    line = {"document_sha256": "0" * 64, "text": SECOND, "sentences": []}
    with pytest.raises(InputError, match=r"line 1 .*document_sha256 is that of another text"):
        list(read_corrections(overlay(tmp_path, line), EN))


@pytest.mark.full
def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FVLM_VAULT", str(tmp_path / "vault"))
    path, store = sources(tmp_path, FIRST, SECOND), str(tmp_path / "store")

    def invoked(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["reports", *arguments, "--store", store])

    assert invoked(str(path)).exit_code == 0
    assert "the store holds no corrected report" in invoked("gold", str(path)).output
    missing = invoked(str(path), "--set", f"parse.corrections={tmp_path / 'none.jsonl'}")
    assert "parse.corrections" in missing.output
    corrections = overlay(tmp_path, denied(SECOND))
    read = invoked(str(path), "--set", f"parse.corrections={corrections}", "--json")
    assert json.loads(read.stdout)["stages"]["reports"]["accepted"] == 1, read.output
    gold = tmp_path / "gold.jsonl"
    assert invoked("gold", str(gold)).exit_code == 0
    (line,) = map(json.loads, gold.read_text().splitlines())
    assert line["text"] == SECOND
    scored = CliRunner().invoke(app, ["reports", "score", str(gold)])
    assert "bronchiectasis (lung) is absent, found present" in scored.output
    page = tmp_path / "page.html"
    assert invoked("--review", "--page", str(page)).exit_code == 0
    assert '"decided_by": "correction"' in page.read_text(encoding="utf-8")
    # the last configuration holds on: a later run without flags keeps the corrections
    again = invoked(str(path), "--json")
    assert json.loads(again.stdout)["stages"]["reports"].get("accepted", 0) == 0
