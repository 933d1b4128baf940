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
    "RunArgument",
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
VaultOption = Annotated[Path | None, typer.Option("--vault", help="folder of the store's vault")]
