"""`fvlm-data demo`: synthetic patients, all stages, a small model, its AUCs beside a baseline's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fvlm_data.cli.console import err, one_sentence, print_json, print_line
from fvlm_data.cli.dry import DryRunOption, Intent, print_intent
from fvlm_data.cli.options import JsonOption, SetOption
from fvlm_data.errors import FvlmError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONFIGURATION = "demo.yaml"
KEY = f"{7:064d}"
"""Fixed, so that ids, and with them the split, are the same everywhere."""

PROGRAMS = {
    "fvlm-data": "from fvlm_data.cli.main import main; main()",
    "fvlm-train": "from fvlm_train.cli import train_main; train_main()",
    "fvlm-eval": "from fvlm_train.cli import eval_main; eval_main()",
}
STDERR = 2
"""By its number: Python's own stream need not be a file (a notebook, a test)."""
NEEDS_TRAIN = ("fvlm-train", "fvlm-eval")

FEW = 200
SCORED_OF_FEW = "evaluate.min_positive_patients=1"
"""Of fewer patients than this most findings have too few positive ones for a mean AUC, often all,
and the table beside the baseline's would be empty; with this any finding counts."""


def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="new or empty folder of all that is made")
    ] = Path("demo"),
    patients: Annotated[int, typer.Option(min=1, help="number of synthetic patients")] = 300,
    overrides: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show the whole chain in minutes: make patients, curate, verify, train, print AUCs.

    Each command is printed before it runs: they are those that you would type yourself.
    """
    begun = time.monotonic()
    with one_sentence():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"demo: {folder} is not empty; name a new folder, or remove it first")
        commands = list(demo_commands(folder, patients, overrides or ()))
        trains = find_spec("torch") is not None
        runs = [one for one in commands if trains or one[0] not in NEEDS_TRAIN]
        if dry_run:
            notes = [" ".join(command) for command in runs]
            made = Intent(makes={"patients": patients}, notes=notes)
            print_intent(made, as_json=as_json)
            return
        write_demo_configuration(folder)
        for command in runs:
            _run(command, to_stderr=as_json)
    seconds = round(time.monotonic() - begun)
    page = str(folder / "store" / "qc" / "index.html")
    if as_json:
        print_json({"page": page, "folder": str(folder), "seconds": seconds, "trained": trains})
        return
    print_line("Synthetic patients: the figures say that the chain works, nothing about hospitals.")
    if not trains:
        print_line("No model was trained: that needs torch, pip install 'fvlm[train]'")
    print_line(f"{folder}: phantom (input), store (tables, shards, pages)"
               f"{', run (model)' if trains else ''}; {seconds} s")  # fmt: skip
    print_line(f"The page: {page}, or fvlm-data open --store {folder / 'store'}")


def demo_commands(
    folder: Path, patients: int, overrides: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    """The commands of the demonstration, as a person would type them."""
    config, store, run = (str(folder / name) for name in (CONFIGURATION, "store", "run"))
    phantom, truth = str(folder / "phantom"), str(folder / "phantom" / "truth.parquet")
    key = SCORED_OF_FEW.partition("=")[0]
    asked = any(one.partition("=")[0] == key for one in overrides)
    settings = overrides if asked or patients >= FEW else (SCORED_OF_FEW, *overrides)
    given = tuple(word for one in settings for word in ("--set", one))
    workers = ("--workers", "2")
    yield "fvlm-data", "phantom", phantom, "--patients", str(patients), "--seed", "7", *workers
    yield "fvlm-data", "curate", config, *given
    yield "fvlm-data", "verify", "--store", store
    yield "fvlm-train", config, "--store", store, "--out", run, *given
    scored = ("--config", config, "--store", store, "--labels", truth, *given)
    yield "fvlm-eval", "zero-shot", run, "--split", "test", *scored
    yield "fvlm-eval", "baseline", run, *scored


def write_demo_configuration(folder: Path) -> Path:
    """Write configuration and vault of the demonstration into a folder; returns the former's place.

    Raises:
        InputError: the folder cannot be written.
    """
    config, vault = folder / CONFIGURATION, folder / "vault"
    try:
        vault.mkdir(mode=0o700, parents=True)
        with os.fdopen(os.open(vault / "key", os.O_CREAT | os.O_WRONLY, 0o600), "w") as key:
            key.write(KEY)
        text = (files("fvlm_data.cli") / CONFIGURATION).read_text(encoding="utf-8")
        config.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"demo: {folder} cannot be written ({type(error).__name__}); name another folder"
        ) from error
    return config


def _run(command: Sequence[str], *, to_stderr: bool) -> None:
    program, *words = command
    err.print(f"$ {' '.join(command)}", markup=False)
    out = subprocess.DEVNULL if err.quiet else STDERR if to_stderr else None
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAMS[program], *words],
        check=False,
        stdout=out,
        stderr=subprocess.DEVNULL if err.quiet else None,
    )
    if ended.returncode:
        raise FvlmError(
            f"demo: it stopped at `{' '.join(command)}` (exit status {ended.returncode}); what it "
            "made is kept, and that command goes on from there"
        )
