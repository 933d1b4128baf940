from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.errors import InputError
from fvlm_data.reports import ReportParser
from fvlm_data.reports.review.gold import read_gold
from fvlm_data.reports.review.page import review_page
from fvlm_data.reports.review.score import score, wilson
from fvlm_data.vocabulary import Vocabulary
from tests.reports.llm_server import completion, serving

if TYPE_CHECKING:
    from pathlib import Path

EN = Vocabulary.load()

TEXT = "FINDINGS:\nThere is a liver cyst. No pleural effusion.\nIMPRESSION:\nHepatic cyst."


def gold_line(parser: ReportParser, **change: Any) -> dict[str, Any]:
    """The parse of TEXT as gold, its first finding changed."""
    parsed = parser.parse(TEXT)
    sentences = [
        {
            "start": s.start,
            "end": s.end,
            "section": s.section,
            "anatomies": list(s.anatomies),
            "findings": [
                {"finding": m.finding, "anatomy": m.anatomy, "status": m.status,
                 "laterality": m.laterality}
                for m in parsed.findings
                if m.sentence == number
            ],
        }
        for number, s in enumerate(parsed.sentences)
    ]  # fmt: skip
    sentences[0]["findings"][0].update(change)
    return {"text": TEXT, "sentences": sentences}


def scored(tmp_path: Path, parser: ReportParser, **change: Any) -> Any:
    path = tmp_path / "gold.jsonl"
    path.write_text(json.dumps(gold_line(parser, **change)) + "\n", encoding="utf-8")
    return score(list(read_gold(path)), parser.parse)


def test_own_parse_scores_one(tmp_path: Path, parser: ReportParser):
    told = scored(tmp_path, parser)
    assert told.reports == 1
    assert told.sentences == 3
    assert told.disagreements == []
    assert (told.finding_f1_macro, told.anatomies_exact, told.spans_exact) == (1.0, 1.0, 1.0)
    assert (told.sections_right, told.status_right, told.absent_f1) == (1.0, 1.0, 1.0)


def test_a_corrected_status(tmp_path: Path, parser: ReportParser):
    told = scored(tmp_path, parser, status="absent")
    assert told.finding_f1_macro == 1.0
    assert told.status_right == pytest.approx(2 / 3, abs=1e-3)
    assert told.absent_f1 == pytest.approx(2 / 3, abs=1e-3)
    assert told.disagreements == ["line 1, sentence 0: liver_cyst (liver) is absent, found present"]


def test_a_corrected_finding_and_side(tmp_path: Path, parser: ReportParser):
    told = scored(tmp_path, parser, finding="liver_abscess", laterality="left")
    assert told.finding_f1["liver_abscess"] == 0.0
    assert told.finding_f1_worst == 0.0
    assert told.finding_f1["liver_cyst"] == pytest.approx(2 / 3, abs=1e-3)
    assert len(told.disagreements) == 2


@pytest.mark.parametrize(
    "line", ["nonsense", "{}", json.dumps({"text": "a", "sentences": [{"start": 0, "end": 9}]})]
)
def test_gold_of_another_form(tmp_path: Path, line: str):
    path = tmp_path / "gold.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(InputError, match="line 1 is of another form; expected an object"):
        list(read_gold(path))


def test_page_holds_all_and_a_text_cannot_break_out_of_it(parser: ReportParser):
    text = TEXT + " </script><script>alert(1)</script> $data <!--"
    page = review_page([("r_1", text, parser.parse(text))], EN)
    assert page.count("</script>") == 2
    assert "default-src 'none'" in page
    start = page.index(">", page.index('id="data"')) + 1
    data = json.loads(page[start : page.index("</script>", start)])
    (report,) = data["reports"]
    assert report["text"] == text
    assert report["states"]["liver"] == "abnormal"
    finding = report["sentences"][0]["findings"][0]
    assert finding["finding"] == "liver_cyst"
    assert report["text"][finding["start"] : finding["end"]] == "liver cyst"
    assert "http" not in page.replace("http-equiv", "")


def test_page_tells_count_location_change_and_contradictions(parser: ReportParser):
    text = (
        "FINDINGS:\nTwo new nodules in the right upper lobe. No pleural effusion.\n"
        "IMPRESSION:\nPleural effusion."
    )
    page = review_page([("r_1", text, parser.parse(text))], EN)
    start = page.index(">", page.index('id="data"')) + 1
    (report,) = json.loads(page[start : page.index("</script>", start)])["reports"]
    nodule = report["sentences"][0]["findings"][0]
    assert (nodule["count"], nodule["change"]) == ("2", "new")
    assert nodule["location"] == "right upper lobe"
    assert report["contradictions"] == [
        {"anatomy": "lung", "finding": "pleural_effusion", "denied_in": 1, "stated_in": 2}
    ]


