"""The command `fvlm-data serve`, less the serving."""

from __future__ import annotations

import re
import socket
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.serve import server
from fvlm_data.store.declared import Context


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, str]]:
    """Applications that would be served, and the address at which each listens."""
    told: list[tuple[Any, str]] = []

    def run(application: Any, at: socket.socket) -> None:
        host, port = at.getsockname()[:2]
        told.append((application, f"http://{host}:{port}"))

    monkeypatch.setattr(server, "run", run)
    monkeypatch.delenv("FVLM_SERVE_TOKEN", raising=False)
    return told


def test_it_prints_where_it_listens_with_a_new_token(
    context: Context, started: list[tuple[Any, str]]
):
    command = ["serve", "--store", context.store.url, "--port", "0"]
    printed = [CliRunner().invoke(app, command).stdout for _ in range(2)]
    for text, (application, place) in zip(printed, started, strict=True):
        assert re.fullmatch(re.escape(place) + r"/\?token=[\w-]{40,}\n", text)
        client = TestClient(application, base_url=place)
        assert client.get("/").status_code == 401
        assert client.get(text.strip().removeprefix(place)).status_code == 200
        assert client.get("/compare.html").status_code == 200
        assert client.post("/review").status_code == 405
    assert len({text.partition("token=")[2] for text in printed}) == 2


def test_a_chosen_token_is_not_printed_and_an_open_address_warned_of(
    context: Context, started: list[tuple[Any, str]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FVLM_SERVE_TOKEN", "chosen by an operator")
    command = ["serve", "--store", context.store.url, "--port", "0", "--host", "0.0.0.0"]
    ended = CliRunner().invoke(app, [*command, "--allow-host", "ct.example"])
    assert ended.exit_code == 0
    assert ended.stdout.endswith("/?token=TOKEN\n")
    assert "http hides nothing" in ended.stderr
    client = TestClient(started[0][0], base_url="http://ct.example")
    sent = {"Authorization": "Bearer chosen by an operator"}
    assert client.get("/compare.html", headers=sent).status_code == 200


def test_a_port_that_is_taken_is_told(context: Context, started: list[tuple[Any, str]]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = CliRunner().invoke(app, ["serve", "--store", context.store.url, "--port", port])
    assert ended.exit_code == 2
    assert "cannot listen there" in ended.stderr
    assert started == []
