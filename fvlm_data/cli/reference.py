"""The page of all commands, from the commands themselves.

python -m fvlm_data.cli.reference > docs/commands.md
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer.main

from fvlm_data.export import EXPORTS

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = {
    "fvlm-data": "fvlm_data.cli.main:app",
    "fvlm-train": "fvlm_train.cli:train_app",
    "fvlm-pretrain": "fvlm_train.cli:pretrain_app",
    "fvlm-eval": "fvlm_train.cli:eval_app",
    "fvlm-flow": "pipelines.cli:app",
}
HEAD = """# Commands

Made from the code: `python -m fvlm_data.cli.reference > docs/commands.md`. One grammar holds for
all, and a test walks it:

- `--store`, `--config`, `--set section.key=value` say on what and how.
- `--json` prints the result for machines, on standard output and nothing beside it.
- `--quiet` says nothing but errors, and what `--json` gives.
- `--dry-run` says what would be read, made and left out, and writes nothing; a command that lacks
  it writes nothing in any case (but `vault relearn`, which knows only once it has read all, and
  `serve --review`).
- A command, option, stage or name of a finding with a typing error is told the nearest right one.
- Colours and bars are for terminals; a pipe or file gets plain lines.

| exit status | meaning |
|---|---|
| 0 | done, also with items set aside |
| 1 | a check does not hold (`verify`, `doctor`, `vault check`, `forget --check`) |
| 2 | it could not run; one sentence on standard error says why and what to do |
| 130, 143 | stopped by Ctrl-C or SIGTERM; what is settled is kept, the same command goes on |

Completion: `fvlm-data --install-completion` for bash, zsh and fish.
"""
OF_ALL = ("--json", "--quiet", "--dry-run", "--help", "--install-completion", "--show-completion")


def commands_markdown() -> str:
    """The page."""
    return (
        "\n".join([HEAD, *(line for name in PROGRAMS for line in _program(name))]).rstrip() + "\n"
    )


def walk(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Each command that does something, by its words."""
    if words == "fvlm-data export":
        names = list(EXPORTS.own)
    elif hasattr(command, "commands"):
        names = command.list_commands(None)
    else:
        yield words, command
        return
    for name in names:
        yield from walk(f"{words} {name}", command.get_command(None, name))


def program(name: str) -> Any:
    """The command of a program of ours; a package that needs an extra is imported now."""
    module, _, attribute = PROGRAMS[name].partition(":")
    return typer.main.get_command(getattr(import_module(module), attribute))


def _program(name: str) -> Iterator[str]:
    yield f"\n## {name}\n"
    for words, command in walk(name, program(name)):
        yield from _command(words, command)


def _command(words: str, command: Any) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    shared = [one.opts[0] for one in options if one.opts[0] in OF_ALL[:3]]
    usage = " ".join([words, *(_argument(one) for one in arguments)])
    yield f"### {words}\n\n`{usage}`\n"
    # the first paragraph is one sentence; more follows as in the help
    yield f"{_text(command.help or '')}\n"
    rows = [_row(_argument(one), one) for one in arguments]
    rows += [_row(_flag(one), one) for one in options if one.opts[0] not in OF_ALL]
    if rows:
        yield "| name | meaning |\n|---|---|"
        yield from rows
    if shared:
        yield f"{'' if not rows else chr(10)}Also {', '.join(f'`{one}`' for one in shared)}.\n"
    if command.epilog:
        yield f"    {command.epilog.removeprefix('Example: ')}\n"


def _argument(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _flag(option: Any) -> str:
    return " / ".join([*option.opts, *option.secondary_opts])


def _row(name: str, parameter: Any) -> str:
    told = _text(parameter.help or "")
    default = parameter.default
    plain = default is not None and not callable(default) and default is not False
    if parameter.required:
        told += " (required)"
    elif plain and default != () and not (isinstance(default, str) and not default):
        told += f" (default: {default})"
    return f"| `{name}` | {told} |"


def _text(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write(commands_markdown())
