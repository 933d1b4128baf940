"""What a mention's status rests on, and where another reading was close."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest

from fvlm_data.errors import InputError
from fvlm_data.identity.ids import shifted_date
from fvlm_data.inspect.explain import explain_report, waiting_reports
from fvlm_data.pairing.waiting import derive_waiting
from fvlm_data.reports.review.commands import doubtful_first, write_review
from tests.reports.driven import made, ran
from tests.reports.test_stage import images_arrive

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_data.reports import FindingMention, ReportParser


def mention(parser: ReportParser, text: str, finding: str) -> FindingMention:
    (found,) = (m for m in parser.parse(text).findings if m.finding == finding)
    return found


@pytest.mark.parametrize(
    ("text", "finding", "rule", "cue"),
    [
        ("There is a liver cyst.", "liver_cyst", "stated", None),
        ("FINDINGS:\nNormal heart. No liver cyst is seen.", "liver_cyst", "cue", "No"),
        ("A liver cyst cannot be excluded.", "liver_cyst", "cue", "cannot be excluded"),
        ("No increase in the size of the spleen.", "splenomegaly", "no_change", "No increase in"),
        ("Status post splenectomy.", "spleen_absent", "lasting", "Status post"),
        ("Lymph nodes of 14 mm in the mediastinum.", "lymphadenopathy", "size", None),
        ("Abnormal appearance of the pancreas.", "other_abnormality", "verdict", None),
    ],
)
def test_the_rule_and_the_cue_that_told_a_status(
    parser: ReportParser, text: str, finding: str, rule: str, cue: str | None
):
    decided = mention(parser, text, finding).decided
    assert decided.rule == rule
    told = text[slice(*decided.cue)] if decided.cue else None
    assert told == cue or (told is not None and cue is not None and told.startswith(cue))


@pytest.mark.parametrize(
    ("text", "finding", "doubts", "confidence"),
    [
        ("No liver cyst.", "liver_cyst", (), "high"),
        ("Bronchiectasis is not what this is.", "bronchiectasis", ("idle_cue",), "low"),
        ("No pleural effusion or\npneumothorax.", "pneumothorax", ("two_lines",), "low"),
        ("Liver cyst. FINDINGS: No liver cyst.", "liver_cyst", ("contradicted",), "low"),
        (
            "No new or enlarging pleural effusion.",
            "pleural_effusion", ("about_change",), "medium",
        ),
        (
            "A mass in the left lung, suspicious for pneumonia or atelectasis.",
            "pneumonia", ("shared_cue",), "low",
        ),
    ],
)  # fmt: skip
def test_close_readings_are_doubted(
    parser: ReportParser, text: str, finding: str, doubts: tuple[str, ...], confidence: str
):
    found = [m.decided for m in parser.parse(text).findings if m.finding == finding]
    assert {one.doubts for one in found} == {doubts}
    assert {one.confidence for one in found} == {confidence}


def test_an_inherited_anatomy_is_doubted(parser: ReportParser):
    found = mention(parser, "The liver was examined. There is a cyst.", "liver_cyst")
    assert found.decided.doubts == ("inherited_anatomy",)
    assert mention(parser, "LIVER: There is a cyst.", "liver_cyst").decided.doubts == ()


def table(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "r.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_review_comes_by_doubt_and_explain_tells_why(tmp_path: Path):
    sure, unsure = "No liver cyst.", "FINDINGS: Bronchiectasis is not what this is."
    rows = [{"study_uid": str(n), "report": f"{sure} Case {n}."} for n in range(4)]
    rows.append({"study_uid": "9", "report": unsure})
    rows.append({"study_uid": "8", "report": " "})
    context = ran(made(tmp_path, {"path": table(tmp_path, rows)}))
    derive_waiting(context)
    first = doubtful_first(context)[0]
    told = explain_report(context, first)
    (one,) = told["mentions"]
    assert (one["words"], one["status"]) == ("Bronchiectasis", "present")
    assert (one["confidence"], one["doubts"]) == ("low", ["idle_cue"])
    assert (told["read"], told["set_aside"]) == (True, [])
    (waits,) = told["waits_for"]
    assert (waits["reason"], "give its study_uid" in waits["detail"]) == ("study", True)
    listed = {(row["kind"], row["item"]): row for row in waiting_reports(context)}
    assert listed["waiting", first]["source_files"][0].startswith("f_")
    assert len(listed) == 5
    (denied,) = explain_report(context, doubtful_first(context)[-1])["mentions"]
    assert (denied["decided_by"], denied["cue"], denied["cue_at"]) == ("cue", "No", [0, 2])
    (refused,) = context.store.read("quarantine").to_pylist()
    told = explain_report(context, refused["item"].rpartition(".")[0])
    assert (told["read"], [row["reason"] for row in told["set_aside"]]) == (False, ["empty_report"])
    with pytest.raises(InputError, match="report r_0: not in the store"):
        explain_report(context, "r_0")


def test_review_opens_what_a_model_doubts_in_its_order(tmp_path: Path):
    rows = [{"study_uid": str(n), "report": f"No liver cyst. Case {n}."} for n in range(4)]
    config = made(tmp_path, {"path": table(tmp_path, rows)})
    context = ran(config)
    ids = sorted(context.store.read("reports", ["report_id"])["report_id"].to_pylist())
    doubted = [(ids[2], True), (ids[1], False), (ids[0], True), ("r_of_another_store", True)]
    lines = [
        {
            "report_ids": [report], "finding": "liver_cyst", "anatomy": "liver", "label": False,
            "probability": 0.91, "doubted": doubts,
        }
        for report, doubts in doubted
    ]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    page = tmp_path / "review.html"
    vocabulary = config.vocabulary.load()
    write_review(context, config.parse, vocabulary, page, 50, tmp_path / "rows.jsonl")
    html = page.read_text(encoding="utf-8")
    start = html.index(">", html.index('id="data"')) + 1
    shown = json.loads(html[start : html.index("</script>", start)])["reports"]
    assert [one["report_id"] for one in shown] == [ids[2], ids[0]]
    assert shown[0]["doubts"] == [
        "liver_cyst (liver): the report is read as one that does not have it, the model gives it "
        "0.91"
    ]
    (tmp_path / "rows.jsonl").write_text(json.dumps(lines[-1]), encoding="utf-8")
    with pytest.raises(InputError, match="none of the reports that they name is in the store"):
        write_review(context, config.parse, vocabulary, page, 50, tmp_path / "rows.jsonl")


def test_what_a_file_tells_of_a_report_stands_in_its_row(tmp_path: Path):
    rows = [
        {"study_uid": "1.2.3.4", "issued": "2021-03-04T10:15:30", "report": "Liver cyst."},
        {"mrn": "PAT-77001", "issued": "2021-03-09", "report": "ADDENDUM: Liver cyst."},
        {"study_uid": "1.2.3.4", "issued": "2021-02-31", "report": "Normal liver."},
        {"study_uid": "7", "issued": "2021-03-04", "report": "Normal spleen."},
    ]
    config = made(tmp_path, {"path": table(tmp_path, rows)})
    images_arrive(ran(config))
    context = ran(config)
    reports = {row["text"]: row for row in context.store.read("reports").to_pylist()}
    first, second = reports["Liver cyst."], reports["ADDENDUM: Liver cyst."]
    assert first["issued"].endswith("T10:15:30")
    # a shift may be of a few days only
    assert ("2021-03-04" in first["issued"], "2021-03-09" in second["issued"]) == (False, False)
    days = [dt.date.fromisoformat(one["issued"][:10]) for one in (first, second)]
    assert (days[1] - days[0]).days == 5
    assert days[0].isoformat() == shifted_date(context.vault.key, "p_1", dt.date(2021, 3, 4))
    assert (first["addendum"], second["addendum"]) == (False, True)
    # no date of the calendar; no patient whose shift would be known
    assert {reports[text]["issued"] for text in ("Normal liver.", "Normal spleen.")} == {None}
