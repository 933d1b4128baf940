"""Which of the files are images, and of which kind of source."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.discovery.archive import is_archive
from fvlm_data.ingest.discovery.dicomdir import is_dicomdir
from fvlm_data.ingest.discovery.file_kind import NIFTI_ENDINGS
from fvlm_data.ingest.discovery.walk import walk
from fvlm_data.ingest.sources import SOURCES
from fvlm_data.ingest.sources.ct_rate import NAME
from fvlm_data.ingest.volume.description import stem
from fvlm_data.run.survey.found import FoundSource
from fvlm_data.run.survey.listing import Listing, fewest_folders, spread

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from fvlm_data.ingest.discovery.file_kind import Aside

PROBED_OF_A_FOLDER = 3
PROBED_OF_AN_ARCHIVE = 20
PROBED_AT_MOST = 1000

TELLING = (
    *(*NIFTI_ENDINGS, ".npz", ".csv", ".tsv", ".parquet", ".pq", ".jsonl", ".ndjson", ".json"),
    *(".txt", ".text", ".hl7", ".oru", ".yaml", ".yml", ".md", ".pdf", ".xml", ".html", ".log"),
    *(".jpg", ".jpeg", ".png", ".xlsx", ".xls", ".docx", ".py"),
)
"""Endings of files that are not DICOM; they are not opened to check."""


@dataclass(slots=True)
class DicomFolders:
    """Folders by content (CT slices, structured reports), and why other files are neither.

    `files` counts those that may be DICOM in each folder. `complete`: each folder was probed.
    """

    ct: set[Path] = field(default_factory=set)
    structured_reports: set[Path] = field(default_factory=set)
    others: Counter[str] = field(default_factory=Counter)
    files: dict[Path, int] = field(default_factory=dict)
    complete: bool = True


def dicom_folders(listing: Listing) -> DicomFolders:
    """Open a few files of each folder that may be DICOM, and archives."""
    found = DicomFolders()
    probed = 0
    for folder, names in listing.files.items():
        maybe = [
            name for name in names if not name.lower().endswith(TELLING) and not is_dicomdir(name)
        ]
        found.files[folder] = len(maybe)
        for name in spread(maybe, PROBED_OF_A_FOLDER):
            if probed >= PROBED_AT_MOST:
                found.complete = False
                return found
            probed += 1
            _probe(folder / name, found)
    return found


def find_images(
    listing: Listing,
    tables: Mapping[Path, Sequence[str]],
    dicom: DicomFolders,
    masks: Collection[Path],
    reports: Collection[Path],
) -> tuple[list[FoundSource], list[str]]:
    """Sources of images, and notes; `masks` and `reports` are folders of those."""
    nifti, ct_rate, npz = _volume_folders(listing, masks)
    mine: tuple[tuple[str, set[Path]], ...] = (
        ("dicom", dicom.ct),
        ("nifti", nifti),
        ("ct_rate", ct_rate),
        ("rad_chestct", npz),
    )
    sources: list[FoundSource] = []
    notes: list[str] = []
    for number, (kind, wanted) in enumerate(mine):
        others = {*masks, *reports}.union(*(w for n, (_, w) in enumerate(mine) if n != number))
        # a NIfTI source takes every NIfTI file below it, masks too
        harmful = {*masks, *nifti, *ct_rate} - wanted if kind in ("nifti", "ct_rate") else set()
        mapping = _mapping(kind, tables)
        if kind == "rad_chestct" and wanted and mapping is None:
            notes.append(
                "npz files as those of RAD-ChestCT, and no metadata CSV: the source needs it "
                "as `mapping`"
            )
            continue
        for path in fewest_folders(listing.root, wanted, harmful, others - wanted):
            sources.append(FoundSource(kind, path, _count(kind, path, listing, dicom), mapping))
            below = [folder for folder in sorted(harmful) if folder.is_relative_to(path)]
            if below:
                notes.append(
                    f"{below[0]} lies below the images of {path}, and its files would be taken for "
                    "images: move one of the two"
                )
    if dicom.others and not dicom.ct:
        told = ", ".join(f"{reason} {count}" for reason, count in sorted(dicom.others.items()))
        notes.append(f"DICOM files that are no CT slices: {told}")
    return sources, notes


def _probe(path: Path, found: DicomFolders) -> None:
    source = SourceConfig(kind="dicom", path=path)
    many = PROBED_OF_AN_ARCHIVE if is_archive(path.name) else 1
    for file in islice(walk(source), many):
        probed = SOURCES.load("dicom").probe(file)
        if probed.aside is None:
            found.ct.add(path.parent)
            return
        if _is_structured_report(probed.aside):
            found.structured_reports.add(path.parent)
        elif probed.aside.reason not in ("not_dicom", "archive", "empty_file"):
            found.others[probed.aside.reason] += 1


def _is_structured_report(aside: Aside) -> bool:
    return aside.reason == "modality_not_ct" and "modality: SR," in aside.detail


def _volume_folders(
    listing: Listing, masks: Collection[Path]
) -> tuple[set[Path], set[Path], set[Path]]:
    """Folders of NIfTI images, of CT-RATE's, and of npz files."""
    nifti: set[Path] = set()
    ct_rate: set[Path] = set()
    for path in listing.with_ending(NIFTI_ENDINGS):
        if path.parent not in masks:
            (ct_rate if NAME.fullmatch(stem(path.name)) else nifti).add(path.parent)
    return nifti - ct_rate, ct_rate, {path.parent for path in listing.with_ending((".npz",))}


def _mapping(kind: str, tables: Mapping[Path, Sequence[str]]) -> Path | None:
    """The first CSV with the columns that a mapping of this kind of source has."""
    columns = SOURCES.load(kind).mapping
    if columns is None:
        return None
    wanted = {columns.volume, *columns.needed}
    return next((p for p, names in tables.items() if wanted <= set(names)), None)


def _count(kind: str, path: Path, listing: Listing, dicom: DicomFolders) -> int:
    if kind == "dicom":
        return sum(dicom.files[folder] for folder in dicom.ct if folder.is_relative_to(path))
    endings = (".npz",) if kind == "rad_chestct" else NIFTI_ENDINGS
    return sum(file.is_relative_to(path) for file in listing.with_ending(endings))
