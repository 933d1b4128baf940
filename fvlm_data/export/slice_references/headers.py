"""Numbers of series and instances, read anew from the files that volumes were made of.

No table keeps them: they are in the headers of the source files, whose places the vault knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydicom
from pydicom.errors import InvalidDicomError

from fvlm_data.export.slice_references.resolved import Numbered
from fvlm_data.identity.vault import Vault, default_vault_folder
from fvlm_data.ingest.dicom.tags import integer
from fvlm_data.ingest.discovery.opener import TooLargeError, opened
from fvlm_data.ingest.source_files import known_sources, series_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from fvlm_data.ingest.discovery.opener import FileLocation
    from fvlm_data.store.relations import Relations
    from fvlm_data.store.tables import Store

FILES = """
SELECT token, source, fingerprint FROM inputs
WHERE kind = 'file' AND token IN (SELECT unnest($tokens)) ORDER BY token
"""
ABSENT = -1
TAGS = ["SeriesNumber", "InstanceNumber"]


def existing_vault(store: Store, folder: Path | None) -> Vault | None:
    """The vault of a store, if there is one: none is made.

    Raises:
        StoreError: it cannot be opened.
    """
    place = folder or default_vault_folder(store.store_id)
    return Vault.open(place) if (place / "key").is_file() else None


def numbered(
    tables: Relations,
    vault: Vault | None,
    volumes: Sequence[tuple[str, Sequence[str], int]],
) -> Iterator[Numbered]:
    """Each volume with its numbers; `volumes` are (id, tokens of its files in order of k, slices).

    A volume has none where a file is gone or no DICOM, or where one file holds several slices.
    """
    tokens = sorted({token for _, files, _ in volumes for token in files})
    places = _places(tables, vault, tokens) if vault else {}
    for volume, files, slices in volumes:
        found = [places.get(token) for token in files]
        there = [place for place in found if place is not None]
        read = _read(there) if len(there) == len(files) == slices else None
        yield Numbered(volume, *(read or (None, None)))


def _places(tables: Relations, vault: Vault, tokens: list[str]) -> Mapping[str, FileLocation]:
    names = ("token", "source", "fingerprint")
    rows = [dict(zip(names, row, strict=True)) for row in tables.rows(FILES, {"tokens": tokens})]
    sources = known_sources(vault.file_paths, {}, {row["source"] for row in rows})
    files = series_files(rows, vault.file_paths(tokens), sources)
    return {one.token: one.place for one in files if one.place}


def _read(places: Sequence[FileLocation]) -> tuple[int | None, list[int | None]] | None:
    """Number of the series, and of each instance."""
    series: set[int] = set()
    instances: list[int | None] = []
    for place in places:
        try:
            with opened(place) as handle:
                header = pydicom.dcmread(handle, stop_before_pixels=True, specific_tags=TAGS)
        except (OSError, InvalidDicomError, TooLargeError):
            return None
        series.add(integer(header, "SeriesNumber", ABSENT))
        told = integer(header, "InstanceNumber", ABSENT)
        instances.append(None if told == ABSENT else told)
    number = series.pop() if len(series) == 1 else ABSENT
    return (None if number == ABSENT else number), instances
