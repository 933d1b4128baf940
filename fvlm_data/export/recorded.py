"""Which exports were made of a store, so that they can be found when a patient withdraws."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from fvlm_data.identity.ids import keyed_id

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fvlm_data.export.run import Exported
    from fvlm_data.identity.vault import Vault
    from fvlm_data.store.tables import Store

FOLDER = "exports"
ALL = ("*",)
"""Samples of an export of whole tables."""


@dataclass(frozen=True, slots=True)
class RecordedExport:
    """One export: its form, the token of its folder (empty: no vault was at hand), what it holds.

    `purpose` is what it was made for, where that was named. `files` and `size_bytes` are those of
    its folder when it was whole.
    """

    id: str
    form: str
    place: str
    files: int
    size_bytes: int
    samples: tuple[str, ...]
    purpose: str | None = None

    def is_there(self, folder: Path) -> bool:
        """Whether a folder still is what the export left, by number and size of its files."""
        sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
        return (len(sizes), sum(sizes)) == (self.files, self.size_bytes)


def record_export(
    store: Store, vault: Vault | None, made: Exported, folder: Path, samples: Iterable[str]
) -> RecordedExport:
    """Write down an export in the store; only the vault knows where it lies.

    `folder` is absolute.

    Raises:
        StoreError: the store or the vault cannot be written.
    """
    place = ""
    if vault is not None:
        path = str(folder)
        place = keyed_id(vault.key, "f", "place", path)
        vault.remember_files({place: path})
    written = RecordedExport(
        id=secrets.token_hex(8),
        form=made.format,
        place=place,
        files=made.files,
        size_bytes=made.size_bytes,
        samples=tuple(samples),
        purpose=made.purpose,
    )
    store.write_bytes(f"{FOLDER}/{written.id}.json", json.dumps(asdict(written)).encode())
    return written


def read_exports(store: Store) -> list[RecordedExport]:
    """All recorded exports, by id.

    Raises:
        StoreError: a record cannot be read.
    """
    found = [json.loads(store.read_bytes(path)) for path in store.files(FOLDER)]
    return [RecordedExport(**{**one, "samples": tuple(one["samples"])}) for one in found]


def remove_export(store: Store, export: str) -> None:
    """Remove the record of an export."""
    store.remove(f"{FOLDER}/{export}.json")
