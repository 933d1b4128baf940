"""DICOMDIR: the files that it names and that are not there (DICOM PS3.3 annex F, PS3.10 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fvlm_data.ingest.dicom.tags import quiet_pydicom
from fvlm_data.ingest.discovery.opener import opened
from fvlm_data.memory import lacks_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fvlm_data.ingest.discovery.opener import FileLocation

NAME = "DICOMDIR"
File = tuple[str, ...]
"""A file ID: the components of a path from the folder of the DICOMDIR."""


def is_dicomdir(name: str) -> bool:
    """Whether a file name is that of a DICOMDIR, as discs and their copies write it."""
    return _folded(name) == _folded(NAME)


def missing(place: FileLocation, there: Callable[[File], bool]) -> Iterator[File | None]:
    """File IDs that the DICOMDIR at `place` names and that are not `there`, each once.

    None stands for one that leads out of the file set. A DICOMDIR that cannot be read yields
    none: it has its own line in the tables.
    """
    for file in _named(place):
        if any(part in ("", ".", "..") or "/" in part or "\\" in part for part in file):
            yield None
        elif not there(file):
            yield file


def in_folder(folder: Path) -> Callable[[File], bool]:
    """Whether a file ID names a file below `folder`, upper and lower case taken as equal."""
    listed: dict[tuple[str, ...], set[str]] = {}

    def there(file: File) -> bool:
        if folder.joinpath(*file).is_file():
            return True
        for depth, part in enumerate(file):
            above = tuple(_folded(one) for one in file[:depth])
            if above not in listed:
                listed[above] = _listing(folder, above)
            if _folded(part) not in listed[above]:
                return False
        return True

    return there


def folded(file: File) -> str:
    """A file ID as one text, case and version suffix (`;1`) taken away."""
    return "/".join(_folded(part) for part in file)


def _named(place: FileLocation) -> list[File]:
    import pydicom

    try:
        with opened(place) as handle, quiet_pydicom():
            records = pydicom.dcmread(handle, force=True).get("DirectoryRecordSequence") or []
            named = [record.get("ReferencedFileID") for record in records]
    except Exception as error:  # pydicom raises any type on damaged files; its own line says so
        if lacks_memory(error):
            raise MemoryError from error
        return []
    files = (
        (name,) if isinstance(name, str) else tuple(str(part) for part in name)
        for name in named
        if name
    )
    return list(dict.fromkeys(files))


def _listing(folder: Path, above: tuple[str, ...]) -> set[str]:
    here = [folder]
    for part in above:
        here = [one for parent in here for one in _entries(parent) if _folded(one.name) == part]
    return {_folded(entry.name) for parent in here for entry in _entries(parent)}


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _folded(name: str) -> str:
    # ISO 9660 names are upper case with a version and may end in a dot; copies of discs lose some
    # of it
    return name.upper().removesuffix(";1").removesuffix(".")
