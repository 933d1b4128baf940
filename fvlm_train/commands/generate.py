"""`fvlm-eval generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fvlm_data.cli.console import one_sentence, print_json_line, print_line, progress_shown
from fvlm_data.cli.dry import DryRunOption, Intent, print_intent
from fvlm_data.extras import needs_extra
from fvlm_train.commands.options import ConfigOption, JsonOption, SetOption, SplitOption


def generate_command(
    records: Annotated[
        Path, typer.Argument(metavar="RECORDS", help="records.jsonl of an export report-generation")
    ],
    embeddings: Annotated[
        list[Path], typer.Option("--embeddings", help="embeddings.parquet; may be repeated")
    ],
    split: SplitOption = "test",
    fit_on: Annotated[str, typer.Option("--fit-on", help="split that is fitted on")] = "train",
    steps: Annotated[int, typer.Option("--steps", min=1, help="of the decoder")] = 1500,
    seed: Annotated[int, typer.Option("--seed", help="of weights and batches")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="folder for the written reports")
    ] = None,
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Reports written from embeddings, with and without context, and their scores."""
    from fvlm_data.errors import InputError

    with one_sentence(), progress_shown() as show:
        from fvlm_data.reports import ReportParser

        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.commands.prepared import evaluate_with_words
            from fvlm_train.evaluate.change import read_embeddings
            from fvlm_train.evaluate.generated.generate import (
                WAYS,
                generate,
                printed,
                write_reports,
            )
            from fvlm_train.generation.examples import read_records
            from fvlm_train.generation.write import Fit
        if fit_on == split:
            raise InputError(f"--fit-on {fit_on}: what is fitted is judged on another split")
        known = read_records(records)
        if dry_run:
            reads = {f"records of {one}": _of_split(known, one) for one in (fit_on, split)}
            places = [str(out / f"{way}.jsonl") for way in WAYS] if out is not None else []
            intent = Intent(reads=reads, makes={"files": len(places)}, notes=places)
            print_intent(intent, as_json=as_json)
            return
        config, vocabulary = evaluate_with_words(config_file, overrides)
        result = generate(
            known,
            read_embeddings(embeddings),
            (fit_on, split),
            Fit(steps=steps, seed=seed),
            ReportParser(vocabulary=vocabulary),
            config,
            show,
        )
        paths = write_reports(result, out) if out is not None else []
    if as_json:
        print_json_line({**result.as_json(), "written": [str(path) for path in paths]})
        return
    for line in [*printed(result, config.confidence), *(f"written: {path}" for path in paths)]:
        print_line(line)


def _of_split(records: list[dict[str, Any]], split: str) -> int:
    return sum(record["split"] == split for record in records)
