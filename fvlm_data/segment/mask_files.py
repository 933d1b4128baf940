"""Precomputed masks: which files there are, and which volume each belongs to."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fvlm_data.errors import InputError
from fvlm_data.identity import file_token, link_key
from fvlm_data.stage import Reject

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from fvlm_data.segment.config import SegmentConfig
    from fvlm_data.store import Store

Naming = Literal["token", "plain"]

SUFFIXES = (".nii", ".nii.gz")
NAMING_KINDS = ("series_uid", "volume_name")
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
    store: Store, key: bytes, masks: Sequence[MaskFile], volume_ids: Collection[str] | None
) -> list[tuple[MaskFile, tuple[str, ...]]]:
    """Volumes that each mask names: by volume id, series UID or source file name.

    With `volume_ids` only masks of these volumes are sure to get theirs (all that share a name
    with them included); without, all.
    """
    named = _volume_names(store, volume_ids)
    pairs = []
    for mask in masks:
        keys = [mask.name]
        if mask.name.strip():
            keys += [link_key(kind, mask.name, key=key) for kind in NAMING_KINDS]
        volumes = {volume for name in keys for volume in named.get(name, ())}
        pairs.append((mask, tuple(sorted(volumes))))
    return pairs


def _volume_names(store: Store, volume_ids: Collection[str] | None) -> Mapping[str, set[str]]:
    """Volume ids by volume id and by link hash of their series."""
    columns = ["volume_id", "series_id"]
    link_columns = ["owner_kind", "owner_id", "kind", "value_hash"]
    if volume_ids is None:
        volumes = store.read("volumes", columns).to_pylist()
        links = store.read("links", link_columns, [("owner_kind", "=", "series")]).to_pylist()
    else:
        mine = store.read_items("volumes", "volume_id", volume_ids, columns)
        own = store.read_items("links", "owner_id", {v["series_id"] for v in mine}, link_columns)
        hashes = {link["value_hash"] for link in own if link["kind"] in NAMING_KINDS}
        links = store.read_items("links", "value_hash", hashes, link_columns)
        series = {link["owner_id"] for link in links} | {v["series_id"] for v in mine}
        volumes = store.read_items("volumes", "series_id", series, columns)
    by_series: dict[str, set[str]] = defaultdict(set)
    named: dict[str, set[str]] = defaultdict(set)
    for volume in volumes:
        by_series[volume["series_id"]].add(volume["volume_id"])
        named[volume["volume_id"]].add(volume["volume_id"])
    for link in links:
        if link["owner_kind"] == "series" and link["kind"] in NAMING_KINDS:
            named[link["value_hash"]] |= by_series.get(link["owner_id"], set())
    return named


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
