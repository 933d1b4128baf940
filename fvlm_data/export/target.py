"""The folder of an export: it appears when it is whole; a killed run is taken up by the next."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTIAL = ".partial"
PLAN = ".plan"


@dataclass(frozen=True, slots=True)
class Draft:
    """The folder while it is made. A file in it is whole: it is renamed once it is written."""

    folder: Path

    def done(self, path: str) -> bool:
        """Whether an earlier run of the same export has written the file."""
        return (self.folder / path).exists()

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """Write one file of the export."""
        final = self.folder / path
        final.parent.mkdir(parents=True, exist_ok=True)
        draft = final.with_name(f".{final.name}.tmp")
        with draft.open("wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(final)

    def write(self, path: str, content: bytes) -> None:
        """Write one file of the export at once."""
        with self.open(path) as handle:
            handle.write(content)


@contextmanager
def new_folder(folder: Path, plan: str) -> Iterator[Draft]:
    """A draft that becomes `folder` at the end.

    Until then it is named `<folder>.partial`, and remains if the run ends early. A later run with
    the same `plan` (hash of what is exported and how) keeps its files; any other starts over.

    Raises:
        InputError: `folder` holds something, is a mount point, or cannot be written.
    """
    folder = folder.resolve()
    try:
        check_free(folder)
        # beside the folder, so that both are on one file system and the last rename is atomic
        partial = folder.with_name(f"{folder.name}{PARTIAL}")
        mark = partial / PLAN
        if partial.exists() and not (mark.is_file() and mark.read_text("ascii") == plan):
            _remove(partial)
        if not partial.exists():
            partial.mkdir(parents=True)
            Draft(partial).write(PLAN, plan.encode("ascii"))
        yield Draft(partial)
        mark.unlink()
        partial.replace(folder)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise InputError(
            f"folder {folder}: cannot be written ({why}); free space or name another, then run "
            "again: finished files are kept"
        ) from error


def check_free(folder: Path) -> None:
    """Refuse (InputError) a folder that holds something, or cannot be replaced at the end."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"folder {folder}: not empty; expected a new or empty folder")
    if folder.is_mount():
        raise InputError(f"folder {folder}: is a mount point; name a new folder below it")


def _remove(partial: Path) -> None:
    """Remove what another export has left unfinished, and nothing else."""
    ours = {PLAN, f".{PLAN}.tmp"}  # the latter alone where a disk was full at once
    if not partial.is_dir() or not (
        (partial / PLAN).is_file() or ours.issuperset(path.name for path in partial.iterdir())
    ):
        raise InputError(
            f"folder {partial}: was not left by an export (no {PLAN}); move it away, its place "
            "is needed until the export is whole"
        )
    shutil.rmtree(partial)