def invoked(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_commands(tmp_path: Path, parser: ReportParser, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FVLM_VAULT", str(tmp_path / "vault"))
    store, page = str(tmp_path / "store"), tmp_path / "page.html"
    (tmp_path / "r.csv").write_text(f'study_uid,report\n1,"{TEXT}"\n', encoding="utf-8")
    read = invoked("reports", str(tmp_path / "r.csv"), "--store", store, "--json")
    assert read.exit_code == 0, read.output
    assert json.loads(read.stdout)["tables"]["reports"] == 1
    assert invoked("reports", "--review", "--store", store, "--page", str(page)).exit_code == 0
    assert "liver_cyst" in page.read_text(encoding="utf-8")
    gold = tmp_path / "gold.jsonl"
    gold.write_text(json.dumps(gold_line(parser, status="absent")), encoding="utf-8")
    told = invoked("reports", "score", str(gold))
    assert told.exit_code == 0, told.output
    assert "liver_cyst (liver) is absent, found present" in told.output
    assert json.loads(invoked("reports", "score", str(gold), "--json").stdout)["reports"] == 1
    assert invoked("reports", "--store", store).exit_code != 0
    assert invoked("reports", "compare", "--store", store).exit_code != 0
    with serving(lambda number, body: completion([])) as server:
        llm = f"parse.llm={{endpoint: '{server.url}', model: m}}"
        compared = invoked("reports", "compare", "--store", store, "--set", llm)
        assert compared.exit_code == 0, compared.output
        assert "sentence 0: liver_cyst (liver): rules present, model -" in compared.output
        invoked("reports", "compare", "--store", store, "--set", llm)
        assert len(server.requests) == 1


def gold_of(tmp_path: Path, *lines: dict[str, Any]) -> Path:
    path = tmp_path / "gold.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def one_sentence(text: str, *findings: dict[str, Any]) -> dict[str, Any]:
    told = [{"anatomy": "lung", "status": "present", **one} for one in findings]
    return {"text": text, "sentences": [{"start": 0, "end": len(text), "findings": told}]}


def test_precision_and_recall_by_finding_status_side_and_size(tmp_path: Path, parser: ReportParser):
    nodule, effusion = {"finding": "lung_nodule"}, {"finding": "pleural_effusion"}
    lines = [
        one_sentence(
            "A 12 mm nodule in the right lung.", {**nodule, "size_mm": 12, "laterality": "right"}
        ),
        one_sentence(
            "A nodule of 9 mm, previously 7 mm.", {**nodule, "size_mm": 8, "prior_size_mm": 7}
        ),
        one_sentence("No pneumothorax.", nodule),
        one_sentence(
            "Moderate right and small left pleural effusions.",
            {**effusion, "laterality": "left"}, {**effusion, "laterality": "right"},
        ),
    ]  # fmt: skip
    told = score(list(read_gold(gold_of(tmp_path, *lines))), parser.parse)
    counted = {
        (kind, name): (one["both"], one["parse_only"], one["gold_only"])
        for kind, classes in told.by.items()
        for name, one in classes.items()
    }
    assert counted == {
        ("finding", "lung_nodule"): (2, 0, 1),
        ("finding", "pleural_effusion"): (2, 0, 0),
        ("finding", "pneumothorax"): (0, 1, 0),
        ("status", "present"): (4, 0, 1),
        ("status", "absent"): (0, 1, 0),
        ("side", "left"): (1, 0, 0),
        ("side", "right"): (2, 0, 0),
        ("size", "size_mm"): (1, 1, 1),
        ("size", "prior_size_mm"): (1, 0, 0),
    }
    assert told.by["finding"]["lung_nodule"]["recall"] == pytest.approx(2 / 3, abs=1e-3)
    assert told.by["finding"]["lung_nodule"]["precision"] == 1.0
    assert told.by["finding"]["pneumothorax"]["recall"] is None
    low, high = told.overall["finding"]["f1_95"]
    assert low <= told.overall["finding"]["f1"] <= high
    assert (
        "line 2, sentence 0: lung_nodule (lung): size_mm is 8 mm, found 9 mm" in told.disagreements
    )


def test_an_interval_of_a_share():
    assert wilson(0, 0) is None
    assert wilson(8, 10) == [0.4902, 0.9433]  # by hand, Wilson 1927
    assert wilson(10, 10) == [0.7225, 1.0]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (
            {"status": "presnt"},
            "sentences.0.findings.0.status: Input should be 'present', 'absent'",
        ),
        ({"size_mm": -3}, "sentences.0.findings.0.size_mm: "),
        ({"sidedness": "left"}, "sentences.0.findings.0.sidedness: Extra inputs"),
        (
            {"finding": "lung_nodul"},
            "sentences.0.findings.0.finding: not in the vocabulary.*lung_nod",
        ),
        ({"anatomy": "lungs"}, "sentences.0.findings.0.anatomy: not in the vocabulary.*lung"),
    ],
)
def test_a_fault_of_gold_is_told_by_line_and_field_and_no_word_of_the_text(
    tmp_path: Path, change: dict[str, Any], field: str
):
    right = one_sentence("Secret nodule.", {"finding": "lung_nodule"})
    wrong = one_sentence("Secret nodule.", {"finding": "lung_nodule", **change})
    path = gold_of(tmp_path, right, wrong)
    with pytest.raises(InputError, match=rf"line 2 is of another form; .*; {field}") as told:
        list(read_gold(path, EN))
    assert "Secret" not in str(told.value)
