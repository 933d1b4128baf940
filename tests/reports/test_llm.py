from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from fvlm_data.errors import ConfigError, FvlmError
from fvlm_data.reports.llm.client import EndpointRefusesError, LlmClient, NoAnswerError
from fvlm_data.reports.llm.compare import compare
from fvlm_data.reports.llm.config import LlmConfig
from fvlm_data.reports.llm.reader import LlmReader
from fvlm_data.run.config import load_config
from fvlm_data.store.tables import Store
from tests.reports.driven import ran, unplaced
from tests.reports.llm_server import Answer, Server, completion, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fvlm_data.reports import ReportParser

TEXT = "FINDINGS: A cyst of 12 mm in the liver. No pleural effusion.\nIMPRESSION: Hepatic cyst."
CYST = {
    "quote": "cyst",
    "finding": "liver_cyst",
    "anatomy": "liver",
    "status": "present",
    "laterality": None,
    "severity": None,
    "size_mm": 12,
    "count": None,
    "location": None,
    "change": None,
    "change_quote": None,
}
ENTRIES = [
    {"sentence": 0, "anatomies": ["liver"], "normal": [], "findings": [CYST]},
    {
        "sentence": 1,
        "anatomies": ["pleura"],
        "normal": ["pleura"],
        "findings": [
            {**CYST, "quote": "Pleural  EFFUSION", "finding": "pleural_effusion",
             "anatomy": "pleura", "status": "absent", "size_mm": None}
        ],
    },
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


def stored_in(store: Store) -> Callable[[str], bytes | None]:
    return lambda path: store.read_bytes(path) if store.exists(path) else None


class Bench:
    """A reader of a scripted endpoint; `waits` are the pauses that it would have made, s."""

    def __init__(self, server: Server, parser: ReportParser, store: Store, **settings: Any) -> None:
        self.server = server
        self.waits: list[float] = []
        config = LlmConfig(endpoint=server.url, model="m", **{"attempts": 3, **settings})
        client = LlmClient(config, self.waits.append)
        self.reader = LlmReader(config, parser, stored_in(store), client)


@pytest.fixture
def bench(parser: ReportParser, store: Store) -> Iterator[Callable[..., Bench]]:
    opened: list[Any] = []

    def make(script: Callable[[int, dict[str, Any]], Answer], **settings: Any) -> Bench:
        context = serving(script)
        made = Bench(context.__enter__(), parser, store, **settings)
        opened.append((context, made))
        return made

    yield make
    for context, made in opened:
        made.reader.close()
        context.__exit__(None, None, None)


def test_a_well_formed_answer_becomes_records(bench: Callable[..., Bench]):
    made = bench(lambda number, body: completion(ENTRIES))
    reading = made.reader.read(TEXT)
    cyst, effusion = reading.parsed.findings
    assert TEXT[cyst.start : cyst.end] == "cyst"
    assert (cyst.finding, cyst.anatomy, cyst.status, cyst.size_mm) == (
        "liver_cyst", "liver", "present", 12.0,
    )  # fmt: skip
    assert TEXT[effusion.start : effusion.end] == "pleural effusion"
    assert effusion.status == "absent"
    assert reading.parsed.sentences[1].anatomies[0] in ("lung", "pleura")
    assert reading.parsed.anatomy_states()["liver"].state == "abnormal"
    assert not reading.refused
    (request,) = made.server.requests
    assert request["path"] == "/v1/chat/completions"
    assert request["model"] == "m"
    assert request["response_format"]["json_schema"]["strict"] is True
    assert "0 [findings] A cyst of 12 mm in the liver." in request["messages"][1]["content"]


def changed(**values: Any) -> list[dict[str, Any]]:
    return [{**ENTRIES[0], "findings": [{**CYST, **values}]}]


@pytest.mark.parametrize(
    ("entries", "reason", "kept"),
    [
        (changed(quote="haemangioma"), "quote not in the sentence", 0),
        (changed(quote="Hepatic cyst"), "quote not in the sentence", 0),
        (changed(quote=""), "quote not in the sentence", 0),
        (changed(quote=7), "quote not in the sentence", 0),
        (changed(size_mm=25), "size not in the sentence", 1),
        (changed(count="2"), "count not in the sentence", 1),
        (changed(count="multiple"), "count not in the sentence", 1),
        (changed(count="1"), "count not in the sentence", 1),
        (changed(count="12"), "count not in the sentence", 1),
        (changed(count=12), "count not in the sentence", 1),
        (changed(location="segment 4"), "location not in the sentence", 1),
        (changed(location=["liver"]), "location not in the sentence", 1),
        (changed(change="new"), "change not in the sentence", 1),
        (changed(change="new", change_quote="newly seen"), "change not in the sentence", 1),
        (changed(finding="gout"), "unknown finding or anatomy", 0),
        (changed(finding="other_abnormality", anatomy="soul"), "unknown finding or anatomy", 0),
        (changed(status="likely"), "not of the schema", 0),
        ([{**ENTRIES[0], "sentence": 9}], "no such sentence", 0),
        ([{**ENTRIES[0], "sentence": True}], "no such sentence", 0),
        ([{**ENTRIES[0], "anatomies": ["soul"]}], "unknown anatomy", 1),
        ([{**ENTRIES[0], "findings": None}], "not of the schema", 0),
        (["cyst"], "no such sentence", 0),
    ],
)
def test_what_is_not_in_the_report_is_refused_and_counted(
    bench: Callable[..., Bench], entries: Any, reason: str, kept: int
):
    reading = bench(lambda number, body: completion(entries)).reader.read(TEXT)
    assert reading.refused[reason] == 1
    assert len(reading.parsed.findings) == kept
    assert all(mention.size_mm in (None, 12.0) for mention in reading.parsed.findings)
    assert all(m.count is m.location is m.change is None for m in reading.parsed.findings)


def test_count_location_and_change_are_kept_where_the_report_says_them(
    bench: Callable[..., Bench],
):
    text = "FINDINGS: Two cysts in liver  segments 4 and 5, slightly larger than before. 3 stones."
    cysts = {
        **CYST,
        "quote": "cysts",
        "size_mm": None,
        "count": "2",
        "location": "liver segments 4 AND 5",
        "change": "increased",
        "change_quote": "slightly larger than before",
    }
    stones = {**CYST, "quote": "stones", "finding": "gallstone", "size_mm": None, "count": "3"}
    entries = [
        {"sentence": 0, "anatomies": [], "normal": [], "findings": [cysts]},
        {"sentence": 1, "anatomies": [], "normal": [], "findings": [stones]},
    ]
    made = bench(lambda number, body: completion(entries))
    first, second = made.reader.read(text).parsed.findings
    assert (first.count, first.change) == ("2", "increased")
    assert first.location == "liver  segments 4 and 5"
    assert (second.count, second.location, second.change) == ("3", None, None)


def test_location_comes_back_from_the_kept_answer(bench: Callable[..., Bench], store: Store):
    made = bench(lambda number, body: completion(changed(location="in the liver")))
    reading = made.reader.read(TEXT)
    ((path, content),) = reading.files.items()
    assert b"in the liver" not in content
    store.write_bytes(path, content)
    again = made.reader.read(TEXT).parsed
    assert [mention.location for mention in again.findings] == ["in the liver"]
    assert again == reading.parsed
    assert len(made.server.requests) == 1


@pytest.mark.parametrize("content", ["I am sorry.", "[]", '{"entries": 3}', '{"other": []}'])
def test_a_malformed_answer_is_asked_for_again(bench: Callable[..., Bench], content: str):
    made = bench(lambda number, body: completion(content if number == 0 else ENTRIES))
    assert len(made.reader.read(TEXT).parsed.findings) == 2
    stubborn = bench(lambda number, body: completion(content))
    with pytest.raises(NoAnswerError, match="no JSON of the schema"):
        stubborn.reader.read(TEXT + " ")


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        ((429, {"Retry-After": "7"}, ""), 7.0),
        ((503, {}, ""), 1.0),
        ((200, {}, "<html>"), 1.0),
        ((200, {}, json.dumps({"choices": []})), 1.0),
        ((200, {}, None), 1.0),
        (completion(ENTRIES, finish_reason="length"), 1.0),
    ],
    ids=["rate limit", "overload", "no json", "no choice", "cut connection", "cut answer"],
)
def test_passing_failures_are_tried_again_with_growing_waits(
    bench: Callable[..., Bench], failure: Answer, told: float
):
    made = bench(lambda number, body: failure if number < 2 else completion(ENTRIES))
    assert len(made.reader.read(TEXT).parsed.findings) == 2
    assert made.waits == [told, max(told, 2.0)]
    never = bench(lambda number, body: failure)
    with pytest.raises(NoAnswerError, match="after 3 tries"):
        never.reader.read(TEXT + " ")


