"""Which of the NIfTI files are label maps, and what says the meaning of their values."""

from __future__ import annotations

import csv
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError
from fvlm_data.ingest.discovery.file_kind import NIFTI_ENDINGS
from fvlm_data.ingest.volume.description import stem
from fvlm_data.run.survey.found import FoundMasks
from fvlm_data.run.survey.linking import UID
from fvlm_data.run.survey.listing import fewest_folders, holds_any
from fvlm_data.segment.class_map import declared_classes, disagreement
from fvlm_data.segment.config import LIBRARY_SYSTEMS
from fvlm_data.segment.nifti import NiftiError, read_nifti
from fvlm_data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fvlm_data.run.survey.listing import Listing

FOLDER = re.compile(r"(masks?|seg(mentation)?s?|label(map)?s?(tr|ts)?|label_maps?)", re.IGNORECASE)
MANIFEST = ("volume", "mask")
ROWS = 1000


def find_masks(
    listing: Listing, tables: Mapping[Path, Sequence[str]], *, beside_dicom: bool
) -> tuple[FoundMasks | None, set[Path], list[str]]:
    """The label maps, the folders that hold any, and notes.

    They are known by a manifest, by their folder's name or, beside DICOM files, by names that
    are series UIDs.
    """
    manifests = [path for path, names in tables.items() if _is_manifest(names)]
    named = {path: folder for path in manifests for folder in _folders_of(path)}
    folders = {f for path in manifests for f in _folders_of(path)} if named else set[Path]()
    for path in listing.with_ending(NIFTI_ENDINGS):
        above = path.parent.relative_to(listing.root).parts
        by_uid = beside_dicom and UID.fullmatch(stem(path.name))
        if by_uid or any(FOLDER.fullmatch(part) for part in above):
            folders.add(path.parent)
    files = [path for path in listing.with_ending(NIFTI_ENDINGS) if path.parent in folders]
    images = {path.parent for path in listing.with_ending(NIFTI_ENDINGS)} - folders
    places = manifests or fewest_folders(listing.root, folders, images, listing.files.keys())
    if not places or not files:
        return None, folders, []
    place = places[0]
    notes = [f"other label maps in {one}: only {place} is used" for one in places[1:]]
    if place.is_dir() and holds_any(place, images):
        notes.append(f"images lie below the label maps of {place}: move one of the two")
    classes, told_by = _classes(place, listing, files[0])
    return FoundMasks(place, len(files), classes, told_by), folders, notes


def _is_manifest(names: Sequence[str]) -> bool:
    return set(MANIFEST) <= {name.strip().lower() for name in names}


def _rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(encoding="utf-8-sig", errors="replace", newline="") as handle:
        reader = csv.DictReader(handle)
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        return list(islice(reader, ROWS))


def _folders_of(manifest: Path) -> set[Path]:
    return {(manifest.parent / (row["mask"] or "")).parent for row in _rows(manifest)}


def _classes(place: Path, listing: Listing, sample: Path) -> tuple[str | Path | None, str]:
    """What says the values' meaning: manifest, YAML beside the masks, names inside a mask."""
    folder = place if place.is_dir() else place.parent
    if place.is_file():
        declared = next((row["classes"] for row in _rows(place) if row.get("classes")), "")
        if declared in LIBRARY_SYSTEMS:
            return declared, "its manifest"
        if declared and _is_class_map(folder / declared):
            return folder / declared, "its manifest"
    for path in sorted(listing.with_ending((".yaml", ".yml"))):
        if path.is_relative_to(folder) and _is_class_map(path):
            return path, "the file beside the masks"
    return _by_embedded_names(sample), "names inside a mask"


def _is_class_map(path: Path) -> bool:
    try:
        declared_classes(path.name, path.parent, Vocabulary.load())
    except ConfigError:
        return False
    return True


def _by_embedded_names(sample: Path) -> str | None:
    """The version of TotalSegmentator whose names a mask's header holds."""
    try:
        embedded = read_nifti(sample.read_bytes()).embedded_classes
    except (OSError, NiftiError):
        return None
    if not embedded:
        return None
    vocabulary = Vocabulary.load()
    fitting = [
        system
        for system in LIBRARY_SYSTEMS
        if not disagreement(declared_classes(system, sample.parent, vocabulary), embedded)
    ]
    # names that fit both versions decide nothing, and the wrong one would exchange organs
    return fitting[0] if len(fitting) == 1 else None
