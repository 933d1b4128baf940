from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from fvlm_data.qc.config import QcConfig
from fvlm_data.serve.access import Access, served_hosts
from fvlm_data.serve.app import application
from fvlm_data.serve.live import Live
from fvlm_data.store.declared import Context
from fvlm_data.vocabulary import Vocabulary
from tests.qc.small_store import hashed_store

TOKEN = "a token of a test"
ACCESS = Access(TOKEN, served_hosts("127.0.0.1", ()), 8050)
HOST = "http://127.0.0.1:8050"


def app_of(context: Context, *, review: bool = False, **settings: Any) -> Any:
    live = Live(context.store, Vocabulary.load(), QcConfig(**settings))
    return application(live, ACCESS, context if review else None)


def client_of(app: Any, *, known: bool = True) -> TestClient:
    """A browser; `known` says that it was given the token."""
    client = TestClient(app, base_url=HOST, follow_redirects=False)
    if known:
        assert client.get("/", params={"token": TOKEN}).status_code == 200
    return client


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """A store that the tests of a file share and do not change."""
    return hashed_store(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def client(context: Context) -> TestClient:
    """A browser with the token, of a server that only reads."""
    return client_of(app_of(context))
