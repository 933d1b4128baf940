"""`fvlm-data export`: copies of a store in other forms."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fvlm_data.cli.console import one_sentence, out, progress_shown
from fvlm_data.cli.options import JsonOption, StoreOption, opened_context

if TYPE_CHECKING:
    from fvlm_data.export.run import Exported, Form

export = typer.Typer(help="Copies in other forms.", no_args_is_help=True)

FolderArgument = Annotated[Path, typer.Argument(metavar="OUT", help="new or empty folder")]
SplitOption = Annotated[
    list[str] | None, typer.Option("--split", help="train, validation or test; default: all")
]


@export.callback()
def _export() -> None:
    """Copies in other forms."""


@export.command("tables")
def export_tables(folder: FolderArgument, store: StoreOption, as_json: JsonOption = False) -> None:
    """Every table as one plain Parquet file."""
    import schemas
    from fvlm_data.export.tables import write_tables

    with one_sentence():
        write_tables(opened_context(store).store, folder)
    if as_json:
        told = {"format": "tables", "folder": str(folder), "files": len(schemas.TABLES)}
        out.print_json(json.dumps(told))
        return
    out.print(
        f"{len(schemas.TABLES)} tables in {folder}: docs/tables.md tells the columns", markup=False
    )


@export.command("webdataset")
def export_webdataset(
    folder: FolderArgument,
    store: StoreOption,
    max_mb: Annotated[int, typer.Option(min=1, help="greatest size of a tar file, in MB")] = 512,
    split: SplitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Samples as tar files of .npy arrays and JSON, for WebDataset."""
    from fvlm_data.export import webdataset
    from fvlm_data.export.run import Form

    write = partial(webdataset.write, max_bytes=max_mb * 1_000_000)
    form = Form("webdataset", {"max_mb": max_mb}, write)
    made = _exported(form, folder, store, split)
    _print(
        made,
        "dataset.json lists the tar files; docs/export.md shows how to open them",
        as_json=as_json,
    )


@export.command("nnunet")
def export_nnunet(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="new folder, as nnUNet_raw/Dataset501_Name", resolve_path=True
        ),
    ],
    store: StoreOption,
    split: SplitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Images and label maps as a raw dataset of nnU-Net v2."""
    from fvlm_data.export import nnunet
    from fvlm_data.export.run import Form

    with one_sentence():
        nnunet.check_name(folder)
    made = _exported(Form("nnunet", {}, nnunet.write), folder, store, split)
    number = folder.name.removeprefix("Dataset")[:3]
    hint = (
        f"nnUNetv2_plan_and_preprocess -d {number} --verify_dataset_integrity, then copy "
        f"{folder / nnunet.SPLITS} to nnUNet_preprocessed/{folder.name}: folds by patient"
    )
    _print(made, hint, as_json=as_json)


@export.command("monai")
def export_monai(
    folder: FolderArgument,
    store: StoreOption,
    split: SplitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Images, label maps and texts as NIfTI files and a datalist of MONAI."""
    from fvlm_data.export import monai
    from fvlm_data.export.run import Form

    made = _exported(Form("monai", {}, monai.write), folder, store, split)
    hint = f'monai.data.load_decathlon_datalist("{folder / monai.DATALIST}", True, "training")'
    _print(made, hint, as_json=as_json)


@export.command("huggingface")
def export_huggingface(
    folder: FolderArgument,
    store: StoreOption,
    split: SplitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Texts of anatomies as Parquet, one file a split, for Hugging Face datasets."""
    from fvlm_data.export import huggingface
    from fvlm_data.export.run import Form

    made = _exported(Form("huggingface", {}, huggingface.write), folder, store, split)
    _print(made, f'datasets.load_dataset("{folder}")', as_json=as_json)


def _exported(form: Form, folder: Path, store: str, splits: list[str] | None) -> Exported:
    from fvlm_data.export.run import run_export
    from fvlm_data.export.source import open_source

    with one_sentence(), progress_shown() as show:
        source = open_source(store, splits or ())
        return run_export(source, form, folder, lambda done, total: show("export", done, total))


def _print(made: Exported, hint: str, *, as_json: bool) -> None:
    if as_json:
        out.print_json(json.dumps(dataclasses.asdict(made)))
        return
    samples = ", ".join(f"{count} of {split}" for split, count in made.samples.items())
    out.print(
        f"{samples} in {made.folder}: {made.files} files, {made.size_bytes / 1e6:.1f} MB, "
        f"{made.seconds:.1f} s\nnext: {hint}",
        markup=False,
    )
