"""What a look at a folder finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class FoundSource:
    """Images of one kind below a folder or `url`, in `files` files that were seen."""

    kind: str
    path: Path
    files: int
    mapping: Path | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class FoundMasks:
    """Label maps: a folder or a manifest.

    `classes` is what says their values' meaning, a class system or a YAML file; None: nothing
    there says it. `told_by` says where that was read.
    """

    path: Path
    files: int
    classes: str | Path | None = None
    told_by: str = ""


@dataclass(frozen=True, slots=True)
class FoundReports:
    """A file or folder of reports; `columns`, for a table: our name -> its column."""

    kind: str
    path: Path
    files: int = 1
    columns: Mapping[str, str] = field(default_factory=dict)
    mapping: Path | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """All that was found below `folder`, and `notes` on what a person should look at.

    `folder` is a path, or the URL of a bucket; `languages` are those of reports that are built in,
    that of most reports first.
    """

    folder: Path | str
    files: int
    folders: int
    complete: bool
    sources: tuple[FoundSource, ...] = ()
    masks: FoundMasks | None = None
    reports: tuple[FoundReports, ...] = ()
    notes: tuple[str, ...] = ()
    languages: tuple[str, ...] = ("en",)
