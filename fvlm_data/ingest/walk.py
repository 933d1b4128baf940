"""Walking a source: every file below it once, in the order of its name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fvlm_data.ingest.config import SourceConfig


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One entry of a source: relative POSIX path, place, size and modification time.

    `problem` is empty, or the reason code why the entry cannot be opened as a file.
    """

    relative: str
    path: Path
    size_bytes: int = 0
    modified_ns: int = 0
    problem: str = ""


def walk(source: SourceConfig) -> Iterator[FoundFile]:
    """Every file of a source, sorted by path; links are followed, no folder entered twice.

    Raises:
        InputError: the source is missing, cannot be read, or holds no file at all.
    """
    root = source.path.expanduser()
    if root.is_file():
        yield _file(root, root.name)
        return
    if not root.is_dir():
        raise InputError(
            f"source {source.label}: {root} is no folder and no file; expected a folder of images; "
            "check the path"
        )
    empty = True
    for found in _walk_folder(root, "", set()):
        if found.problem == "unreadable_folder" and not found.relative:
            raise InputError(f"source {source.label}: {root} may not be read; check permissions")
        empty = False
        yield found
    if empty:
        raise InputError(
            f"source {source.label}: {root} holds no files; expected a folder of images; "
            "check the path"
        )


def _walk_folder(folder: Path, relative: str, seen: set[tuple[int, int]]) -> Iterator[FoundFile]:
    try:
        state = folder.stat()
        if (state.st_dev, state.st_ino) in seen:
            return
        seen.add((state.st_dev, state.st_ino))
        with os.scandir(folder) as entries:
            # real folders before links to them, so that a file has its own path, not a link's
            ordered = sorted(entries, key=lambda entry: (entry.is_symlink(), entry.name))
    except OSError:
        yield FoundFile(relative, folder, problem="unreadable_folder")
        return
    for entry in ordered:
        below = f"{relative}/{entry.name}" if relative else entry.name
        if entry.is_dir():
            yield from _walk_folder(Path(entry.path), below, seen)
        else:
            yield _file(Path(entry.path), below)


def _file(path: Path, relative: str) -> FoundFile:
    try:
        relative.encode()
    except UnicodeEncodeError:
        readable = relative.encode(errors="surrogateescape").decode(errors="backslashreplace")
        return FoundFile(readable, path, problem="file_name_not_unicode")
    try:
        state = path.stat()
    except OSError:
        return FoundFile(relative, path, problem="unreadable_file")
    problem = "" if path.is_file() else "not_a_file"
    return FoundFile(relative, path, state.st_size, state.st_mtime_ns, problem)
