"""`fvlm-pretrain`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fvlm_data.cli.console import one_sentence, print_json_line, print_line, progress_shown
from fvlm_data.cli.dry import DryRunOption, Intent, print_intent
from fvlm_data.extras import needs_extra
from fvlm_train.commands.options import (
    JsonOption,
    NewDataOption,
    OutOption,
    SetOption,
    StoreOption,
)

if TYPE_CHECKING:
    from fvlm_data.shards.stream import ShardStream
    from fvlm_train.config import TrainConfig

SIGNAL_STATUS = 128
"""Plus the number of the signal that stopped it: its exit status, as shells have it."""


def pretrain_command(
    config_file: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="configuration")],
    store: StoreOption,
    out: OutOption,
    overrides: SetOption = None,
    new_data: NewDataOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train an image encoder on samples without labels; run again to resume.

    RUN/encoder.safetensors is what train.model.init_image takes. Ctrl-C or SIGTERM end it after the
    step in progress, saved.
    """
    from fvlm_data.run.config import load_config
    from fvlm_data.shards.sets import LABELLED, UNLABELLED
    from fvlm_data.shards.stream import ShardStream
    from fvlm_train.config import parse_train_config
    from fvlm_train.data.splits import cache_of

    with one_sentence(), progress_shown() as show:
        with needs_extra("train", "fvlm-pretrain"):
            from fvlm_train.pretrain.run import pretrain
            from fvlm_train.pretrain.state import check_resumable, load
        resolved = load_config(config_file, overrides or (), {"store": store})
        config = parse_train_config(resolved.train)
        cache = cache_of(config.reading)
        of = UNLABELLED if config.pretrain.samples == "unlabelled" else LABELLED
        stream = ShardStream(store, config.split, of, cache, config.purpose)
        if dry_run:
            before = load(out)
            if before is not None:
                check_resumable(out, before, config)
            done = 0 if before is None else before.step
            print_intent(_intent(config, stream, out, done), as_json=as_json)
            return
        summary = pretrain(
            config,
            stream,
            out,
            lambda step, steps, loss: show("pretrain", step, steps, f"loss {loss:.3f}"),
            new_data=new_data,
        )
    if as_json:
        print_json_line({**asdict(summary), "run": str(out)})
    else:
        loss = "none" if summary.last_loss is None else f"{summary.last_loss:.3f}"
        print_line(
            f"pretrained {summary.steps} of {summary.planned_steps} steps on {summary.shards} "
            f"shards in {summary.time_s:.0f} s, {summary.encoder_parameters / 1e6:.2f} M weights "
            f"of the encoder, last loss {loss}"
        )
        print_line(
            f"next: fvlm-train {config_file} --store {store} --out RUN "
            f"--set train.model.init_image={out}/encoder.safetensors"
        )
    if summary.stop_signal is not None:
        raise typer.Exit(SIGNAL_STATUS + summary.stop_signal)


def _intent(config: TrainConfig, stream: ShardStream, out: Path, done: int) -> Intent:
    from fvlm_data.store.tables import Store

    place = f"{stream.of.folder}/{stream.split}"
    size = sum(Store.open(stream.store).sizes(place).values())
    given = config.pretrain
    notes = [f"{given.method}, batches of {given.batch_size} samples; run {out}"]
    if done:
        notes.append(f"{done} of {given.steps} steps are done: it would go on from there")
    return Intent(
        reads={f"shards of {stream.split}": len(stream.shards)},
        read_bytes=size,
        makes={"steps": given.steps - done},
        notes=notes,
    )