def test_time_out(bench: Callable[..., Bench]):
    release = threading.Event()

    def script(number: int, body: dict[str, Any]) -> Answer:
        release.wait(10)
        return completion(ENTRIES)

    made = bench(script, timeout_s=0.1, attempts=2)
    with pytest.raises(NoAnswerError, match="ReadTimeout after 2 tries"):
        made.reader.read(TEXT)
    release.set()


def test_a_refusing_endpoint_stops_the_run(bench: Callable[..., Bench]):
    made = bench(lambda number, body: (401, {}, "secret text"))
    with pytest.raises(EndpointRefusesError, match=r"status 401, expected 200; check parse.llm"):
        made.reader.read(TEXT)
    assert made.waits == []


def test_no_redirect_is_followed_and_no_proxy_used(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    away = bench(lambda number, body: completion(ENTRIES))
    made = bench(lambda number, body: (307, {"Location": f"{away.server.url}/x"}, ""))
    with pytest.raises(EndpointRefusesError, match="status 307"):
        made.reader.read(TEXT)
    assert away.server.requests == []


def test_key_from_the_environment(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FVLM_TEST_KEY", "sesame")
    made = bench(lambda number, body: completion(ENTRIES), api_key_env="FVLM_TEST_KEY")
    made.reader.read(TEXT)
    assert made.server.headers[0]["Authorization"] == "Bearer sesame"
    monkeypatch.delenv("FVLM_TEST_KEY")
    with pytest.raises(ConfigError, match="FVLM_TEST_KEY is not set"):
        bench(lambda number, body: completion(ENTRIES), api_key_env="FVLM_TEST_KEY")


def test_comparison_lists_where_rules_and_model_differ(
    bench: Callable[..., Bench], parser: ReportParser
):
    wrong = [changed(status="absent")[0], ENTRIES[1]]
    made = bench(lambda number, body: completion(wrong))
    told = compare([("r_1", TEXT)], parser, made.reader)
    assert (told.reports, told.equal) == (1, 0)
    cyst = next(d for d in told.differences if d.sentence == 0 and "cyst" in d.what)
    assert (cyst.rules, cyst.llm) == ("present", "absent")
    assert TEXT[:30] not in json.dumps(told.as_dict())


def configured(tmp_path: Path, url: str) -> Any:
    file = tmp_path / "r.csv"
    file.write_text(
        "study_uid,patient_name,report\n"
        '1,Mustermann^Erika,"Mustermann: a cyst of 12 mm in the liver. No pleural effusion."\n'
        '2,,"A cyst of 12 mm in the liver. No pleural effusion."\n',
        encoding="utf-8",
    )
    llm = {"endpoint": url, "model": "m", "attempts": 1}
    return load_config(
        values={
            "store": str(tmp_path / "store"),
            "identity": {"vault": str(tmp_path / "vault")},
            "reports": [{"path": str(file)}],
            "parse": {"backend": "llm", "llm": llm},
        }
    )


def test_stage_sends_scrubbed_text_only_and_asks_once(tmp_path: Path):
    with serving(lambda number, body: completion(ENTRIES)) as server:
        config = configured(tmp_path, server.url)
        context = ran(config)
        assert len(server.requests) == 2
        assert "mustermann" not in json.dumps(server.requests).lower()
        assert context.store.count("findings") == 4
        kept = b"".join(context.store.read_bytes(path) for path in context.store.files("llm"))
        assert b"liver_cyst" in kept
        assert b"12 mm" not in kept
        context.store.replace_all("ledger", [])
        ran(config)
        assert len(server.requests) == 2


def test_a_report_without_answer_is_set_aside_and_tried_by_the_next_run(tmp_path: Path):
    answers: list[Answer] = [(500, {}, ""), (500, {}, "")]
    with serving(lambda n, body: answers[n] if n < 2 else completion(ENTRIES)) as server:
        config = configured(tmp_path, server.url)
        context = ran(config)
        aside = context.store.read("quarantine").to_pylist()
        assert [row["reason"] for row in aside] == ["no_answer", "no_answer"]
        assert "status 500 after 1 tries" in aside[0]["detail"]
        assert unplaced(context) == []
        ran(config)
        assert context.store.count("quarantine") == 0
        assert context.store.count("reports") == 2


def test_an_endpoint_that_refuses_ends_the_run_with_a_sentence(tmp_path: Path):
    with serving(lambda number, body: (404, {}, "")) as server:
        config = configured(tmp_path, server.url)
        with pytest.raises(FvlmError, match="status 404"):
            ran(config)


def test_backend_needs_an_endpoint():
    with pytest.raises(ConfigError, match=r"needs parse\.llm\.endpoint"):
        load_config(values={"store": "s", "parse": {"backend": "llm"}})
