"""Precomputed masks: which files there are, and what each one is called."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import yaml

from fvlm_data.column_names import shown_columns
from fvlm_data.errors import InputError
from fvlm_data.identity.ids import file_token
from fvlm_data.segment.config import LIBRARY_SYSTEMS
from fvlm_data.segment.dicom_seg import referenced_series
from fvlm_data.segment.library_classes import library_classes
from fvlm_data.segment.mask_content import (
    CLASS_FILE_SUFFIXES,
    DETACHED_SUFFIXES,
    MASK_SUFFIXES,
    ends_with,
    is_class_folder,
    stem,
)
from fvlm_data.store.declared import Reject

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fvlm_data.segment.config import SegmentConfig

Naming = Literal["token", "plain"]

SOURCE = "masks"
SEGMENTATIONS = "segmentations"
"""TotalSegmentator's data set keeps a case's classes in CASE/segmentations."""


@dataclass(frozen=True, slots=True)
class MaskFile:
    """One mask on offer: `name` is what names its volume, `declared` its classes.

    `fault` says why the file must not be read.
    """

    token: str
    relative: str
    path: Path
    name: str
    declared: str
    fault: Reject | None = None


def list_mask_files(config: SegmentConfig, key: bytes, naming: Naming) -> list[MaskFile]:
    """All masks of the folder or manifest, in the order of their tokens, without repeats.

    Raises:
        InputError: the folder or manifest is missing or has not the expected form.
    """
    place = config.masks
    if place is not None and place.is_dir():
        names = class_names(config, place)
        rows = [(_name(path), str(path.relative_to(place)), "") for path in _below(place, names)]
        folder = place
    elif place is not None and place.is_file():
        rows, folder = _manifest(place), place.parent
    else:
        raise InputError(
            f"masks {place}: neither a folder nor a manifest file; expected a folder of "
            f"{', '.join(MASK_SUFFIXES)} files or a CSV with columns volume and mask"
        )
    found = {
        _mask_file(folder, name, mask, declared or config.classes or "", key, naming)
        for name, mask, declared in rows
    }
    return sorted(found, key=lambda mask: (mask.token, mask.name, mask.declared))


def mask_file(config: SegmentConfig, relative: str, key: bytes, naming: Naming) -> MaskFile:
    """The mask at a place below the folder, as `list_mask_files` would give it, by file name."""
    folder = masks_folder(config)
    return _mask_file(folder, _name(folder / relative), relative, "", key, naming)


def class_names(config: SegmentConfig, folder: Path) -> frozenset[str]:
    """Names of the classes that `config.classes` declares; none where it cannot be read."""
    declared = config.classes or ""
    if declared in LIBRARY_SYSTEMS:
        return frozenset(library_classes(declared).values())
    try:
        content = yaml.safe_load((folder / declared).read_text(encoding="utf-8"))
        return frozenset(map(str, content["classes"].values()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError, AttributeError):
        return frozenset()  # `declared_classes` says what is wrong with it


def declared_maps(config: SegmentConfig) -> frozenset[str]:
    """What is declared of the values of any mask on offer; a manifest is read once a process.

    Raises:
        InputError: the manifest has not the expected form.
    """
    default = config.classes or ""
    place = config.masks
    if place is None or not place.is_file():
        return frozenset({default})
    told = place.stat()
    return _declared_in(place, told.st_mtime_ns, told.st_size, default)


def masks_folder(config: SegmentConfig) -> Path:
    """Where masks and class maps are looked up: the folder of masks, or that of the manifest."""
    place = config.masks
    if place is None:
        raise ValueError("a precomputed configuration without masks cannot exist")
    return place if place.is_dir() else place.parent


@lru_cache(maxsize=2)
def _declared_in(manifest: Path, modified_ns: int, size_bytes: int, default: str) -> frozenset[str]:
    """The maps that a manifest of this time and size declares."""
    return frozenset(declared or default for _, _, declared in _manifest(manifest))


def _mask_file(
    folder: Path, name: str, mask: str, declared: str, key: bytes, naming: Naming
) -> MaskFile:
    path = folder / mask
    token = file_token(key, naming, SOURCE, Path(mask).as_posix())
    fault = None
    # a manifest comes from outside: `..` or a link must not read other files of this machine
    if not path.resolve().is_relative_to(folder.resolve()):
        fault = Reject(
            "fault",
            "mask_outside_folder",
            "the mask's path leads outside the folder of masks, expected inside; copy the file "
            "into the folder",
            (token,),
        )
    elif not path.is_file() and not path.is_dir():
        fault = Reject(
            "fault",
            "mask_missing",
            "the manifest names a mask file that does not exist; mend the row or add the file",
            (token,),
        )
    elif ends_with(mask, DETACHED_SUFFIXES):
        fault = Reject(
            "fault",
            "mask_not_one_file",
            f"a header ({Path(mask).suffix.lower()}) whose voxels lie in another file, expected "
            f"one file of {', '.join(MASK_SUFFIXES)}; write it as .nii.gz",
            (token,),
        )
    return MaskFile(token, mask, path, stem(name.strip()), declared, fault)


def _manifest(path: Path) -> list[tuple[str, str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            columns = [(name or "").strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"manifest {path}: cannot be read ({type(error).__name__}); expected CSV in UTF-8"
        ) from error
    if not {"volume", "mask"} <= set(columns):
        raise InputError(
            f"manifest {path}: columns volume and mask expected (classes optional), found "
            f"{shown_columns(columns, ('volume', 'mask', 'classes'))}"
        )
    filled = []
    for number, row in enumerate(rows, start=2):
        volume, mask = (row["volume"] or "").strip(), (row["mask"] or "").strip()
        if not volume or not mask:
            raise InputError(f"manifest {path}, line {number}: volume or mask is blank")
        filled.append((volume, mask, (row.get("classes") or "").strip()))
    return filled


def _below(folder: Path, names: frozenset[str]) -> Iterable[Path]:
    """Masks at any depth: files, and folders that hold one file a class."""
    for inner, folders, files in os.walk(folder):
        here = Path(inner)
        if names and is_class_folder(here, names):
            yield here
            files = [name for name in files if not ends_with(name, CLASS_FILE_SUFFIXES)]
        folders.sort()
        yield from (here / name for name in files if _is_mask(here / name))


def _is_mask(path: Path) -> bool:
    """By its ending; of DICOM files only segmentations, since images may lie beside them."""
    if ends_with(path.name, ".dcm"):
        return referenced_series(path) is not None
    return ends_with(path.name, (*MASK_SUFFIXES, *DETACHED_SUFFIXES))


def _name(path: Path) -> str:
    """What names the volume of a mask: the file's or folder's own name, or what a SEG refers to."""
    if path.is_dir():
        return path.parent.name if path.name == SEGMENTATIONS else path.name
    if ends_with(path.name, ".dcm"):
        return referenced_series(path) or stem(path.name)
    return stem(path.name)
