from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from fvlm_data.cli.main import app as data_app
from fvlm_data.run.config import load_config
from fvlm_data.run.config_docs import configuration_markdown
from fvlm_train.cli import eval_app, train_app

DOCS = Path(__file__).resolve().parents[2] / "docs"
COMMANDS = {
    "fvlm-data": get_command(data_app),
    "fvlm-train": get_command(train_app),
    "fvlm-eval": get_command(eval_app),
}


def test_configuration_page_is_up_to_date() -> None:
    written = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert written == configuration_markdown(), (
        "run: python -m fvlm_data.run.config_docs > docs/configuration.md"
    )


def test_configuration_page_tells_every_default_in_yaml() -> None:
    written = (DOCS / "configuration.md").read_text(encoding="utf-8")
    rows = [re.split(r" *(?<!\\)\| *", line) for line in written.splitlines() if line[:3] == "| `"]
    defaults = [row[2].strip("`") for row in rows]
    assert len(defaults) > 150
    assert not any("Undefined" in one or one in ("None", "True", "False") for one in defaults)
    for section in ("train.model.text", "train.loss.correction", "evaluate", "execution.dask"):
        assert f"## {section}\n" in written


def test_configuration_of_the_readme_loads(tmp_path: Path) -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    assert blocks
    for block in blocks:
        file = tmp_path / "config.yaml"
        file.write_text(block, encoding="utf-8")
        assert load_config(file).store == str(tmp_path / "store")
    assert load_config(DOCS.parent / "fvlm_data" / "cli" / "demo.yaml").train["preset"] == "small"


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
    command = COMMANDS[name]
    while isinstance(command, TyperGroup):
        context = typer.Context(command)
        below = command.get_command(context, words[0]) or command.get_command(context, "read")
        assert below is not None, f"{page}: {line}"
        command, words = below, words[1:]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options, f"{page}: {line}"


def test_pages_that_are_linked_are_there():
    for page in [DOCS.parent / "README.md", *DOCS.rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_what_the_page_of_proofs_names_is_there():
    text = (DOCS / "proof.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:tests|bench)/[^`\s]*|test_[a-z_0-9]+\.py)`", text)
    assert len(named) > 15
    for name in named:
        found = [DOCS.parent / name] if "/" in name else (DOCS.parent / "tests").rglob(name)
        assert any(one.exists() for one in found), name


def test_every_page_stands_once_in_the_navigation_of_the_site():
    site = yaml.safe_load((DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8"))
    entries = [one for part in site["nav"] for pages in part.values() for one in pages]
    listed = [one if isinstance(one, str) else next(iter(one.values())) for one in entries]
    assert len(listed) == len(set(listed))
    of_the_root = {"index.md", "contributing.md", "changelog.md", "security.md"}
    # the hook makes a page of each notebook
    notebooks = {f"notebooks/{one.stem}.md" for one in (DOCS / "notebooks").glob("*.ipynb")}
    pages = {page.name for page in DOCS.glob("*.md")}
    assert set(listed) - of_the_root == pages | notebooks
