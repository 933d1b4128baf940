"""Volumes of a store under the names of a layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fvlm_data.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_data.export.target import Draft
    from fvlm_data.store.tables import Store

Placing = Literal["copy", "link", "none"]


def check_placing(store: Store, placing: Placing) -> None:
    """Refuse links to files that are not on this machine.

    Raises:
        InputError: the store is no folder of this machine.
    """
    if placing == "link" and store.local_root is None:
        raise InputError(
            f"store {store.url}: volumes can be linked from a folder of this machine only; "
            "expected --volumes copy or none"
        )


def place(store: Store, draft: Draft, path: str, target: str, placing: Placing) -> None:
    """Put the volume at `path` of the store to `target` of the draft: its very bytes, or a link.

    Raises:
        StoreError: the file cannot be read.
    """
    if placing == "none" or draft.done(target):
        return
    root: Path | None = store.local_root
    if placing == "copy" or root is None:
        draft.write(target, store.read_bytes(path))
        return
    link = draft.folder / target
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to((root / path).resolve())
