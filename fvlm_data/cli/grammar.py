"""What all commands have in common: an example below the help, and --quiet."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fvlm_data.cli.console import quieted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

QuietOption = Annotated[
    bool, typer.Option("--quiet", help="say nothing but errors, and what --json gives")
]


def finish(app: typer.Typer, examples: Mapping[str, str]) -> None:
    """Give each command of `app` --quiet and its example below the help; each must have one."""
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        command.epilog = shown(examples[name])
        if command.callback is not None:
            command.callback = with_quiet(command.callback)


def with_quiet(command: Callable[..., Any]) -> Callable[..., None]:
    """A command that has the option --quiet too."""

    def run(*, quiet: bool, **given: Any) -> None:
        with quieted(quiet=quiet):
            command(**given)

    # typer reads the options of a command from the function's signature
    signature = inspect.signature(command, eval_str=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    option = inspect.Parameter("quiet", kind, annotation=QuietOption, default=False)
    given = [one.replace(kind=kind) for one in signature.parameters.values()]
    run.__signature__ = inspect.Signature([*given, option])  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in (*given, option)}
    run.__name__, run.__doc__ = getattr(command, "__name__", "run"), command.__doc__
    return run


def shown(example: str) -> str:
    """An example as a help shows it."""
    return f"Example: {example}"
