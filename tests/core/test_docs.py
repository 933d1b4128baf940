from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from fvlm_data.cli.main import app as data_app
from fvlm_data.run.config_docs import configuration_markdown
from fvlm_train.cli import eval_app, train_app
from fvlm_train.config_docs import training_markdown

DOCS = Path(__file__).resolve().parents[2] / "docs"
APPS = {"fvlm-data": data_app, "fvlm-train": train_app, "fvlm-eval": eval_app}


def test_configuration_page_is_up_to_date() -> None:
    written = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert written == configuration_markdown(), (
        "run: python -m fvlm_data.run.config_docs > docs/configuration.md"
    )


def test_training_page_is_up_to_date() -> None:
    written = (DOCS / "training.md").read_text(encoding="utf-8")
    assert written == training_markdown(), (
        "run: python -m fvlm_train.config_docs > docs/training.md"
    )


def printed_commands() -> list[tuple[str, str]]:
    """Lines of README and docs that begin with one of the three commands, less their comments."""
    pages = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
    return [
        (page.name, line.split(" #")[0].strip().replace("...", ""))
        for page in pages
        for line in page.read_text(encoding="utf-8").splitlines()
        if re.match(r"    (fvlm-data|fvlm-train|fvlm-eval) ", line)
    ]


@pytest.mark.parametrize(("page", "line"), printed_commands())
def test_printed_command_and_its_options_exist(page: str, line: str):
    name, *words = shlex.split(re.sub(r"[\[\]|]", " ", line))
    command = get_command(APPS[name])
    while isinstance(command, TyperGroup):
        below = command.commands.get(words[0]) or command.commands.get("read")
        assert below is not None, f"{page}: {line}"
        command, words = below, words[1:]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options, f"{page}: {line}"


def test_pages_that_are_linked_are_there():
    for page in [DOCS.parent / "README.md", *DOCS.rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
