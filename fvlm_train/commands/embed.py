"""`fvlm-eval embed`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence, print_json_line, print_line, progress_shown
from fvlm_data.cli.dry import DryRunOption
from fvlm_data.extras import needs_extra
from fvlm_train.commands.dry import print_inputs_intent
from fvlm_train.commands.options import ConfigOption, JsonOption, RunArgument, SetOption

InputsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[INPUT]...", help="DICOM folders, volume files, or study ids"),
]
MasksOption = Annotated[
    Path | None,
    typer.Option(
        "--masks",
        help="label maps of the images, in place of a backend: a folder, a manifest, or one file",
    ),
]
ClassesOption = Annotated[
    str | None, typer.Option("--classes", help="what their values mean, as of fvlm-data segment")
]
OfStoreOption = Annotated[
    str | None,
    typer.Option("--store", help="store of the studies; for images: whose settings and ids hold"),
]
REASONS_SHOWN = 5


def embed_command(
    run: RunArgument,
    inputs: InputsArgument = None,
    store: OfStoreOption = None,
    split: Annotated[
        str | None, typer.Option("--split", help="all of a split, in place of study ids")
    ] = None,
    masks: MasksOption = None,
    classes: ClassesOption = None,
    reveal: Annotated[
        bool,
        typer.Option("--reveal", help="write where each image lies; a path may name a patient"),
    ] = False,
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="folder of the tables; default: RUN/embed")
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Embeddings of each anatomy and scores of each finding, from DICOM on or of stored studies.

    Images are ingested, segmented by the configured backend and resampled as for training, in a
    temporary folder. --config names the configuration; without it that of --store holds.
    """
    with one_sentence(), progress_shown() as show:
        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.commands.prepared import on_device
            from fvlm_train.commands.samples import Asked, configuration, samples
            from fvlm_train.config import parse_evaluate_config
            from fvlm_train.evaluate.embed import embed, printed, write_tables
            from fvlm_train.runs import trained_run
        if dry_run:
            folder = out or run / "embed"
            print_inputs_intent(run, inputs or (), store, split, folder, as_json=as_json)
            return
        trained = on_device(trained_run(run))
        asked = Asked(tuple(inputs or ()), store, split, masks, classes, reveal)
        config = configuration(asked, config_file, overrides)
        findings = config.vocabulary.load().findings
        with samples(asked, config, show) as opened:
            found = embed(
                trained,
                opened.source,
                findings,
                parse_evaluate_config(config.evaluate),
                lambda done, total: show("embed", done, total),
            )
        tables = write_tables(found, out or run / "embed")
    aside = Counter(reason for _, reason, _ in opened.set_aside)
    if as_json:
        summary = {
            "samples": len(found.embeddings.sample_ids),
            "embeddings": int(found.embeddings.present_ba.sum()),
            "scores": len(found.scores),
            "set_aside": dict(aside),
            "tables": [str(path) for path in tables],
        }
        print_json_line(summary)
        return
    for line in printed(found):
        print_line(line)
    for stage, reason, detail in opened.set_aside[:REASONS_SHOWN]:
        print_line(f"set aside by {stage}, {reason}: {detail}")
    if len(opened.set_aside) > REASONS_SHOWN:
        counts = ", ".join(f"{reason} {number}" for reason, number in sorted(aside.items()))
        print_line(f"set aside in all: {counts}")
    if len(found.embeddings.sample_ids) and not found.embeddings.present_ba.any():
        print_line(
            "no anatomy of the run has a mask in these images: give --masks and --classes, or a "
            "segment.backend that finds them"
        )
    print_line(f"tables: {' and '.join(map(str, tables))}")
