"""Who is answered: the token, the names of hosts, the methods, and what may be posted."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from fvlm_data.errors import InputError
from fvlm_data.serve.access import (
    Access,
    chosen_token,
    host_name,
    is_loopback,
    same,
    served_hosts,
)
from fvlm_data.store.declared import Context
from tests.serve.conftest import ACCESS, HOST, TOKEN, app_of, client_of

PATHS = (
    "/", "/index.html", "/compare.html", "/search.html?q=cyst", "/neighbours.html",
    "/assets/page.css", "/studies/st_a.html", "/volumes/x.js", "/planes/v_0.json",
    "/planes/v_0/axial/1.png", "/api/search?q=cyst", "/export/studies.csv?q=cyst", "/nothing",
)  # fmt: skip


@pytest.fixture
def stranger(context: Context) -> TestClient:
    return client_of(app_of(context), known=False)


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_answered_without_the_token(stranger: TestClient, path: str):
    for sent in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"{ACCESS.cookie}={TOKEN}"}):
        answer = stranger.get(path, headers=sent)
        assert answer.status_code == 401
        assert "token" in answer.text
        assert "set-cookie" not in answer.headers


def test_the_token_of_the_address_becomes_a_cookie(stranger: TestClient):
    assert stranger.get("/?token=wrong").status_code == 401
    entered = stranger.get("/", params={"token": TOKEN})
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    # nothing of the address stays: the page goes on to one without the token
    assert 'content="0; url=/"' in entered.text
    assert TOKEN not in entered.text
    assert stranger.get("/").status_code == 200


def test_scripts_send_the_token_as_bearer(stranger: TestClient):
    sent = {"Authorization": f"Bearer {TOKEN}"}
    assert stranger.get("/api/search?q=liver%20cyst", headers=sent).json()["studies"] == 2
    assert "set-cookie" not in stranger.get("/", headers=sent).headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8050", "127.0.0.1.evil.example", ""]
)
def test_another_name_of_the_host_is_refused(context: Context, host: str):
    client = client_of(app_of(context))
    assert client.get("/", headers={"Host": host}).status_code == 421
    assert client.get("/", params={"token": TOKEN}, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8050", "LOCALHOST", "[::1]:9", "127.0.0.1:22"])
def test_names_of_this_machine_are_served_at_any_port(client: TestClient, host: str):
    # a port of ssh -L is another one
    sent = {"Host": host, "Authorization": f"Bearer {TOKEN}"}
    assert client.get("/compare.html", headers=sent).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/review", "/studies/st_a.html"])
def test_a_reader_takes_no_other_method(client: TestClient, method: str, path: str):
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_headers_that_guard_it(client: TestClient, path: str):
    for answer in (client.get(path), client.post(path), client.get(path, headers={"Host": "x"})):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_head_has_no_body(client: TestClient):
    answer = client.head("/compare.html")
    assert (answer.status_code, answer.content) == (200, b"")


def test_secrets_are_compared_whole():
    assert same("abc", "abc")
    assert not same("abc", "abd")
    assert not same("é", "e")
    assert len({ACCESS.token, ACCESS.session, ACCESS.csrf}) == 3
    assert Access("other", ACCESS.hosts, 1).session != ACCESS.session


def test_a_token_is_of_a_file_or_the_environment_or_random(tmp_path: Path):
    file = tmp_path / "token"
    file.write_text("sixteen letters or more\n", encoding="utf-8")
    told = {"FVLM_SERVE_TOKEN": " another long enough token"}
    assert chosen_token(file, told) == ("sixteen letters or more", False)
    assert chosen_token(None, told) == ("another long enough token", False)
    first, second = (chosen_token(None, {}) for _ in range(2))
    assert first[1]
    assert len(first[0]) >= 40
    assert first != second
    file.write_text("short", encoding="utf-8")
    with pytest.raises(InputError, match="5 characters found, expected at least 16"):
        chosen_token(file, {})
    with pytest.raises(InputError, match="FVLM_SERVE_TOKEN: 0 characters"):
        chosen_token(None, {"FVLM_SERVE_TOKEN": ""})
    with pytest.raises(InputError, match="cannot be read"):
        chosen_token(tmp_path / "none", {})


def test_hosts_are_where_it_listens_and_what_is_allowed():
    assert served_hosts("127.0.0.1", ()) == {"127.0.0.1", "localhost", "::1"}
    assert served_hosts("0.0.0.0", ["CT.example"]) == {
        "127.0.0.1",
        "localhost",
        "::1",
        "ct.example",
    }
    assert served_hosts("10.0.0.7", ()) == {"10.0.0.7"}
    assert [host_name(one) for one in ("[::1]:80", "a:1", "B")] == ["::1", "a", "b"]
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert HOST.startswith("http://127.")
