"""The bytes of a mask: of one file, or of a folder with one file a class."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

MASK_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha", ".dcm")
CLASS_FILE_SUFFIXES = (".nii", ".nii.gz")
DETACHED_SUFFIXES = (".mhd", ".nhdr", ".hdr")
"""Headers whose voxels lie in a file of their own, which are not read as masks."""

OF_MACOS = "._"
"""What names begin with that macOS writes beside each file of another file system."""


def ends_with(name: str, suffixes: str | tuple[str, ...]) -> bool:
    """Whether a file's name has one of the suffixes, in whatever case."""
    return name.lower().endswith(suffixes) and not name.startswith(OF_MACOS)


def stem(name: str) -> str:
    """The file's own name without folder and suffix; other names stay as they are."""
    # not `Path.stem`, which would cut the last component of a UID
    name = name.rsplit("/", 1)[-1]
    if name.lower().endswith(".dcm"):
        return name[: -len(".dcm")]
    for suffix in (".gz", ".nii", ".nrrd", ".seg", ".mha", *DETACHED_SUFFIXES):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return name


def class_files(folder: Path) -> list[Path]:
    """The files of a folder that may each hold one class, by name."""
    return sorted(p for p in folder.iterdir() if ends_with(p.name, CLASS_FILE_SUFFIXES))


def is_class_folder(folder: Path, class_names: frozenset[str]) -> bool:
    """Whether most of a folder's label maps are called as classes."""
    names = [stem(path.name) for path in class_files(folder)]
    known = sum(name in class_names for name in names)
    return known > 0 and 2 * known > len(names)


def told(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change, ns; of a folder those of its files.

    Raises:
        OSError: a file cannot be looked at.
    """
    stats = [one.stat() for one in _files(path)]
    return sum(one.st_size for one in stats), max((one.st_mtime_ns for one in stats), default=0)


def sha256(path: Path) -> str:
    """Hash of a file's bytes, or of the names and hashes of a folder's files.

    Raises:
        OSError: a file cannot be read.
    """
    if not path.is_dir():
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    hashes = {}
    for one in class_files(path):
        with one.open("rb") as handle:
            hashes[one.name] = hashlib.file_digest(handle, "sha256").hexdigest()
    return _of_folder(hashes)


def read(path: Path) -> tuple[dict[str, bytes], str]:
    """Contents by file name, and their hash as `sha256` gives it.

    Raises:
        OSError: a file cannot be read.
    """
    contents = {one.name: one.read_bytes() for one in _files(path)}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return contents, _of_folder(hashes) if path.is_dir() else hashes[path.name]


def _files(path: Path) -> Iterable[Path]:
    return class_files(path) if path.is_dir() else [path]


def _of_folder(hashes: Mapping[str, str]) -> str:
    lines = "".join(f"{name} {hashed}\n" for name, hashed in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
