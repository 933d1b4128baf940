"""The command `fvlm-flow`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.console import one_sentence, print_summary

app = typer.Typer(
    name="fvlm-flow",
    help="The Prefect flow, without a server of your own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _commands() -> None:
    """The Prefect flow, without a server of your own."""


@app.command()
def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML configuration")],
    stage: Annotated[
        list[str] | None, typer.Option(help="only this stage; may be given several times")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the summary for machines")] = False,
) -> None:
    """Run the flow `curate` on Dask, with Prefect's temporary server (or PREFECT_API_URL's)."""
    from fvlm_data.config import load_config

    with one_sentence():
        load_config(config)  # a fault is told at once, not after the server's start
        from pipelines.curate import curate

        print_summary(curate(str(config), stage), as_json=as_json)


def main() -> None:
    """Entry point of the command."""
    app()
