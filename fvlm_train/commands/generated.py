"""`fvlm-eval generated`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence, print_json_line, print_line
from fvlm_data.extras import needs_extra
from fvlm_train.commands.options import ConfigOption, JsonOption, SetOption


def generated_command(
    written: Annotated[
        Path, typer.Argument(metavar="WRITTEN", help="generated reports: JSON lines or CSV")
    ],
    references: Annotated[
        Path,
        typer.Argument(metavar="REFERENCES", help="true ones: the same, or records.jsonl"),
    ],
    split: Annotated[
        str | None, typer.Option("--split", help="references of this split alone")
    ] = None,
    label_set: Annotated[
        str, typer.Option("--label-set", help="labels that CRG is of")
    ] = "ct_rate",
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Scores of generated reports: findings read in both, CRG, BLEU, ROUGE-L, METEOR."""
    with one_sentence():
        from fvlm_data.reports import ReportParser

        with needs_extra("train", "fvlm-eval"):
            import nltk  # noqa: F401

            from fvlm_train.commands.prepared import evaluate_with_words
            from fvlm_train.evaluate.generated.files import read_reports
            from fvlm_train.evaluate.generated.score import printed, score_generated
        config, vocabulary = evaluate_with_words(config_file, overrides)
        known = read_reports(references, split)
        parser = ReportParser(vocabulary=vocabulary)
        result = score_generated(read_reports(written), known, parser, label_set, config)
    if as_json:
        print_json_line(result.as_json())
        return
    for line in printed(result, config.confidence):
        print_line(line)
