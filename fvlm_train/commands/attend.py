"""`fvlm-eval attend`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence, print_json_line, print_line, progress_shown
from fvlm_data.cli.dry import DryRunOption
from fvlm_data.errors import InputError
from fvlm_data.extras import needs_extra
from fvlm_train.commands.dry import print_inputs_intent
from fvlm_train.commands.embed import ClassesOption, MasksOption, OfStoreOption
from fvlm_train.commands.options import ConfigOption, JsonOption, RunArgument, SetOption


def attend_command(
    run: RunArgument,
    study: Annotated[
        str, typer.Argument(metavar="STUDY", help="study or sample id of --store, or images")
    ],
    store: OfStoreOption = None,
    masks: MasksOption = None,
    classes: ClassesOption = None,
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="folder of the pictures; default: RUN/attend")
    ] = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Which part of a scan each anatomy's embedding is made of, as PNG files.

    Where the run has model.organ.features, size and brightness of the organ join the embedding
    beside what is attended to.
    """
    folder = out or run / "attend"
    with one_sentence(), progress_shown() as show:
        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.commands.prepared import on_device
            from fvlm_train.commands.samples import Asked, configuration, samples
            from fvlm_train.config import parse_evaluate_config
            from fvlm_train.evaluate.attend import attention, told
            from fvlm_train.evaluate.attention_picture import write_picture
            from fvlm_train.evaluate.embed import check_spacing
            from fvlm_train.runs import trained_run
        if dry_run:
            print_inputs_intent(run, (study,), store, None, folder, as_json=as_json)
            return
        trained = on_device(trained_run(run))
        asked = Asked((study,), store, None, masks, classes)
        config = configuration(asked, config_file, overrides)
        evaluate = parse_evaluate_config(config.evaluate)
        written, lines = [], []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with samples(asked, config, show) as opened:
                check_spacing(trained, opened.source)
                for number in range(len(opened.source)):
                    for one in attention(trained, opened.source.read(number), evaluate):
                        path = folder / f"{one.sample_id}.{one.anatomy}.png"
                        write_picture(one, path)
                        written.append(str(path))
                        lines.append(told(one))
        except OSError as error:
            raise InputError(
                f"pictures {folder}: cannot be written ({type(error).__name__}); name another "
                "folder by --out"
            ) from error
        if not lines:
            raise InputError(
                f"{study}: shows none of the anatomies of the run, "
                f"{', '.join(trained.model.anatomies)}"
            )
    if as_json:
        print_json_line({"pictures": written, "attention": lines})
        return
    width = max(len(line["anatomy"]) for line in lines)
    print_line(f"{'anatomy':<{width}}  tokens  used  largest  organ in what is looked at (in all)")
    for line in lines:
        print_line(
            f"{line['anatomy']:<{width}}  {line['tokens']:>6}  {line['effective_tokens']:>4.1f}  "
            f"{line['largest']:>7.1%}  {line['within']:>6.0%} ({line['organ_share']:.0%})"
        )
    if trained.config.model.organ.features:
        print_line("The organ's size and brightness join these embeddings beside the attention.")
    print_line(f"{len(written)} pictures in {folder}")
