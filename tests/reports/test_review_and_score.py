from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.errors import InputError
from fvlm_data.reports import ReportParser
from fvlm_data.reports.review.page import review_page
from fvlm_data.reports.review.score import read_gold, score
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
