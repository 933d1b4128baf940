"""`fvlm-eval export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.console import one_sentence, print_json_line, print_line
from fvlm_data.cli.dry import DryRunOption, Intent, print_intent
from fvlm_data.extras import needs_extra
from fvlm_train.commands.options import JsonOption, RunArgument


def export_command(
    run: RunArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="new folder")],
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a model as safetensors, config and torch.export program, laid out as on a hub."""
    with one_sentence():
        with needs_extra("train", "fvlm-eval"):
            from fvlm_train.export import check_new, export_run
            from fvlm_train.runs import trained_run
        if dry_run:
            trained_run(run)
            check_new(out)
            size = sum(one.stat().st_size for one in run.iterdir() if one.is_file())
            intent = Intent(reads={"runs": 1}, read_bytes=size, notes=[f"in {out}"])
            print_intent(intent, as_json=as_json)
            return
        made = export_run(run, out)
    if as_json:
        print_json_line(made.as_json())
        return
    print_line(f"{made.parameters / 1e6:.2f} M weights in {made.folder}: {', '.join(made.files)}")
    window = " x ".join(map(str, made.window_zyx))
    print_line(
        f"image side: windows of {window} voxels (z, y, x), any number at once; differs from the "
        f"model by {made.largest_difference:.1e} at most"
    )
    print_line(
        f"next: python -c 'from fvlm_train.model import FVLM; FVLM.from_run(\"{made.folder}\")'"
    )
