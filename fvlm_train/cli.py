"""The commands `fvlm-train` and `fvlm-eval`."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fvlm_data.cli.console import one_sentence, print_json_line, print_line, progress_shown
from fvlm_data.cli.dry import DryRunOption, Intent, print_intent
from fvlm_data.cli.grammar import finish
from fvlm_data.cli.unforeseen import text_withheld
from fvlm_data.errors import InputError
from fvlm_data.extras import needs_extra
from fvlm_train.commands.attend import attend_command
from fvlm_train.commands.baseline import baseline_command
from fvlm_train.commands.cases import cases_command
from fvlm_train.commands.change import change_command
from fvlm_train.commands.compare import compare_command
from fvlm_train.commands.doubtful import doubtful_command
from fvlm_train.commands.dry import print_reading_intent
from fvlm_train.commands.embed import embed_command
from fvlm_train.commands.export import export_command
from fvlm_train.commands.generate import generate_command
from fvlm_train.commands.generated import generated_command
from fvlm_train.commands.nearest import nearest_command
from fvlm_train.commands.options import (
    ConfigOption,
    JsonOption,
    LabelsOption,
    NewDataOption,
    OutOption,
    RunArgument,
    ScoresOption,
    SetOption,
    SplitOption,
    StoreOption,
    VaultOption,
)
from fvlm_train.commands.organs import organs_command
from fvlm_train.commands.outcome import outcome_command
from fvlm_train.commands.pretrain import pretrain_command
from fvlm_train.commands.probe import probe_command
from fvlm_train.commands.retrieval import retrieval_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fvlm_data.shards import ShardDataset
    from fvlm_train.config import TrainConfig
    from fvlm_train.training.train import Foreseen, TrainSummary

SIGNAL_STATUS = 128
"""Plus the number of the signal that stopped a training: its exit status, as shells have it."""

train_app = typer.Typer(pretty_exceptions_enable=False)
pretrain_app = typer.Typer(pretty_exceptions_enable=False)
eval_app = typer.Typer(
    name="fvlm-eval",
    help="Evaluate trained models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@train_app.command(name="fvlm-train")
def train_command(
    config_file: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="configuration")],
    store: StoreOption,
    out: OutOption,
    overrides: SetOption = None,
    new_data: NewDataOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model on a store's shards, alone or under torchrun; run again to resume.

    Ctrl-C or SIGTERM end it after the step in progress: it is saved, the exit status is 130 or 143,
    and the same command goes on.
    """
    from fvlm_data.run.config import load_config
    from fvlm_train.config import parse_evaluate_config, parse_train_config
    from fvlm_train.data.splits import cache_of, open_split

    with one_sentence(), progress_shown() as show:
        with needs_extra("train", "fvlm-train"):
            from fvlm_train.evaluate.findings import store_findings
            from fvlm_train.evaluate.validate import validator
            from fvlm_train.report.curves import write_curves
            from fvlm_train.training.steps import Step
            from fvlm_train.training.train import foresee, train

        resolved = load_config(config_file, overrides or (), {"store": store})
        config = parse_train_config(resolved.train)
        cache = cache_of(config.reading)
        source = open_split(store, config.split, cache, config.purpose)
        validation = None
        if config.validation.every_steps is not None:
            validation = open_split(store, config.validation.split, purpose=config.purpose)
        if dry_run:
            sources = {config.split: source}
            if validation:
                sources[config.validation.split] = validation
            intent = _intent(foresee(config, source, out), config, sources, store, out)
            print_intent(intent, as_json=as_json)
            return

        def report(step: Step, steps: int) -> None:
            loss = "no loss" if step.loss is None else f"loss {step.loss:.3f}"
            taken_s = step.time_s + step.wait_s
            rate = f"{config.batch_size / taken_s:.1f} samples/s" if taken_s else ""
            waits = f"{step.wait_s / taken_s:.0%} waiting" if taken_s else ""
            auc = "" if step.validation_auc is None else f"AUC {step.validation_auc:.3f}"
            note = ", ".join(part for part in (loss, rate, waits, auc) if part)
            show("train", step.step, steps, note)

        findings = store_findings(store) if config.loss.asks_findings or validation else ()
        validate = None
        if validation:
            evaluated = parse_evaluate_config(resolved.evaluate)
            validate = validator(validation, findings, config, evaluated)
        summary = train(
            config, source, out, report, new_data=new_data, findings=findings, validate=validate
        )
        # of the ranks of torchrun the first
        if os.environ.get("RANK", "0") == "0":
            write_curves(out, config.anatomies)
    if as_json:
        print_json_line({**asdict(summary), "run": str(out)})
    else:
        for line in _trained_lines(summary, out, store, config_file):
            print_line(line)
    if summary.stop_signal is not None:
        raise typer.Exit(SIGNAL_STATUS + summary.stop_signal)


