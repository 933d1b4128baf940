from __future__ import annotations

import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed
from pydantic import ValidationError

from fvlm_data.errors import StoreError
from fvlm_data.isolation.limits import Ended, Limits
from fvlm_data.monitoring.config import MonitoringConfig
from fvlm_data.run.records import Summary
from pipelines.alarms import alarmed
from pipelines.artifacts import stage_rows, summary_text
from pipelines.batches import settle, worth_another_try
from pipelines.care import compact, forget, verify
from pipelines.curate import RunLimitError, check_limit, curate, ingest, reports
from pipelines.left_over import batches_crashed
from pipelines.withheld import ConnectionLostError, UnforeseenError, texts_withheld


def test_the_text_of_a_librarys_exception_is_withheld() -> None:
    with pytest.raises(UnforeseenError) as caught, texts_withheld():
        raise ValueError("PatientName DOE^JOHN")
    assert "ValueError at test_curate.py:" in str(caught.value)
    assert "DOE" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_our_own_sentences_pass() -> None:
    with pytest.raises(StoreError, match="no space left"), texts_withheld():
        raise StoreError("no space left")


def quoting() -> None:
    try:
        int("PatientName DOE^JOHN")
    except ValueError as error:
        raise StoreError("table volumes: cannot be read") from error


def test_what_caused_our_own_error_is_withheld() -> None:
    with pytest.raises(StoreError) as caught, texts_withheld():
        quoting()
    told = "".join(traceback.format_exception(caught.value))
    assert "cannot be read" in told
    assert "DOE" not in told


def test_a_flow_that_failed_is_logged_as_a_sentence_without_our_frames(tmp_path: Path) -> None:
    state: Any = curate.fn(str(tmp_path / "none.yaml"))
    assert state.is_failed()
    assert "none.yaml: not found; `fvlm-data init FOLDER` writes one" in state.message
    (line,) = traceback.format_exception(state.data)
    assert line.endswith(f"{state.message}\n")


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (StoreError("no space left"), False),
        (UnforeseenError("ValueError at x.py:1"), False),
        (ConnectionLostError("ConnectionResetError at x.py:1"), True),
    ],
)
def test_only_a_lost_connection_is_worth_another_try(error: Exception, again: bool) -> None:
    assert worth_another_try(None, None, Failed(data=error)) is again


@pytest.mark.parametrize("lost", [ConnectionResetError, TimeoutError])
def test_a_lost_connection_is_told_as_such(lost: type[Exception]) -> None:
    with pytest.raises(ConnectionLostError), texts_withheld():
        raise lost("DOE^JOHN")


def test_prefect_keeps_neither_results_nor_prints() -> None:
    assert settle.cache_policy is NO_CACHE
    assert settle.persist_result is False
    for flow in (curate, ingest, reports, verify, compact, forget):
        assert flow.persist_result is False
        assert flow.log_prints is False
        assert flow.on_failure_hooks == [alarmed]
        assert flow.on_crashed_hooks == [batches_crashed, alarmed]
    assert settle.task_run_name == "{stage} {number}"


@pytest.mark.parametrize(
    ("limit_s", "seconds", "done", "total"),
    [(None, 1e9, 1, 2), (10.0, 10.0, 1, 2), (10.0, 11.0, 2, 2)],
)
def test_a_run_within_its_limit_goes_on(
    limit_s: float | None, seconds: float, done: int, total: int
) -> None:
    check_limit(limit_s, seconds, "segment", done, total)


@pytest.mark.parametrize(("total", "told"), [(2, "1 of 2"), (0, "1 of an unknown number")])
def test_a_run_beyond_its_limit_ends_with_a_sentence(total: int, told: str) -> None:
    with pytest.raises(RunLimitError, match=f"stage segment: {told} done when execution"):
        check_limit(10.0, 10.5, "segment", 1, total)


def test_artifacts_hold_counts_codes_and_rates(tmp_path: Path) -> None:
    summary = Summary(
        "run_1",
        str(tmp_path / "chests"),
        stages={
            "discover ingest": {"files": 9, "accepted": 9},
            "discover segment": {"masks": 4, "accepted": 4},
            "segment": {"already settled": 1, "accepted": 3, "set_aside": 1, "fault:no_body": 1},
            "pair": {"already settled": 5, "retired": 0, "unchanged": 5},
        },
        stage_seconds={"segment": 120.0, "pair": 1.0},
        set_aside={"fault:no_body": 1},
        review={"mask held to be wrong": 2},
        qc_page="qc/index.html",
    )
    rows = stage_rows(summary)
    for row in rows:
        assert list(row) == [
            "stage", "found", "accepted", "set_aside", "already settled", "seconds",
            "items a minute", "unchanged",
        ]  # fmt: skip
    assert [list(row.values()) for row in rows] == [
        ["discover ingest", 9, 9, None, None, 0.0, None, None],
        ["discover segment", 4, 4, None, None, 0.0, None, None],
        ["segment", None, 3, 1, 1, 120.0, 2.0, None],
        ["pair", None, None, None, 5, 1.0, None, 5],
    ]
    text = summary_text(summary)
    assert "| fault:no_body | 1 |" in text
    assert "## Waiting\n\nnothing" in text
    assert "| mask held to be wrong | 2 |" in text
    assert f"`fvlm-data open --store {tmp_path / 'chests'}`" in text
    assert f"`{(tmp_path / 'chests' / 'qc' / 'index.html').as_uri()}`" in text
    assert f"`fvlm-data status --set-aside --store {tmp_path / 'chests'}`" in text
    # browsers refuse to follow such a link from a server's page
    assert "](file:" not in text
    # a browser follows a link to where the pages are served, and none to a file
    linked = summary_text(summary, "https://ct.ward.example/chests/")
    assert "[Pages of the store](https://ct.ward.example/chests/)" in linked
    assert "file://" not in linked


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ct.ward.example", "https://host/path"),
        ("file:///data/store/qc/index.html", "https://host/path"),
        ("http://127.0.0.1:8050/?token=abc", "without token"),
        ("https://reader:abc@ct.ward.example/", "without token"),
        ("https://ct.ward.example/a) [b](c", "without blanks"),
    ],
)
def test_an_address_that_everybody_may_see_is_asked_for(address: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        MonitoringConfig(pages=address)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({"accepted": 3, "set_aside": 1, "held": 0}, "3 accepted, 1 set_aside"),
        ({"already settled": 0}, "nothing"),
        (
            Ended("crashed", "ended by SIGSEGV"),
            "its process ended (crashed); the batch is split, or the item set aside",
        ),
    ],
)
def test_a_batch_ends_with_its_counts_as_message(
    result: Any, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Process:
        def run(self, settle: Any, batches: Any, arguments: Any, limits: Any) -> Any:
            return [(batches[0], result)]

    monkeypatch.setattr("pipelines.batches.own_process", lambda: nullcontext(Process()))
    state: Any = settle.fn("store", "run", "pair", 1, [("st_1", "key", ())], Limits(1.0))
    assert (state.name, state.message, state.data) == ("Completed", told, result)
