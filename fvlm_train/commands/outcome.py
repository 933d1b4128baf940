"""`fvlm-eval outcome`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence
from fvlm_data.extras import needs_extra
from fvlm_train.commands.options import ConfigOption, JsonOption, SetOption, SplitOption


def outcome_command(
    studies: Annotated[
        Path, typer.Argument(metavar="STUDIES", help="studies.parquet of an export")
    ],
    split: SplitOption = "test",
    fit_on: Annotated[str, typer.Option("--fit-on", help="split that is fitted on")] = "train",
    fdr: Annotated[
        float, typer.Option("--fdr", min=0, max=1, help="share of false discoveries allowed")
    ] = 0.05,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="columns to fit, as 'image:*:bands:*'; may be repeated"),
    ] = None,
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """AUC of an outcome by image, clinic, and both; findings enriched in it."""
    from fvlm_data.errors import InputError

    with one_sentence():
        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.commands.prepared import evaluate_config
            from fvlm_train.evaluate.outcome import judge, printed, read_studies
        if fit_on == split:
            raise InputError(f"--fit-on {fit_on}: what is fitted is judged on another split")
        config = evaluate_config(config_file, overrides)
        known, unknown = read_studies(studies)
        result = judge(known, fit_on, split, config, only or ())
    if as_json:
        typer.echo(json.dumps({**result.as_json(), "unknown": unknown}, allow_nan=False))
        return
    for line in printed(result, config.confidence, fdr):
        typer.echo(line)
    if unknown:
        typer.echo(f"\n{unknown} studies without a known outcome left out")
