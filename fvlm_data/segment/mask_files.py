"""Precomputed masks: which files there are, and which volume each belongs to."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fvlm_data.errors import InputError
from fvlm_data.identity.ids import file_token, link_key
from fvlm_data.store.declared import Reject

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from fvlm_data.segment.config import SegmentConfig
    from fvlm_data.store.tables import Store

Naming = Literal["token", "plain"]

SUFFIXES = (".nii", ".nii.gz")
NAMING_KINDS = ("series_uid", "volume_name")
LINK_COLUMNS = ("owner_kind", "owner_id", "kind", "value_hash")
VOLUME_COLUMNS = ("volume_id", "series_id")
SOURCE = "masks"


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
        rows = [(_stem(path.name), str(path.relative_to(place)), "") for path in _below(place)]
        folder = place
    elif place is not None and place.is_file():
        rows, folder = _manifest(place), place.parent
    else:
        raise InputError(
            f"masks {place}: neither a folder nor a manifest file; expected a folder of "
            f"{' or '.join(SUFFIXES)} files or a CSV with columns volume and mask"
        )
    found = {
        _mask_file(folder, name, mask, declared or config.classes or "", key, naming)
        for name, mask, declared in rows
    }
    return sorted(found, key=lambda mask: (mask.token, mask.name, mask.declared))


def owners(
    store: Store, key: bytes, masks: Sequence[MaskFile]
) -> list[tuple[MaskFile, tuple[str, ...]]]:
    """Volumes that each mask names: by volume id, series UID or source file name."""
    rows = store.read("links", LINK_COLUMNS, [("owner_kind", "=", "series")])
    links = [link for link in rows.to_pylist() if link["kind"] in NAMING_KINDS]
    volumes = store.read("volumes", VOLUME_COLUMNS).to_pylist()
    return _matched([(mask, _names(mask, key)) for mask in masks], links, volumes)


def owners_in_batch(
    store: Store, key: bytes, masks: Sequence[MaskFile], items: Collection[str]
) -> list[tuple[MaskFile, tuple[str, ...]]]:
    """`owners` of those masks that name a volume in `items` or whose token is one of them.

    Only rows that these masks name are read.
    """
    mine = store.read_items("volumes", "volume_id", items, VOLUME_COLUMNS)
    own = store.read_items("links", "owner_id", {v["series_id"] for v in mine}, LINK_COLUMNS)
    wanted = {v["volume_id"] for v in mine} | {link["value_hash"] for link in own}
    named = [(mask, _names(mask, key)) for mask in masks]
    named = [(mask, names) for mask, names in named if wanted & names or mask.token in items]
    names = {name for _, those in named for name in those}
    links = [
        link
        for link in store.read_items("links", "value_hash", names, LINK_COLUMNS)
        if link["owner_kind"] == "series" and link["kind"] in NAMING_KINDS
    ]
    series = {link["owner_id"] for link in links}
    volumes = store.read_items("volumes", "series_id", series, VOLUME_COLUMNS)
    volumes += store.read_items("volumes", "volume_id", names, VOLUME_COLUMNS)
    return _matched(named, links, volumes)


def _names(mask: MaskFile, key: bytes) -> set[str]:
    """A mask's name as a volume id and as link hashes."""
    if not mask.name.strip():
        return set()
    return {mask.name} | {link_key(kind, mask.name, key=key) for kind in NAMING_KINDS}


def _matched(
    named: Iterable[tuple[MaskFile, set[str]]],
    links: Iterable[Mapping[str, Any]],
    volumes: Iterable[Mapping[str, Any]],
) -> list[tuple[MaskFile, tuple[str, ...]]]:
    by_series: dict[str, set[str]] = defaultdict(set)
    by_name: dict[str, set[str]] = defaultdict(set)
    for volume in volumes:
        by_series[volume["series_id"]].add(volume["volume_id"])
        by_name[volume["volume_id"]].add(volume["volume_id"])
    for link in links:
        by_name[link["value_hash"]] |= by_series.get(link["owner_id"], set())
    return [
        (mask, tuple(sorted({v for name in names for v in by_name.get(name, ())})))
        for mask, names in named
    ]


def _mask_file(
    folder: Path, name: str, mask: str, declared: str, key: bytes, naming: Naming
) -> MaskFile:
    path = folder / mask
    token = file_token(key, naming, SOURCE, Path(mask).as_posix())
    fault = None
    if not path.resolve().is_relative_to(folder.resolve()):
        fault = Reject(
            "fault",
            "mask_outside_folder",
            "the mask's path leads outside the folder of masks, expected inside; copy the file "
            "into the folder",
            (token,),
        )
    elif not path.is_file():
        fault = Reject(
            "fault",
            "mask_missing",
            "the manifest names a mask file that does not exist; mend the row or add the file",
            (token,),
        )
    return MaskFile(token, mask, path, _stem(name.strip()), declared, fault)


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
            f"{', '.join(columns) or 'none'}"
        )
    filled = []
    for number, row in enumerate(rows, start=2):
        volume, mask = (row["volume"] or "").strip(), (row["mask"] or "").strip()
        if not volume or not mask:
            raise InputError(f"manifest {path}, line {number}: volume or mask is blank")
        filled.append((volume, mask, (row.get("classes") or "").strip()))
    return filled


def _below(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*.nii*") if path.name.endswith(SUFFIXES))


def _stem(name: str) -> str:
    """The file's own name without folder and NIfTI suffix; other names stay as they are."""
    return name.rsplit("/", 1)[-1].removesuffix(".gz").removesuffix(".nii")
