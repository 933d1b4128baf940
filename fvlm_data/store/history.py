"""What of a table's folder its newest version does not need."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

LOG = "_delta_log"
POINTER = "_last_checkpoint"


def out_of_use(files: Iterable[str], folder: str, kept: Collection[str], version: int) -> list[str]:
    """Those of a table's `files` that a reader of `version`, which has a checkpoint, never opens.

    `files` are paths of the store, `kept` the data files of that version, relative to the
    table's `folder`. Data files with other names (`.damaged` ones, drafts) are out of use too.
    """
    needed = {f"{folder}/{path}" for path in kept}
    log = f"{folder}/{LOG}/"
    return [
        path
        for path in files
        if path not in needed
        and not (path.startswith(log) and _of_version(path.removeprefix(log), version))
    ]


def _of_version(name: str, version: int) -> bool:
    """Whether a file of the log belongs to a version, or to a later one."""
    number = name.split(".", 1)[0]
    return name == POINTER or (number.isdigit() and int(number) >= version)
