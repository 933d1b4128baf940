"""`fvlm-eval baseline`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence, print_json_line, print_line
from fvlm_data.cli.dry import DryRunOption
from fvlm_data.extras import needs_extra
from fvlm_train.commands.dry import print_reading_intent
from fvlm_train.commands.options import (
    ConfigOption,
    JsonOption,
    RunArgument,
    SetOption,
    StoreOption,
    VaultOption,
)


def baseline_command(
    run: RunArgument,
    store: StoreOption,
    labels: Annotated[
        Path,
        typer.Option(
            "--labels", help="Parquet or CSV with study_uid or accession, finding, present"
        ),
    ],
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    vault: VaultOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="folder that keeps the scores of both")
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """A logistic regression on eleven numbers of each organ, fitted on labels, beside the model."""
    with one_sentence():
        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.commands.prepared import evaluate_config
            from fvlm_train.evaluate.baseline import SPLITS, beside, differences, table_lines
            from fvlm_train.evaluate.zero_shot import LabelsFile
        if dry_run:
            print_reading_intent(run, store, SPLITS, [out] if out else [], as_json=as_json)
            return
        config = evaluate_config(config_file, overrides, store)
        found = beside(run, LabelsFile(labels, store, vault), config)
        lines = list(table_lines(*found))
        with tempfile.TemporaryDirectory() as scratch:
            kept = out or Path(scratch)
            kept.mkdir(parents=True, exist_ok=True)
            lines += differences(*found, config, kept)
    if as_json:
        print_json_line({
            name: {split: scored.aucs for split, scored in splits.items()}
            for name, splits in zip(("regression", "model"), found, strict=True)
        })  # fmt: skip
        return
    for line in lines:
        print_line(line)
