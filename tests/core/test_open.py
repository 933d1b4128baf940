from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from tests.qc.small_store import small_store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    context = small_store(tmp_path)
    for path in ("qc/index.html", *(f"qc/studies/{s}.html" for s in studies(context))):
        context.store.write_bytes(path, b"<html></html>")
    return Path(context.store.url)


def studies(context: object) -> list[str]:
    return context.store.read("volumes", ["study_id"])["study_id"].to_pylist()  # type: ignore[attr-defined]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: asked.append(url) or True)
    return asked


def said(*words: str) -> str:
    result = CliRunner().invoke(app, ["open", *words])
    assert result.exit_code == 0, result.stderr
    return result.stdout.strip()


def test_the_first_page(store: Path, opened: list[str]):
    page = said("--store", str(store))
    assert page == str(store / "qc" / "index.html")
    assert opened == [Path(page).as_uri()]


def test_the_page_of_a_study_by_its_volume(store: Path, opened: list[str]):
    from fvlm_data.store.tables import Store

    row = Store.open(store).read("volumes", ["study_id", "volume_id"]).to_pylist()[0]
    page = str(store / "qc" / "studies" / f"{row['study_id']}.html")
    assert said(row["study_id"], "--store", str(store), "--print") == page
    told = said(row["volume_id"], "--store", str(store), "--json")
    assert json.loads(told) == {"page": page}
    assert opened == []


def test_what_is_not_there_is_said(store: Path, opened: list[str]):
    result = CliRunner().invoke(app, ["open", "st_nowhere", "--store", str(store)])
    assert result.exit_code == 2
    assert "st_nowhere: no study, volume or sample" in result.stderr
    (store / "qc" / "index.html").unlink()
    result = CliRunner().invoke(app, ["open", "--store", str(store)])
    assert "write it by `fvlm-data qc --store" in result.stderr
