"""`fvlm-eval compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence, print_json_line, print_line
from fvlm_data.extras import needs_extra
from fvlm_train.commands.options import ConfigOption, JsonOption, SetOption, SplitOption


def compare_command(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="run, or a file of scores")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="run, or a file of scores")],
    split: SplitOption = "test",
    of: Annotated[str, typer.Option("--of", help="zero_shot or probe: whose scores")] = "zero_shot",
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Differences in AUC of two runs on the same samples: paired bootstrap, DeLong's test."""
    with one_sentence():
        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.commands.prepared import evaluate_config
            from fvlm_train.evaluate.compare import compare, printed, read_scores
        config = evaluate_config(config_file, overrides)
        name = f"{of}_{split}.parquet"
        result = compare(read_scores(run_a, name), read_scores(run_b, name), config)
    if as_json:
        print_json_line(result.as_json())
        return
    for line in printed(result, config):
        print_line(line)
