"""One export from beginning to end: a source, a format, a folder."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.export.target import new_folder
from fvlm_data.hashing import content_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fvlm_data.export.source import Source
    from fvlm_data.export.target import Draft

    Progress = Callable[[int, int], None]

EXPORT_VERSION = 1
"""Counted up when the same samples come out as other bytes."""


@dataclass(frozen=True, slots=True)
class Form:
    """A format with its settings. `write` writes all files of it, the one that lists them last."""

    name: str
    settings: dict[str, Any]
    write: Callable[[Source, Draft, Progress], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote: samples of each split, number and size of its files."""

    format: str
    folder: str
    samples: dict[str, int]
    files: int
    size_bytes: int
    seconds: float


def run_export(source: Source, form: Form, folder: Path, progress: Progress) -> Exported:
    """Write `source` in a format; `folder` appears when it is whole.

    Raises:
        InputError: the folder holds something or cannot be written, or the format cannot hold
            these samples.
        StoreError: a shard cannot be read; the message names the sample.
    """
    begun = time.monotonic()
    plan = content_key(EXPORT_VERSION, form.name, form.settings, source.content)
    with new_folder(folder, plan) as draft:
        form.write(source, draft, progress)
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return Exported(
        format=form.name,
        folder=str(folder),
        samples={split: len(dataset) for split, dataset in source.splits.items()},
        files=len(sizes),
        size_bytes=sum(sizes),
        seconds=round(time.monotonic() - begun, 1),
    )
