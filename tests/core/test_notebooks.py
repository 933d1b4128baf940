"""The notebooks of docs/notebooks: committed without outputs, and each cell of them runs."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def cells_of(notebook: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return found


def code_of(notebook: Path) -> list[str]:
    return ["".join(one["source"]) for one in cells_of(notebook) if one["cell_type"] == "code"]


def shown(value: object) -> str:
    """What a notebook shows of the value of a cell: its HTML, or its text."""
    html = getattr(value, "_repr_html_", None)
    return repr(value) if html is None else html()


def run_cell(code: str, names: dict[str, Any]) -> str | None:
    """Run a cell as a notebook does; what it shows of the last expression, None if it has none."""
    tree = ast.parse(code)
    *before, last = tree.body
    if not isinstance(last, ast.Expr):
        exec(compile(tree, "cell", "exec"), names)
        return None
    exec(compile(ast.Module(before, []), "cell", "exec"), names)
    value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    return None if value is None else shown(value)


def test_there_are_two():
    assert [one.stem for one in NOTEBOOKS] == ["first-look", "first-model"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda one: one.stem)
def test_it_is_kept_without_outputs(notebook: Path):
    told = json.loads(notebook.read_text(encoding="utf-8"))
    assert (told["nbformat"], told["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in told["cells"]]
    assert len(ids) == len(set(ids))
    for cell in told["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            # as a plain exec runs it: no magic, no shell
            ast.parse("".join(cell["source"]))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda one: one.stem)
def test_what_it_links_is_there(notebook: Path):
    text = "".join(
        line
        for one in cells_of(notebook)
        if one["cell_type"] == "markdown"
        for line in one["source"]
    )
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert links
    assert [one for one in links if not (FOLDER / one).exists()] == []


@pytest.mark.full
def test_each_cell_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """One after the other in one folder: the second finds the store that the first made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FVLM_VAULT")
    told: dict[str, list[str]] = {}
    for notebook in NOTEBOOKS:
        names: dict[str, Any] = {"__name__": "__main__"}
        seen = [run_cell(code, names) for code in code_of(notebook)]
        told[notebook.stem] = [one for one in seen if one is not None]
    printed = capsys.readouterr().out
    look, model = ("\n".join(told[name]) for name in ("first-look", "first-model"))
    assert "<p>7 studies</p>" in look
    assert "hepatic steatosis, liver" in printed
    assert "pleural effusion, lung, left, present, 12 mm" in printed
    assert "('complete', 40," in model
    assert "macro AUC" in model
    assert "<th>cosine</th>" in model
