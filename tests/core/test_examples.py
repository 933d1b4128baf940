"""The help of each command ends with an example, which is one of that command."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from fvlm_data.cli.main import app
from fvlm_data.export import EXPORTS
from fvlm_train.cli import eval_app, train_app

PROGRAMS = {"fvlm-data": app, "fvlm-eval": eval_app, "fvlm-train": train_app}


def commands() -> Iterator[tuple[str, Any]]:
    """Each command that does something, by its words."""

    def below(words: str, command: Any) -> Iterator[tuple[str, Any]]:
        if words == "fvlm-data export":
            yield from (
                (f"{words} {name}", command.get_command(None, name)) for name in EXPORTS.own
            )
        elif hasattr(command, "commands"):
            for name, one in command.commands.items():
                yield from below(f"{words} {name}", one)
        else:
            yield words, command

    for program, one in PROGRAMS.items():
        yield from below(program, typer.main.get_command(one))


def parsed(command: Any, arguments: list[str]) -> dict[str, Any]:
    """What the options of an example are; raises where it has one that the command lacks."""
    context = command.context_class(command)
    given, _, _ = command.make_parser(context).parse_args(args=list(arguments))
    return {name: value for name, value in given.items() if value is not None}


@pytest.mark.parametrize("words", sorted(dict(commands())))
def test_its_example_is_one_of_this_command(words: str):
    command = dict(commands())[words]
    assert command.epilog is not None, f"{words} has no example"
    example = command.epilog.removeprefix("Example: ")
    # `reports FILE` stands for `reports read FILE`
    begin = words.removesuffix(" read")
    assert example.startswith(f"{begin} ")
    given = parsed(command, shlex.split(example.removeprefix(begin)))
    lacking = [one.name for one in command.params if one.required and one.name not in given]
    assert lacking == []


def test_the_help_shows_it():
    shown = CliRunner().invoke(app, ["curate", "--help"]).stdout
    assert "Example: fvlm-data curate curate.yaml" in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(shell: str):
    given = {"_FVLM_DATA_COMPLETE": f"complete_{shell}", "COMP_WORDS": "fvlm-data cur"}
    given |= {"COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "fvlm-data cur"}
    given |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_WORD_TO_COMPLETE": "cur"}
    result = CliRunner().invoke(app, [], env=given, prog_name="fvlm-data")
    assert "curate" in result.stdout
    assert "verify" not in result.stdout
