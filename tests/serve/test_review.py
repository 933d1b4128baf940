"""Decisions posted from a page: the same rows as the command line writes, and from nowhere else."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from fvlm_data.qc.config import QcConfig
from fvlm_data.review.decisions import read_decisions, read_file, take_in
from fvlm_data.serve.app import application
from fvlm_data.serve.live import Live
from fvlm_data.store.declared import Context
from fvlm_data.vocabulary import Vocabulary
from schemas import AnatomyText, Finding
from tests.qc.small_store import hashed_store
from tests.serve.conftest import ACCESS, HOST, app_of, client_of


@pytest.fixture
def page(context: Context) -> TestClient:
    return page_of(context)


def page_of(context: Context) -> TestClient:
    """A browser that has loaded the page of a study, with what its script sends."""
    client = client_of(app_of(context, review=True))
    text = client.get("/studies/st_a.html").text
    (csrf,) = re.findall(r'data-csrf="([0-9a-f]+)"', text)
    client.headers |= {"X-CSRF-Token": csrf, "Content-Type": "application/json", "Origin": HOST}
    return client


def decisions(**changes: Any) -> dict[str, Any]:
    one = {
        "kind": "mask", "subject": "v_0:liver", "verdict": "wrong", "reason": "Holds the stomach",
        "reviewer": "radiologist_1", "decided_at": "2026-11-30T12:00:00Z", **changes,
    }  # fmt: skip
    return {"form": "fvlm-review 1", "decisions": [one]}


def test_rows_are_those_of_the_command_line(tmp_path: Path):
    own = hashed_store(tmp_path / "own")
    page = page_of(own)
    answer = page.post("/review", content=json.dumps(decisions()))
    assert (answer.status_code, answer.text) == (200, "1 decisions taken in")
    other = hashed_store(tmp_path / "other")
    file = tmp_path / "decisions.json"
    file.write_text(json.dumps(decisions()), encoding="utf-8")
    take_in(other, read_file(file), Vocabulary.load(), lambda subject, correction: None)
    assert read_decisions(own) == read_decisions(other)
    assert [one.reason for one in read_decisions(own)] == ["holds_the_stomach"]
    assert "1 were there already" in page.post("/review", content=json.dumps(decisions())).text


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"X-CSRF-Token": ""}, 403),
        ({"X-CSRF-Token": ACCESS.session}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Host": "evil.example"}, 421),
        ({"Cookie": ""}, 401),
    ],
)
def test_a_post_from_elsewhere_is_refused(
    page: TestClient, context: Context, sent: dict[str, str], status: int
):
    if "Cookie" in sent:
        page.cookies.clear()
    assert page.post("/review", content=json.dumps(decisions()), headers=sent).status_code == status
    assert read_decisions(context) == []


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"{", 400, "of another form at its beginning"),
        (json.dumps(decisions(verdict="maybe")).encode(), 400, "verdict"),
        (json.dumps(decisions(reviewer="Dr. Who")).encode(), 400, "reviewer"),
        (json.dumps(decisions(reviewer=None)).encode(), 400, "name your role"),
        (json.dumps(decisions(subject="v_0")).encode(), 400, "expected VOLUME_ID:ANATOMY"),
        (json.dumps(decisions(subject="v_9:liver")).encode(), 200, "0 decisions taken in; 1 on no"),
        (b" " * 1_000_001, 413, "at most"),
    ],
)
def test_what_is_of_no_use_is_told(
    page: TestClient, context: Context, body: bytes, status: int, told: str
):
    answer = page.post("/review", content=body)
    assert (answer.status_code, told in answer.text) == (status, True), answer.text
    assert read_decisions(context) == []


def test_only_decisions_are_taken(page: TestClient, context: Context):
    for path in ("/", "/search.html", "/review/"):
        assert page.post(path).status_code == 405
    assert page.get("/review").status_code == 405
    reader = client_of(app_of(context))
    assert "data-csrf" not in reader.get("/studies/st_a.html").text
    sent = {"X-CSRF-Token": ACCESS.csrf, "Content-Type": "application/json"}
    assert reader.post("/review", content=b"{}", headers=sent).status_code == 405


def test_the_queue_shows_what_is_doubted_until_it_is_judged(tmp_path: Path):
    context = hashed_store(tmp_path)
    rows = context.store.read("findings").to_pylist()
    doubted = [replace(Finding(**row), confidence="low", doubts=("far_cue",)) for row in rows]
    context.store.replace_all("findings", doubted)
    texts = [AnatomyText(**row) for row in context.store.read("anatomy_texts").to_pylist()]
    spans = {"st_a": ("r_st_a:10:40",), "st_b": ("r_st_b:10:31",)}
    context.store.replace_all(
        "anatomy_texts", [replace(r, sources=spans[r.study_id]) for r in texts]
    )
    page = page_of(context)
    text = page.get("/queue.html").text
    # the sentence with what is judged, escaped; where it is corrected; why it is asked for
    assert "There is a liver <mark>cyst</mark> of 12 mm" in text
    subject = "r_st_a:27:31:liver_cyst:liver:present"
    assert f'href="studies/st_a.html#judge={subject}"' in text
    assert "read with low confidence: far cue" in text
    assert "liver cyst (liver), present" in text
    assert "<script>document" not in text
    pairs = page.get("/queue.html", params={"kind": "pair"}).text
    assert re.findall(r'data-subject="([^"]+)"', pairs) == ["st_a:st_b:liver"]
    assert 'href="compare.html#st_a,st_b"' in pairs
    masks = page.get("/queue.html", params={"kind": "mask"}).text
    assert 'href="studies/st_a.html#judge=v_0:liver"' in masks
    told = {"kind": "pair", "subject": "st_a:st_b:liver"}
    assert page.post("/review", content=json.dumps(decisions(**told))).status_code == 200
    left = page.get("/queue.html", params={"kind": "pair"}).text
    assert "Nothing of this kind is doubted that is not judged." in left
    assert page.get("/queue.html", params={"kind": "scan"}).status_code == 400
    reader = client_of(app_of(context))
    assert reader.get("/queue.html").status_code == 404
    assert "queue.html" not in reader.get("/").text
    assert "queue.html" in page.get("/").text


def test_a_models_doubts_are_in_the_queue(tmp_path: Path):
    context = hashed_store(tmp_path / "store")
    path = tmp_path / "rows.jsonl"
    row = {"report_ids": ["r_st_b"], "finding": "splenomegaly", "anatomy": "spleen"}
    path.write_text(json.dumps({**row, "label": False, "probability": 0.9, "doubted": True}))
    live = Live(context.store, Vocabulary.load(), QcConfig())
    page = client_of(application(live, ACCESS, context, doubtful=path))
    text = page.get("/queue.html", params={"kind": "study"}).text
    assert re.findall(r'data-subject="([^"]+)"', text) == ["st_b"]
    assert "the model gives it 0.90" in text
