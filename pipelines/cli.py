"""The command `fvlm-flow`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence, print_summary
from fvlm_data.cli.dry import DryRunOption, print_forecast
from fvlm_data.cli.grammar import finish
from fvlm_data.cli.options import JsonOption, RetryOption
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
    retry: RetryOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run the flow `curate` on Dask, with Prefect's temporary server (or PREFECT_API_URL's)."""
    from fvlm_data.run.config import load_config

    with one_sentence():
        resolved = load_config(config)  # a fault is told at once, not after the server's start
        if dry_run:
            print_forecast(resolved, stage, rehash=False, retry=retry, as_json=as_json)
            return
        with needs_extra("flows", "fvlm-flow"):
            from pipelines.curate import curate

        print_summary(curate(str(config), stage, retry), as_json=as_json)


finish(app, {"run": "fvlm-flow run curate.yaml"})


def main() -> None:
    """Entry point of the command."""
    app()
