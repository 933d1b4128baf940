"""The log as JSON: one object a line, with run, stage, batch and items, and no text of others."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from fvlm_data.errors import InputError, StoreError
from fvlm_data.identity.vault import Vault
from fvlm_data.monitoring import logs
from fvlm_data.monitoring.logs import JsonLines, event, form_of_log, level_of_log, logged
from fvlm_data.run.config import load_config
from fvlm_data.run.records import Summary
from fvlm_data.run.watched import Watch
from fvlm_data.store.declared import Context
from fvlm_data.store.tables import Store


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Any:
    """What was written to standard error, as objects."""
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_event_is_one_object(lines: Any):
    with logged("json"):
        assert form_of_log() == "json"
        event("batch settled", run="r", stage="pair", batch=3, items=["st_1"], counts={"a": 1})
    (line,) = lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
    assert line == {
        "level": "info", "logger": "fvlm_data.events", "message": "batch settled", "run": "r",
        "stage": "pair", "batch": 3, "items": ["st_1"], "counts": {"a": 1},
    }  # fmt: skip
    assert form_of_log() == "text"


def test_the_text_of_other_libraries_and_of_exceptions_is_withheld(lines: Any):
    with logged("json"):
        logging.getLogger("pydicom").warning("PatientName %s", "DOE^JOHN")
        try:
            int("DOE^JOHN")
        except ValueError:
            logging.getLogger("fvlm_data.x").exception("stage pair failed")
    theirs, ours = lines()
    assert theirs["message"].startswith("withheld, of test_logs.py:")
    assert ours["message"] == "stage pair failed"
    assert ours["error"].startswith("ValueError at test_logs.py:")
    assert "DOE" not in str([theirs, ours])


def test_text_is_left_as_it_is_and_knows_no_events(caplog: pytest.LogCaptureFixture):
    with logged("text"):
        event("batch settled", run="r")
    assert caplog.records == []


def test_logging_is_as_before_when_the_block_ends():
    logger = logging.getLogger("fvlm_data")
    before = logger.handlers[:], logger.level, logger.propagate
    with logged("json", of="fvlm_data"):
        assert len(logger.handlers) == 1
        assert isinstance(logger.handlers[0].formatter, JsonLines)
    assert (logger.handlers, logger.level, logger.propagate) == before


def test_the_level_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(logs.LEVEL, "debug")
    assert level_of_log("INFO") == "DEBUG"
    monkeypatch.setenv(logs.LEVEL, "loud")
    with pytest.raises(InputError, match="FVLM_LOG: loud found"):
        level_of_log("INFO")


@pytest.fixture
def context(tmp_path: Path, vault_folder: Path) -> Context:
    return Context(Store.create(tmp_path / "store"), Vault.open(vault_folder), "run_1")


def test_a_run_tells_stage_batch_and_items(lines: Any, context: Context):
    config = load_config(None, (), {"store": context.store.url})
    summary = Summary("run_1", context.store.url, stages={"pair": {"accepted": 2}})
    watch = Watch(context, config, summary, None)
    with logged("json"), watch.run(["pair"]), watch.stage("pair"):
        watch.batch("pair", [("st_1", "key", ()), ("st_2", "key", ())], {"accepted": 2})
    told = lines()
    assert [line["message"] for line in told] == [
        "run begun", "stage begun", "batch settled", "stage ended", "run ended",
    ]  # fmt: skip
    assert {line["run"] for line in told} == {"run_1"}
    assert told[2]["items"] == ["st_1", "st_2"]
    assert (told[2]["batch"], told[3]["counts"]) == (1, {"accepted": 2})


def test_metrics_that_cannot_be_written_stop_a_run_at_its_beginning_only(
    context: Context, tmp_path: Path, lines: Any
):
    config = load_config(
        None,
        (),
        {"store": context.store.url, "monitoring": {"metrics": str(tmp_path / "m/x.prom")}},
    )
    watch = Watch(context, config, Summary("run_1", context.store.url), None)
    refused = pytest.raises(StoreError, match=r"monitoring\.metrics .* cannot be written")
    with refused, watch.run([]):
        pass
    (tmp_path / "m").mkdir()
    with logged("json"), watch.run([]):
        (tmp_path / "m" / "x.prom").unlink()
        (tmp_path / "m").rmdir()
    assert lines()[-1]["message"] == "metrics not written"
