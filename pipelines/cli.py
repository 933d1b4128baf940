"""The command `fvlm-flow`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import err, print_summary
from fvlm_data.errors import FvlmError
from fvlm_data.extras import needs_extra

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
    retry: Annotated[
        bool, typer.Option("--retry", help="try again what crashed, or ran out of time or memory")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="the summary for machines")] = False,
) -> None:
    """Run the flow `curate` on Dask, with Prefect's temporary server (or PREFECT_API_URL's)."""
    from fvlm_data.run.config import load_config

    try:
        load_config(config)  # a fault is told at once, not after the server's start
        with needs_extra("flows", "fvlm-flow"):
            from pipelines.curate import curate

        print_summary(curate(str(config), stage, retry), as_json=as_json)
    except FvlmError as error:
        err.print(f"error: {error}", markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        err.print("stopped; what is settled is kept: run again to go on", markup=False)
        sys.exit(130)


def main() -> None:
    """Entry point of the command."""
    app()
