"""`fvlm-data export`: copies of a store in other forms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fvlm_data.commands.options import StoreOption, opened_context
from fvlm_data.console import one_sentence, out
from fvlm_data.errors import InputError

export = typer.Typer(help="Copies in other forms.", no_args_is_help=True)


@export.callback()
def _export() -> None:
    """Copies in other forms."""


@export.command("tables")
def export_tables(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="new or empty folder")],
    store: StoreOption,
) -> None:
    """Every table as one plain Parquet file."""
    import pyarrow.parquet as pq

    import schemas

    with one_sentence():
        opened = opened_context(store).store
        if folder.exists() and any(folder.iterdir()):
            raise InputError(f"folder {folder}: not empty; expected a new or empty folder")
        folder.mkdir(parents=True, exist_ok=True)
        for table in schemas.TABLES:
            pq.write_table(opened.read(table), folder / f"{table}.parquet")
    out.print(f"{len(schemas.TABLES)} tables in {folder}", markup=False)
