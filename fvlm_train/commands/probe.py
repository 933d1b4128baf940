"""`fvlm-eval probe`."""

from __future__ import annotations

from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence, print_json_line, print_line, progress_shown
from fvlm_data.cli.dry import DryRunOption
from fvlm_data.extras import needs_extra
from fvlm_train.commands.dry import print_reading_intent
from fvlm_train.commands.options import (
    ConfigOption,
    JsonOption,
    LabelsOption,
    RunArgument,
    ScoresOption,
    SetOption,
    SplitOption,
    StoreOption,
    VaultOption,
)


def probe_command(
    run: RunArgument,
    store: StoreOption,
    split: SplitOption = "test",
    fit_on: Annotated[str, typer.Option("--fit-on", help="split that probes are fitted on")] = (
        "train"
    ),
    labels: LabelsOption = None,
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    vault: VaultOption = None,
    out: ScoresOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """AUC of linear and few-shot probes on the embeddings, finding by finding."""
    from fvlm_data.errors import InputError
    from fvlm_train.data.splits import open_split, other_split

    scores_file = out or run / f"probe_{split}.parquet"
    with one_sentence(), progress_shown() as show:
        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.commands.prepared import labels_of, prepared, write_table
            from fvlm_train.evaluate.probe import printed, probe
            from fvlm_train.evaluate.zero_shot import scores_table
        if fit_on == split:
            raise InputError(f"--fit-on {fit_on}: a probe is judged on another split than it is of")
        if dry_run:
            print_reading_intent(run, store, (fit_on, split), [scores_file], as_json=as_json)
            return
        ready = prepared(run, store, config_file, overrides)
        table = labels_of(labels, store, vault, ready.findings)
        sources = {"train": open_split(store, fit_on), "test": open_split(store, split)}
        other = other_split(store, split, ready.config.threshold_split)
        if other is not None and ready.config.threshold_split != fit_on:
            sources["validation"] = other
        parts = {name: ready.labelled(source, table, show) for name, source in sources.items()}
        result, scores, known = probe(
            parts,
            ready.config,
            labels.name if labels else "reports",
            lambda done, total: show("probe", done, total),
        )
        write_table(scores_table(scores, known), scores_file)
    if as_json:
        print_json_line({**result.as_json(), "scores": str(scores_file)})
        return
    for line in printed(result, ready.config):
        print_line(line)
    print_line(f"scores: {scores_file}")