def _intent(
    seen: Foreseen, config: TrainConfig, sources: dict[str, ShardDataset], store: str, out: Path
) -> Intent:
    from fvlm_data.store.tables import Store

    opened = Store.open(store)
    size = sum(sum(opened.sizes(f"shards/{split}").values()) for split in sources)
    notes = [f"batches of {config.batch_size} samples, device {config.device}; run {out}"]
    restricted = sum(source.restricted for source in sources.values())
    if restricted:
        notes.append(f"{restricted} samples are left out as restricted")
    if seen.done:
        notes.append(f"{seen.done} of {seen.steps} steps are done: it would go on from there")
    return Intent(
        reads={f"samples of {split}": len(source) for split, source in sources.items()},
        read_bytes=size,
        makes={"steps": seen.steps - seen.done},
        notes=notes,
    )


def _trained_lines(
    summary: TrainSummary, out: Path, store: str, config_file: Path
) -> Iterator[str]:
    loss = "none" if summary.last_loss is None else f"{summary.last_loss:.3f}"
    more = ""
    if summary.corrected_pairs:
        more += f", targets of {summary.corrected_pairs} abnormal pairs corrected"
    if summary.damaged_reads:
        more += f", {summary.damaged_reads} samples that could not be read (see {out}/log.jsonl)"
    if summary.cut_texts:
        more += (
            f", {summary.cut_texts} of {summary.texts} texts longer than "
            "train.model.text.max_tokens and cut there"
        )
    yield (
        f"trained {summary.steps} of {summary.planned_steps} steps on {summary.samples} samples "
        f"in {summary.time_s:.0f} s, {summary.parameters / 1e6:.2f} M weights, last loss {loss}, "
        f"{summary.steps_without_loss} steps without an abnormal anatomy"
        f"{more}"
    )
    if summary.restricted:
        yield (
            f"{summary.restricted} samples were left out as restricted "
            f"({f'not for {summary.purpose}' if summary.purpose else 'no purpose named'})"
        )
    if summary.data_changes:
        yield (
            f"it went on with other samples {summary.data_changes} time(s): {out}/data.json tells "
            "from which steps"
        )
    if summary.prompted_findings == 0:
        yield (
            "train.loss.prompts: no label was learned, since no finding of a trained anatomy is "
            "present in, and absent from, as many samples as least_positives asks for"
        )
    elif summary.prompted_findings:
        yield (
            f"labels of {summary.prompted_findings} findings learned through prompts "
            "(train.loss.prompts)"
        )
    if summary.validation_auc is not None:
        yield (
            f"best mean AUC of validation {summary.validation_auc:.3f}, after step "
            f"{summary.validation_step}"
        )
    if summary.ended == "early_stop":
        yield (
            f"ended after step {summary.steps} of {summary.planned_steps} by "
            "train.validation.patience"
        )
    elif summary.ended != "complete":
        why = {"time_limit": "ended by train.time_limit_s", "stopped": "stopped by a signal"}
        yield (
            f"{why[summary.ended]} after step {summary.steps} of {summary.planned_steps}, which is "
            "saved; the same command goes on from there"
        )
    # its section `evaluate` says how to ask, which the run itself does not know
    yield f"next: fvlm-eval zero-shot {out} --store {store} --config {config_file}"


@eval_app.callback()
def _group() -> None:
    """Evaluate trained models."""


