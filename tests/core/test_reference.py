"""Pages that are made from the code are those of the code now."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import fvlm_data
from fvlm_data.cli.reference import PROGRAMS, commands_markdown, program, walk
from fvlm_data.opened.reference import names, python_markdown
from fvlm_data.reports.language.notebook import shown_in_notebook

DOCS = Path(__file__).resolve().parents[2] / "docs"
HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("page", "made", "by"),
    [
        ("commands.md", commands_markdown, "fvlm_data.cli.reference"),
        ("python-names.md", python_markdown, "fvlm_data.opened.reference"),
    ],
)
def test_page_is_up_to_date(page: str, made: Any, by: str):
    written = (DOCS / page).read_text(encoding="utf-8")
    assert written == made(), f"run: python -m {by} > docs/{page}"


def test_every_command_has_its_place():
    written = (DOCS / "commands.md").read_text(encoding="utf-8")
    for name in PROGRAMS:
        for words, _ in walk(name, program(name)):
            assert f"### {words}\n" in written


def test_public_names_stay():
    """A name that is gone or new is a decision: then change the list."""
    pinned = (HERE / "public_names.txt").read_text(encoding="utf-8").split()
    assert names() == pinned


def test_the_package_gives_the_first_of_them():
    told = dir(fvlm_data)
    assert {"ReportParser", "Vocabulary", "__version__", "open_store"} <= set(told)
    assert callable(fvlm_data.open_store)


def test_a_notebook_shows_html(monkeypatch: pytest.MonkeyPatch):
    shown: list[str] = []
    display = SimpleNamespace(display=shown.append, HTML=lambda text: f"HTML {text}")
    shell = SimpleNamespace(kernel=None)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    assert shown_in_notebook(lambda: "<b>cyst</b>")
    assert shown == ["HTML <b>cyst</b>"]


def test_a_terminal_does_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=SimpleNamespace))
    assert not shown_in_notebook(lambda: "<b>cyst</b>")
    monkeypatch.delitem(sys.modules, "IPython")
    assert not shown_in_notebook(lambda: "<b>cyst</b>")
