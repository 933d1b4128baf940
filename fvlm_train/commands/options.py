"""Arguments and options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="folder of a trained run, or an exported model")
]
StoreOption = Annotated[str, typer.Option("--store", help="folder or URL of the store")]
SplitOption = Annotated[str, typer.Option("--split", help="train, validation or test")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="section.key=value, over the configuration")
]
JsonOption = Annotated[bool, typer.Option("--json", help="the summary for machines")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="YAML configuration")]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="Parquet or CSV with study_uid or accession, finding, present; default: reports",
    ),
]
VaultOption = Annotated[
    Path | None, typer.Option("--vault", help="folder of the vault, for --labels")
]
