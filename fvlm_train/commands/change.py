"""`fvlm-eval change`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence
from fvlm_data.extras import needs_extra
from fvlm_train.commands.options import ConfigOption, JsonOption, SetOption, SplitOption


def change_command(
    pairs: Annotated[
        Path, typer.Argument(metavar="PAIRS", help="pairs_over_time.parquet of an export")
    ],
    embeddings: Annotated[
        list[Path], typer.Option("--embeddings", help="embeddings.parquet; may be repeated")
    ],
    split: SplitOption = "test",
    fit_on: Annotated[str, typer.Option("--fit-on", help="split that is fitted on")] = "train",
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """AUC of change over time read off differences of embeddings, beside the finding alone."""
    from fvlm_data.errors import InputError

    with one_sentence():
        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.commands.prepared import evaluate_config
            from fvlm_train.evaluate.change import (
                printed,
                read_changes,
                read_embeddings,
                read_pairs,
            )
        if fit_on == split:
            raise InputError(f"--fit-on {fit_on}: what is fitted is judged on another split")
        config = evaluate_config(config_file, overrides)
        parts = read_pairs(pairs, read_embeddings(embeddings))
        result = read_changes(parts, fit_on, split, config)
    if as_json:
        typer.echo(json.dumps(result.as_json(), allow_nan=False))
        return
    for line in printed(result, config.confidence):
        typer.echo(line)
