"""The commands `fvlm-train` and `fvlm-eval`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence, progress_shown
from fvlm_data.errors import InputError
from fvlm_data.extras import needs_extra

StoreOption = Annotated[str, typer.Option("--store", help="folder or URL of the store")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="section.key=value, over the configuration")
]
JsonOption = Annotated[bool, typer.Option("--json", help="the summary for machines")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="YAML configuration")]

train_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
eval_app = typer.Typer(
    name="fvlm-eval",
    help="Evaluate trained models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@train_app.command(name="fvlm-train")
def train_command(
    config_file: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="configuration")],
    store: StoreOption,
    out: Annotated[Path, typer.Option("--out", help="folder of the run; resumed if it has begun")],
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model on a store's shards, alone or under torchrun; run again to resume."""
    from fvlm_data.run.config import load_config
    from fvlm_data.shards import ObjectCache, ShardDataset
    from fvlm_train.config import parse_train_config

    with one_sentence(), progress_shown() as show:
        with needs_extra("train", "fvlm-train"):
            from fvlm_train.training.train import Step, train

        resolved = load_config(config_file, overrides or (), {"store": store})
        config = parse_train_config(resolved.train)
        reading = config.reading
        cache = (
            ObjectCache(reading.disk_cache, reading.disk_cache_bytes)
            if reading.disk_cache
            else None
        )
        source = ShardDataset(store, config.split, cache)

        def report(step: Step, steps: int) -> None:
            loss = "no loss" if step.loss is None else f"loss {step.loss:.3f}"
            show(f"train, {loss}" if step.step == steps else "train", step.step, steps)

        summary = train(config, source, out, report)
    if as_json:
        typer.echo(json.dumps({**asdict(summary), "run": str(out)}))
        return
    loss = "none" if summary.last_loss is None else f"{summary.last_loss:.3f}"
    more = ""
    if summary.corrected_pairs:
        more += f", targets of {summary.corrected_pairs} abnormal pairs corrected"
    if summary.damaged_reads:
        more += f", {summary.damaged_reads} samples that could not be read (see {out}/log.jsonl)"
    typer.echo(
        f"trained {summary.steps} of {summary.planned_steps} steps on {summary.samples} samples "
        f"in {summary.time_s:.0f} s, {summary.parameters / 1e6:.2f} M weights, last loss {loss}, "
        f"{summary.steps_without_loss} steps without an abnormal anatomy"
        f"{more}\n"
        f"next: fvlm-eval zero-shot {out} --store {store}"
    )


@eval_app.callback()
def _group() -> None:
    """Evaluate trained models."""


@eval_app.command(name="zero-shot")
def zero_shot_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="folder of a trained run")],
    store: StoreOption,
    split: Annotated[str, typer.Option("--split", help="train, validation or test")] = "test",
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="Parquet or CSV with study_uid or accession, finding, present; default: reports",
        ),
    ] = None,
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    vault: Annotated[
        Path | None, typer.Option("--vault", help="folder of the vault, for --labels")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="scores as Parquet; default in RUN")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """AUC of each finding from two prompts, without training on any label."""
    import pyarrow.parquet

    from fvlm_data.run.config import load_config
    from fvlm_data.shards import ShardDataset
    from fvlm_train.config import parse_evaluate_config

    scores_file = out or run / f"zero_shot_{split}.parquet"
    with one_sentence(), progress_shown() as show:
        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.evaluate.findings import store_findings
            from fvlm_train.evaluate.zero_shot import LabelsFile, printed, zero_shot

        resolved = load_config(config_file, overrides or (), {"store": store})
        config = parse_evaluate_config(resolved.evaluate)
        result, scores = zero_shot(
            run,
            ShardDataset(store, split),
            store_findings(store),
            config,
            LabelsFile(labels, store, vault) if labels else None,
            lambda done, total: show("score", done, total),
        )
        try:
            scores_file.parent.mkdir(parents=True, exist_ok=True)
            pyarrow.parquet.write_table(scores, scores_file)
        except OSError as error:
            raise InputError(
                f"scores {scores_file}: cannot be written ({type(error).__name__}); name another "
                "place by --out"
            ) from error
    if as_json:
        typer.echo(json.dumps({**result.as_json(), "scores": str(scores_file)}))
        return
    for line in printed(result, config.confidence):
        typer.echo(line)
    typer.echo(f"scores: {scores_file}")


def train_main() -> None:
    """Entry point of `fvlm-train`."""
    train_app()


def eval_main() -> None:
    """Entry point of `fvlm-eval`."""
    eval_app()
