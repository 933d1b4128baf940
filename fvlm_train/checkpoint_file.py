"""One file that a training goes on from, in the folder of its run: written whole, read checked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


def write_checkpoint_file(run: Path, name: str, content: dict[str, Any]) -> None:
    """Write RUN/`name` under another name, then rename it: a kill leaves the old one.

    Raises:
        InputError: there is no room, or no folder to write to.
    """
    temporary = run / f"{name}.partial"
    try:
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            # before the rename, which must not survive a power cut without the bytes
            os.fsync(file.fileno())
        temporary.replace(run / name)
    except OSError as error:
        raise not_written(run, name, error) from error


def not_written(run: Path, name: str, error: OSError) -> InputError:
    """What is told where RUN/`name` cannot be written."""
    return InputError(
        f"run {run}: {name} cannot be written ({error.strerror or error}); the one before is kept, "
        "and the same command goes on from it"
    )


def read_checkpoint_file(
    run: Path, name: str, versions: Collection[int], program: str
) -> dict[str, Any] | None:
    """What RUN/`name` holds, a checkpoint of `program` in one of `versions`; None without a file.

    Raises:
        InputError: the file is damaged or of another version.
    """
    path = run / name
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and torch raise many kinds
        raise InputError(
            f"run {run}: {name} cannot be read ({type(error).__name__}); expected a "
            f"checkpoint of {program}; remove it to train anew"
        ) from error
    if not isinstance(content, dict) or content.get("version") not in versions:
        raise InputError(f"run {run}: {name} is not of version {max(versions)}; train anew")
    return content