@eval_app.command(name="zero-shot")
def zero_shot_command(
    run: RunArgument,
    store: StoreOption,
    split: SplitOption = "test",
    labels: LabelsOption = None,
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    vault: VaultOption = None,
    out: ScoresOption = None,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", help="groups: sex, age, manufacturer, kernel, contrast; or all"),
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """AUC, rates and calibration of each finding from prompts, without training on any label."""
    import pyarrow.parquet

    from fvlm_data.run.config import load_config
    from fvlm_train.config import parse_evaluate_config
    from fvlm_train.data.splits import open_split, other_split

    scores_file = out or run / f"zero_shot_{split}.parquet"
    with one_sentence(), progress_shown() as show:
        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.evaluate.findings import store_findings
            from fvlm_train.evaluate.groups import ATTRIBUTES, sample_values
            from fvlm_train.evaluate.zero_shot import LabelsFile, printed, zero_shot
            from fvlm_train.report.card import write_card
            from fvlm_train.runs import write_json

        resolved = load_config(config_file, overrides or (), {"store": store})
        config = parse_evaluate_config(resolved.evaluate)
        if dry_run:
            files = [scores_file] if out else [scores_file, scores_file.with_suffix(".json")]
            print_reading_intent(run, store, (split,), files, as_json=as_json)
            return
        source = open_split(store, split)
        result, scores = zero_shot(
            run,
            source,
            store_findings(store, config.language),
            config,
            LabelsFile(labels, store, vault) if labels else None,
            lambda done, total: show("score", done, total),
            validation=other_split(store, split, config.threshold_split),
            values=sample_values(source, store, _attributes(by or (), ATTRIBUTES)),
        )
        try:
            scores_file.parent.mkdir(parents=True, exist_ok=True)
            pyarrow.parquet.write_table(scores, scores_file)
            if out is None:
                write_json(run / f"zero_shot_{split}.json", result.as_json())
                write_card(run)
        except OSError as error:
            raise InputError(
                f"scores {scores_file}: cannot be written ({type(error).__name__}); name another "
                "place by --out"
            ) from error
    if as_json:
        print_json_line({**result.as_json(), "scores": str(scores_file)})
        return
    for line in printed(result, config.confidence):
        print_line(line)
    print_line(f"scores: {scores_file}")


@eval_app.command(name="score")
def score_command(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="Parquet or CSV")],
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="Parquet or CSV")],
    validation_predictions: Annotated[
        Path | None,
        typer.Option("--validation-predictions", help="other scans, which choose the thresholds"),
    ] = None,
    validation_labels: Annotated[
        Path | None, typer.Option("--validation-labels", help="their labels")
    ] = None,
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """AUC, rates and calibration of anybody's predictions, by anybody's labels."""
    with one_sentence():
        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.commands.prepared import evaluate_with_words
            from fvlm_train.evaluate.names import FindingNames
            from fvlm_train.evaluate.score_files import Pair, printed, score_files
        config, vocabulary = evaluate_with_words(config_file, overrides)
        validation = None
        if validation_predictions is not None and validation_labels is not None:
            validation = Pair(validation_predictions, validation_labels)
        elif validation_predictions is not None or validation_labels is not None:
            raise InputError(
                "--validation-predictions and --validation-labels belong together: give both"
            )
        names = FindingNames(vocabulary.findings)
        result = score_files(Pair(predictions, labels), config, names, validation)
    if as_json:
        print_json_line(result.as_json())
        return
    for line in printed(result, config.confidence):
        print_line(line)


VERBS: dict[str, Callable[..., None]] = {
    "embed": embed_command,
    "retrieval": retrieval_command,
    "nearest": nearest_command,
    "organs": organs_command,
    "probe": probe_command,
    "baseline": baseline_command,
    "compare": compare_command,
    "cases": cases_command,
    "change": change_command,
    "outcome": outcome_command,
    "attend": attend_command,
    "doubtful": doubtful_command,
    "generate": generate_command,
    "generated": generated_command,
    "export": export_command,
}
for _name, _command in VERBS.items():
    eval_app.command(name=_name)(_command)

pretrain_app.command(name="fvlm-pretrain")(pretrain_command)
TRAIN_EXAMPLE = {"fvlm-train": "fvlm-train curate.yaml --store store --out run"}
PRETRAIN_EXAMPLE = {"fvlm-pretrain": "fvlm-pretrain curate.yaml --store store --out encoder"}
EXAMPLES = {
    "zero-shot": "fvlm-eval zero-shot run --store store --split test",
    "score": "fvlm-eval score predictions.csv labels.csv",
    "embed": "fvlm-eval embed run dicom/study --out embedded",
    "retrieval": "fvlm-eval retrieval run --store store --split test",
    "nearest": "fvlm-eval nearest run 'Calcified gallstone.' --anatomy gallbladder",
    "organs": "fvlm-eval organs run --store store --split test",
    "probe": "fvlm-eval probe run --store store --fit-on train --split test",
    "baseline": "fvlm-eval baseline run --store store --labels labels.csv",
    "compare": "fvlm-eval compare run_a run_b --split test",
    "outcome": "fvlm-eval outcome outcome/studies.parquet",
    "cases": "fvlm-eval cases cases.jsonl --embeddings embeddings.parquet",
    "change": "fvlm-eval change pairs_over_time.parquet --embeddings embeddings.parquet",
    "attend": "fvlm-eval attend run STUDY --store store --out pictures",
    "doubtful": "fvlm-eval doubtful run --store store --split train",
    "generate": "fvlm-eval generate records.jsonl --embeddings embeddings.parquet --out written",
    "generated": "fvlm-eval generated written.jsonl records.jsonl --split test",
    "export": "fvlm-eval export run exported",
}
finish(train_app, TRAIN_EXAMPLE)
finish(pretrain_app, PRETRAIN_EXAMPLE)
finish(eval_app, EXAMPLES)


def _attributes(given: Sequence[str], known: Sequence[str]) -> list[str]:
    names = [name.strip() for one in given for name in one.split(",")]
    wrong = [name for name in names if name not in (*known, "all")]
    if wrong:
        raise InputError(f"--by {wrong[0]}: expected {', '.join(known)} or all")
    return list(known) if "all" in names else list(dict.fromkeys(names))


def train_main() -> None:
    """Entry point of `fvlm-train`."""
    with text_withheld():
        train_app()


def pretrain_main() -> None:
    """Entry point of `fvlm-pretrain`."""
    pretrain_app()


def eval_main() -> None:
    """Entry point of `fvlm-eval`."""
    with text_withheld():
        eval_app()
