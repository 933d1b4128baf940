"""Alarms go where the configuration says, and tell no identity."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Crashed, Failed

from fvlm_data.errors import InputError
from fvlm_data.monitoring import alarm as alarms
from fvlm_data.monitoring.alarm import Alarm, sound
from fvlm_data.monitoring.config import MailConfig, MonitoringConfig
from fvlm_data.run.config import load_config
from fvlm_data.run.private_paths import hidden
from fvlm_data.store.declared import Context
from fvlm_data.store.tables import Store
from pipelines.alarms import alarmed

ALARM = Alarm("curate", "curate chests 2026-03-01", "Failed", "StoreError")


class Hook(BaseHTTPRequestHandler):
    """Keeps what is posted; /moved points elsewhere, /broken fails."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, body))  # type: ignore[attr-defined]
        code = {"/moved": 307, "/broken": 500}.get(self.path, 200)
        self.send_response(code)
        if code == 307:
            self.send_header("Location", "/other")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = HTTPServer(("127.0.0.1", 0), Hook)
    server.got = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield SimpleNamespace(got=server.got, url=f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_failed_flow_is_told_to_the_webhook(hook: Any):
    assert sound(ALARM, MonitoringConfig(webhook=f"{hook.url}/hook")) == []
    ((path, body),) = hook.got
    assert path == "/hook"
    told = json.loads(body)
    assert told.pop("text").startswith("fvlm: flow curate, run 'curate chests 2026-03-01': Failed")
    assert told == {
        "flow": "curate", "run": "curate chests 2026-03-01", "state": "Failed",
        "kind": "StoreError",
    }  # fmt: skip


def test_no_redirect_is_followed(hook: Any):
    failed = sound(ALARM, MonitoringConfig(webhook=f"{hook.url}/moved"))
    assert failed == ["monitoring.webhook: answered 307"]
    assert [path for path, _ in hook.got] == ["/moved"]


def test_a_webhook_that_fails_is_told_without_its_address(hook: Any):
    assert sound(ALARM, MonitoringConfig(webhook=f"{hook.url}/broken")) == [
        "monitoring.webhook: answered 500"
    ]


def test_mail_goes_to_those_who_are_named(monkeypatch: pytest.MonkeyPatch):
    sent = []

    class Server:
        def __init__(self, host: str, port: int, timeout: float) -> None:
            self.place = host, port

        def __enter__(self) -> Server:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def send_message(self, message: Any) -> None:
            sent.append((self.place, message["From"], message["To"], message.get_content()))

    monkeypatch.setattr(alarms.smtplib, "SMTP", Server)
    mail = MailConfig(host="mail.ward.example", sender="fvlm@ward.example", to=("a@b", "c@d"))
    assert sound(ALARM, MonitoringConfig(mail=mail)) == []
    assert sent == [(("mail.ward.example", 25), "fvlm@ward.example", "a@b, c@d", f"{ALARM.text}\n")]


def test_nothing_is_sent_without_a_setting(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(alarms, "_post", fail)
    monkeypatch.setattr(alarms, "_mail", fail)
    assert sound(ALARM, MonitoringConfig()) == []


def test_the_hook_of_the_flows_tells_no_path_and_no_text_of_the_error(hook: Any, tmp_path: Path):
    file = tmp_path / "curate.yaml"
    file.write_text(f"store: store\nmonitoring: {{webhook: '{hook.url}/hook'}}\n")
    error = InputError("source /archive/Doe_John_19500101: not found")
    run = FlowRun(flow_id=uuid4(), name="curate store 2026-03-01", parameters={"config": str(file)})
    flow: Any = SimpleNamespace(name="curate")
    alarmed(flow, run, Failed(data=error, message=str(error)))
    ((_, body),) = hook.got
    assert json.loads(body)["kind"] == "InputError"
    assert b"Doe" not in body
    assert str(tmp_path).encode() not in body


def test_a_process_that_was_killed_is_told_by_the_name_on_the_page(hook: Any, tmp_path: Path):
    """The worker, which calls the hook then, has the run as it was before it began."""
    file = tmp_path / "curate.yaml"
    file.write_text(f"store: chests\nmonitoring: {{webhook: '{hook.url}/hook'}}\n")
    run = FlowRun(
        flow_id=uuid4(), name="umber-aardvark", parameters={"config": str(file)},
        expected_start_time=datetime(2026, 3, 1, 2, tzinfo=UTC),
    )  # fmt: skip
    flow: Any = SimpleNamespace(name="curate")
    alarmed(flow, run, Crashed(message="Process exited with status code: -9"))
    ((_, body),) = hook.got
    told = json.loads(body)
    assert (told["run"], told["state"]) == ("curate chests 2026-03-01", "Crashed")
    assert "umber" not in told["text"]


def test_the_store_is_told_a_token_of_the_webhook(context: Context):
    secret = "https://chat.example/hooks/verysecret"
    for names in ("token", "plain"):
        config = load_config(
            None, (f"identity.source_names={names}",),
            {"store": context.store.url, "monitoring": {"webhook": secret}},
        )  # fmt: skip
        written = str(hidden(context.vault, config))
        assert "verysecret" not in written
        token = hidden(context.vault, config)["monitoring"]["webhook"]
        assert context.vault.file_paths([token]) == {token: secret}


@pytest.mark.parametrize("url", ["ftp://host/x", "chat.example/hook", "https:///x"])
def test_a_webhook_is_a_web_address(url: str):
    with pytest.raises(ValueError, match="expected a URL"):
        MonitoringConfig(webhook=url)


@pytest.fixture
def context(tmp_path: Path, vault_folder: Path) -> Context:
    from fvlm_data.identity.vault import Vault

    return Context(Store.create(tmp_path / "store"), Vault.open(vault_folder), "run")
