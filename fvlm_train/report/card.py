"""The model card of a run, RUN/MODEL_CARD.md: data, recipe, how it ended, figures, limits."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fvlm_train.config import parse_train_config
from fvlm_train.report.encoder import encoder_words
from fvlm_train.runs import CONFIG, SUMMARY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fvlm_train.config import TrainConfig

CARD = "MODEL_CARD.md"
SCORES = "zero_shot_*.json"
"""What `fvlm-eval zero-shot` leaves in the run, a file a split."""

ENDS = {
    "complete": "all steps were made",
    "time_limit": "ended by train.time_limit_s before its last step",
    "early_stop": "ended by train.validation.patience, as no validation was better any more",
    "stopped": "stopped by a signal before its last step",
}


def write_card(run: Path) -> None:
    """Write the card from what lies in the run; no patient, study or place is named in it.

    A run that an older version trained has no configuration beside it, and gets no card.
    """
    if not (run / CONFIG).is_file():
        return
    config = parse_train_config(json.loads((run / CONFIG).read_text(encoding="utf-8")))
    summary = json.loads((run / SUMMARY).read_text(encoding="utf-8"))
    scores = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(run.glob(SCORES))]
    splits = [path.stem.removeprefix("zero_shot_") for path in sorted(run.glob(SCORES))]
    parts = [
        "# Model card",
        "A fine-grained vision-language model of CT: regions of anatomies and the sentences of "
        "reports about them in one space (after fVLM, arXiv 2501.14548).",
        *_data(summary, config),
        *_recipe(summary, config),
        *_figures(splits, scores),
        *_limits(config),
    ]
    (run / CARD).write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _data(summary: dict[str, Any], config: TrainConfig) -> Iterator[str]:
    yield "## Data"
    yield (
        f"{summary['samples']} samples of {summary['patients']} patients, split `{config.split}`; "
        f"{summary['texts']} different texts, {summary['cut_texts']} of them cut at "
        f"{config.model.text.max_tokens} word pieces."
    )
    # a run of an older version tells neither
    if summary.get("samples_version") is not None:
        yield f"Read at version {summary['samples_version']} of the store's table `samples`."
    if summary.get("restricted"):
        why = f"not for {summary['purpose']}" if summary.get("purpose") else "no purpose named"
        yield f"{summary['restricted']} samples were left out as restricted ({why})."
    if summary.get("data_changes"):
        yield f"It went on with other samples {summary['data_changes']} time(s); see `data.json`."
    states = sorted({state for counts in summary["states"].values() for state in counts})
    rows = [f"| anatomy | {' | '.join(states)} |", f"|---|{'---|' * len(states)}"]
    for anatomy, counts in summary["states"].items():
        rows.append(f"| {anatomy} | {' | '.join(str(counts.get(s, 0)) for s in states)} |")
    yield "\n".join(rows)


def _recipe(summary: dict[str, Any], config: TrainConfig) -> Iterator[str]:
    text, rate = config.model.text, config.optimiser
    size = " x ".join(map(str, config.crop))
    low, high = config.window_hu
    yield "## Training"
    yield (
        f"Image side: {encoder_words(config.model)}, crops of {size}, {low:g} to "
        f"{high:g} HU; features of organs: {_organs(config)}. Text side: BERT, `{text.kind}`. "
        f"{summary['parameters'] / 1e6:.2f} M weights."
    )
    prompts = config.loss.prompts.weight
    yield (
        f"False negatives: policy `{config.loss.policy}`, correction "
        f"`{config.loss.correction.kind}`. Labels through prompts: "
        f"{f'weight {prompts:g}' if prompts else 'none'}. AdamW, learning rate "
        f"{rate.learning_rate:g}, batches of {config.batch_size}, seed {config.seed}, "
        f"{config.precision}, torch {version('torch')}."
    )
    yield (
        f"{summary['steps']} of {summary['planned_steps']} steps: {ENDS[summary['ended']]}. Last "
        f"loss {summary['last_loss']}, {summary['damaged_reads']} samples could not be read."
    )
    if summary.get("validation_auc") is not None:
        yield (
            f"Best mean AUC on split `{config.validation.split}` while training: "
            f"{summary['validation_auc']:.3f}, after step {summary['validation_step']}; the model "
            f"that is evaluated is the {config.validation.evaluated} one."
        )


def _organs(config: TrainConfig) -> str:
    organ = config.model.organ
    return f"of the {organ.features_of}" if organ.features else "none"


def _figures(splits: list[str], scores: list[dict[str, Any]]) -> Iterator[str]:
    yield "## Figures"
    if not scores:
        yield "Not evaluated yet: `fvlm-eval zero-shot` adds its table."
    for split, one in zip(splits, scores, strict=True):
        macro = one["macro"]
        if macro["auc"] is None:
            yield f"Split `{split}`: no finding has {macro['min_positive_patients']} patients."
            continue
        yield (
            f"Split `{split}`, labels `{one['labels']}`, of step {one['step']}: macro AUC "
            f"{macro['auc']:.3f} ({macro['low']:.3f} to {macro['high']:.3f}) over "
            f"{macro['findings']} findings, {one['samples']} samples of {macro['patients']} "
            "patients."
        )
        rows = [
            "| finding | anatomy | AUC | interval | positive | negative |",
            "|---|---|---|---|---|---|",
        ]
        for row in (row for row in one["table"] if row["in_macro"]):
            rows.append(
                f"| {row['finding']} | {row['anatomy']} | {row['auc']:.3f} | {row['low']:.3f} to "
                f"{row['high']:.3f} | {row['positives']} | {row['negatives']} |"
            )
        yield "\n".join(rows)
        if one["learned_findings"]:
            yield f"Not zero-shot, since learned as labels: {', '.join(one['learned_findings'])}."


def _limits(config: TrainConfig) -> Iterator[str]:
    yield "## Limits"
    yield (
        "Labels are read from reports by rules, masks come from a segmentation: both err. Scores "
        "hold for patients, scanners and reports like those of the data above, and for these "
        f"anatomies alone: {', '.join(config.anatomies)}. Not a medical device; not for decisions "
        "about patients."
    )
