"""One export from beginning to end: a source, a format, a folder."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.export import EXPORTS
from fvlm_data.export.target import new_folder
from fvlm_data.hashing import content_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydantic import BaseModel

    from fvlm_data.export.entry import Export
    from fvlm_data.export.source import Source
    from fvlm_data.store.tables import Store

    Progress = Callable[[int, int], None]

EXPORT_VERSION = 1
"""Incremented when the same samples would be written as different bytes."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote: samples of each split (none: tables), number and size of its files.

    `restricted` are the samples, or of tables the studies, that were left out because they may not
    be used for `purpose` (none named: for any).
    """

    format: str
    folder: str
    samples: dict[str, int]
    files: int
    size_bytes: int
    seconds: float
    purpose: str | None = None
    restricted: int = 0


@dataclass(frozen=True, slots=True)
class Form:
    """An export with its options, called `name`; `made_by`: the foreign package it comes from.

    A killed run of another version or with other options is not taken up.
    """

    name: str
    export: Export
    options: BaseModel
    made_by: str = ""

    @property
    def plan(self) -> tuple[Any, ...]:
        """What decides the bytes of a copy besides its content."""
        package = [self.made_by] if self.made_by else []
        return (EXPORT_VERSION, self.name, self.options.model_dump(mode="json"), *package)


def run_export(source: Source, form: Form, folder: Path, progress: Progress) -> Exported:
    """Write `source` in a format; `folder` appears when it is whole.

    Raises:
        InputError: the folder holds something or cannot be written, or the format cannot hold
            these samples.
        StoreError: a shard cannot be read; the message names the sample.
    """
    samples = {split: len(dataset) for split, dataset in source.splits.items()}
    return _run(source, content_key(*form.plan, source.content), form, folder, progress, samples)


def run_tables_export(store: Store, form: Form, folder: Path, progress: Progress) -> Exported:
    """Write a store's tables in a format; as they may change, no killed run is taken up.

    Raises:
        InputError: the folder holds something or cannot be written.
        StoreError: a table cannot be read.
    """
    return _run(store, secrets.token_hex(8), form, folder, progress, {})


def _run(
    copied: Source | Store,
    plan: str,
    form: Form,
    folder: Path,
    progress: Progress,
    samples: dict[str, int],
) -> Exported:
    begun = time.monotonic()
    with new_folder(folder, plan) as draft, EXPORTS.named_in_errors(form.name):
        form.export.write(copied, draft, progress, form.options)
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return Exported(
        format=form.name,
        folder=str(folder),
        samples=samples,
        files=len(sizes),
        size_bytes=sum(sizes),
        seconds=round(time.monotonic() - begun, 1),
    )
