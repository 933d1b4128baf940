"""Names of the files below a folder, a bounded number of them, and folders that hold some."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fvlm_data.errors import InputError
from fvlm_data.store.tables import MARK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

FOLDERS_OF_A_LEVEL = 300
"""Folders looked into at each depth. One bound for all depths would be used up by the patients'
folders of a large archive before any file is seen."""

ENTRIES_OF_A_FOLDER = 20_000
FILES_OF_A_FOLDER = 200

One = TypeVar("One")


@dataclass(frozen=True, slots=True)
class Listing:
    """Names of files by their folder, sorted; `complete` says that nothing was passed over."""

    root: Path
    files: Mapping[Path, Sequence[str]]
    complete: bool

    def with_ending(self, endings: tuple[str, ...]) -> Iterator[Path]:
        """Files whose names end so, upper case or lower."""
        for folder, names in self.files.items():
            yield from (folder / name for name in names if name.lower().endswith(endings))


def listed(root: Path) -> Listing:
    """What lies below `root`, level by level; hidden entries and stores of ours are left out.

    Raises:
        InputError: `root` is no folder or may not be read.
    """
    files: dict[Path, Sequence[str]] = {}
    complete = True
    level, seen = [root], set[tuple[int, int]]()
    while level:
        looked_at = spread(level, FOLDERS_OF_A_LEVEL)
        complete = complete and len(looked_at) == len(level)
        level = []
        for folder in looked_at:
            names, below, whole = _entries(folder, seen, needed=folder == root)
            complete = complete and whole
            if names:
                files[folder] = names
            level += below
    return Listing(root, files, complete)


def spread(items: Sequence[One], limit: int) -> list[One]:
    """At most `limit` of the items, evenly spread."""
    if len(items) <= limit:
        return list(items)
    return [items[number * len(items) // limit] for number in range(limit)]


def fewest_folders(
    root: Path, wanted: Collection[Path], harmful: Collection[Path], others: Collection[Path] = ()
) -> list[Path]:
    """The fewest folders that hold all `wanted` ones, and no `harmful` one where that can be.

    Among such answers, a single folder without `others` is best; otherwise fewer folders, where
    more of the same may arrive later, are worth skipping the files of others in them.
    """
    if not wanted:
        return []
    apart = _apart(root, wanted, {*harmful, *others})
    if len(apart) == 1:
        return apart
    return _apart(Path(os.path.commonpath(wanted)), wanted, harmful)


def holds_any(folder: Path, others: Collection[Path]) -> bool:
    """Whether one of the others is the folder or lies below it."""
    return any(other.is_relative_to(folder) for other in others)


def _apart(top: Path, wanted: Collection[Path], others: Collection[Path]) -> list[Path]:
    if top in wanted or not holds_any(top, others):
        return [top]
    children = sorted({top / folder.relative_to(top).parts[0] for folder in wanted})
    return [
        found
        for child in children
        for found in _apart(child, [one for one in wanted if one.is_relative_to(child)], others)
    ]


def _entries(
    folder: Path, seen: set[tuple[int, int]], *, needed: bool
) -> tuple[list[str], list[Path], bool]:
    """Names of files, folders to look into, and whether these are all."""
    try:
        state = folder.stat()
        # links to folders may form a loop; device and inode identify a folder, its path does not
        if (state.st_dev, state.st_ino) in seen or (folder / MARK).exists():
            return [], [], True
        seen.add((state.st_dev, state.st_ino))
        with os.scandir(folder) as entries:
            taken = list(islice(entries, ENTRIES_OF_A_FOLDER + 1))
            shown = sorted((one.name, one.is_dir()) for one in taken if one.name[:1] != ".")
    except OSError as error:
        if needed:
            raise InputError(
                f"folder {folder}: cannot be read ({type(error).__name__}); name the folder that "
                "holds images and reports"
            ) from None
        return [], [], False
    names = [name for name, is_folder in shown if not is_folder]
    below = [folder / name for name, is_folder in shown if is_folder]
    kept = spread(names, FILES_OF_A_FOLDER)
    return kept, below, len(kept) == len(names) and len(taken) <= ENTRIES_OF_A_FOLDER
