"""Arguments and options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.cli.options import ConfigOption, JsonOption, SetOption, StoreOption

__all__ = [
    "ConfigOption",
    "JsonOption",
    "LabelsOption",
    "NewDataOption",
    "OutOption",
    "RunArgument",
    "ScoresOption",
    "SetOption",
    "SplitOption",
    "StoreOption",
    "VaultOption",
]

RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="folder of a trained run, or an exported model")
]
SplitOption = Annotated[str, typer.Option("--split", help="train, validation or test")]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="Parquet or CSV with study_uid or accession, finding, present; default: reports",
    ),
]
ScoresOption = Annotated[
    Path | None, typer.Option("--out", help="scores as Parquet; default in RUN")
]
VaultOption = Annotated[Path | None, typer.Option("--vault", help="folder of the store's vault")]
OutOption = Annotated[
    Path, typer.Option("--out", help="folder of the run; resumed if it has begun")
]
NewDataOption = Annotated[
    bool,
    typer.Option(
        "--continue-on-new-data",
        help="go on with a run although the samples are not those that it began with",
    ),
]
