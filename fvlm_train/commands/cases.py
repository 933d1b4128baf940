"""`fvlm-eval cases`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence, print_json_line, print_line
from fvlm_data.extras import needs_extra
from fvlm_train.commands.options import ConfigOption, JsonOption, SetOption, SplitOption


def cases_command(
    cases: Annotated[Path, typer.Argument(metavar="CASES", help="cases.jsonl of an export cases")],
    embeddings: Annotated[
        list[Path], typer.Option("--embeddings", help="embeddings.parquet; may be repeated")
    ],
    split: SplitOption = "test",
    fit_on: Annotated[str, typer.Option("--fit-on", help="split that is fitted on")] = "train",
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="over the cases")] = 60,
    seed: Annotated[int, typer.Option("--seed", help="of weights and batches")] = 0,
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Mean AUC of a case's labels by attention over its images, by their mean, by the last."""
    from fvlm_data.errors import InputError

    with one_sentence():
        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.cases.dataset import by_volume
            from fvlm_train.cases.model import Fit
            from fvlm_train.cases.records import read_cases
            from fvlm_train.commands.prepared import evaluate_config
            from fvlm_train.evaluate.cases import judge_cases, printed
            from fvlm_train.evaluate.change import read_embeddings
        if fit_on == split:
            raise InputError(f"--fit-on {fit_on}: what is fitted is judged on another split")
        config = evaluate_config(config_file, overrides)
        embedded = by_volume(read_embeddings(embeddings, "volume_id"))
        result = judge_cases(
            read_cases(cases), embedded, (fit_on, split), Fit(epochs=epochs, seed=seed),
            config,
        )  # fmt: skip
    if as_json:
        print_json_line(result.as_json())
        return
    for line in printed(result, config.confidence):
        print_line(line)
