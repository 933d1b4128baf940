"""Files of the pages that stay as they are while their content does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fvlm_data.store.tables import Store


def write_if_changed(store: Store, path: str, content: bytes) -> None:
    """Write a file unless the store has it with that content.

    Raises:
        StoreError: the file cannot be read or written.
    """
    if not (store.exists(path) and store.read_bytes(path) == content):
        store.write_bytes(path, content)
