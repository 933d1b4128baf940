"""Opening a shard's group with zarr so that lost data is an error; imports zarr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zarr
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
from fsspec.implementations.local import LocalFileSystem
from zarr.storage import FsspecStore, LocalStore, WrapperStore

from fvlm_data.errors import StoreError

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype

CHUNK_PART = "/c/"
"""In the key of every data object, by zarr v3's default chunk key encoding."""


class _Complete(WrapperStore):  # type: ignore[misc]
    """A store in which a missing data object is an error.

    Zarr reads a missing object as the fill value, which for a shard would be air in place of a
    patient. The writer writes every object.
    """

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: Any = None
    ) -> Buffer | None:
        """The object's bytes; raises StoreError where a data object is missing."""
        found = await self._store.get(key, prototype, byte_range)
        if found is None and CHUNK_PART in key:
            raise StoreError(f"object {key} is missing")
        return found


def open_group(filesystem: Any, path: str) -> zarr.Group:
    """The group at `path` of an fsspec filesystem, read only.

    Reading from its arrays raises StoreError where a data object is missing.
    """
    if isinstance(filesystem, LocalFileSystem):
        store: Any = LocalStore(path, read_only=True)
    else:
        # The blocking filesystem in threads, not an asynchronous one of zarr's own: its
        # connections are closed at the end, and fork is safe.
        threaded = AsyncFileSystemWrapper(filesystem, asynchronous=True)
        store = FsspecStore(threaded, read_only=True, path=path)
    return zarr.open_group(_Complete(store), mode="r", zarr_format=3, use_consolidated=False)
