"""`fvlm-eval export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence
from fvlm_data.extras import needs_extra
from fvlm_train.commands.options import JsonOption, RunArgument


def export_command(
    run: RunArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="new folder")],
    as_json: JsonOption = False,
) -> None:
    """Write a model as safetensors, config and torch.export program, laid out as on a hub."""
    with one_sentence():
        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.export import export_run
        made = export_run(run, out)
    if as_json:
        typer.echo(json.dumps(made.as_json(), allow_nan=False))
        return
    typer.echo(f"{made.parameters / 1e6:.2f} M weights in {made.folder}: {', '.join(made.files)}")
    window = " x ".join(map(str, made.window_zyx))
    typer.echo(
        f"image side: windows of {window} voxels (z, y, x), any number at once; differs from the "
        f"model by {made.largest_difference:.1e} at most"
    )
    typer.echo(
        f"next: python -c 'from fvlm_train.model import FVLM; FVLM.from_run(\"{made.folder}\")'"
    )
