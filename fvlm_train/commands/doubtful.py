"""`fvlm-eval doubtful`."""

from __future__ import annotations

from pathlib import Path
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
    SetOption,
    SplitOption,
    StoreOption,
    VaultOption,
)


def doubtful_command(
    run: RunArgument,
    store: StoreOption,
    split: SplitOption = "test",
    labels: LabelsOption = None,
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    vault: VaultOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help=".parquet or .jsonl; default in RUN")
    ] = None,
    shown: Annotated[int, typer.Option("--shown", min=1, help="rows printed")] = 20,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Rank labels that the model, cross-fitted by patient, doubts most; for the review page.

    Then: fvlm-data reports --review --doubtful FILE --store STORE
    """
    from fvlm_train.data.splits import open_split

    rows_file = out or run / f"doubtful_{split}.parquet"
    with one_sentence(), progress_shown() as show:
        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.commands.prepared import labels_of, prepared
            from fvlm_train.evaluate.doubtful import doubtful, printed
            from fvlm_train.evaluate.doubtful_rows import facts_of, write_rows
        if dry_run:
            print_reading_intent(run, store, (split,), [rows_file], as_json=as_json)
            return
        ready = prepared(run, store, config_file, overrides)
        table = labels_of(labels, store, vault, ready.findings)
        source = open_split(store, split)
        parts = ready.labelled(source, table, show)
        facts = facts_of(source, store, seen_in_training=split == ready.run.config.split)
        result = doubtful(
            parts, ready.config, facts, lambda done, total: show("judge", done, total)
        )
        write_rows(result, rows_file)
    if as_json:
        summary = {
            "rows": str(rows_file),
            "judged": len(result.rows),
            "doubted": sum(row.doubted for row in result.rows),
            "left_out": result.left_out,
            "seen_in_training": result.seen_in_training,
        }
        print_json_line(summary)
        return
    for line in printed(result, shown):
        print_line(line)
    print_line(f"rows: {rows_file}")
    print_line(f"next: fvlm-data reports --review --doubtful {rows_file} --store {store}")
