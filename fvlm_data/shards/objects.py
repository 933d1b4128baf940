"""Bytes of a shard's objects: from disk, from object storage, or through a cache on disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from fsspec.implementations.local import LocalFileSystem

from fvlm_data.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Array = np.ndarray[Any, Any]

PART = ".part-"
"""Beginning of the name of a file that is still being fetched."""

PART_KEPT_S = 3600.0
"""Age from which such a file is assumed to be left by a killed process."""


class ObjectCache:
    """A folder that keeps whole objects of a remote store; the least recently used go first.

        Objects of shards never change, so an entry is never stale. Several processes may share a
    folder: entries appear by renaming, and one that is removed while being read stays readable
        for those who have it open.
    """

    def __init__(self, folder: str | Path, limit_bytes: int) -> None:
        """Keep at most `limit_bytes` in `folder`, not counting the object in use."""
        self.folder = Path(folder)
        self.limit_bytes = limit_bytes

    @contextmanager
    def opened(self, filesystem: Any, path: str) -> Iterator[int]:
        """A descriptor of the object, fetched first where the folder lacks it."""
        place = self.folder / hashlib.sha256(path.encode()).hexdigest()
        try:
            descriptor = os.open(place, os.O_RDONLY)
        except FileNotFoundError:
            descriptor = self._fetched(filesystem, path, place)
            self._shrink(place.name)
        try:
            # the time of last use: file systems are often mounted without access times
            os.utime(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)

    def _fetched(self, filesystem: Any, path: str, place: Path) -> int:
        """A descriptor of the new entry: another process may remove it at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(prefix=PART, dir=self.folder)
        try:
            with (
                filesystem.open(path, "rb") as source,
                os.fdopen(descriptor, "wb", closefd=False) as target,
            ):
                shutil.copyfileobj(source, target, 1 << 20)
            # the descriptor stays valid after the rename, and even if another process removes the
            # entry
            Path(part).replace(place)
        except BaseException:
            os.close(descriptor)
            Path(part).unlink(missing_ok=True)
            raise
        return descriptor

    def _shrink(self, keep: str) -> None:
        """Remove the entries used longest ago until the bound holds."""
        found = []
        for entry in os.scandir(self.folder):
            with suppress(FileNotFoundError):  # another process has removed it
                stat = entry.stat()
                found.append((stat.st_mtime_ns, stat.st_size, entry))
        total = sum(size for _, size, _ in found)
        oldest_part_ns = time.time_ns() - int(PART_KEPT_S * 1e9)
        for used_ns, size, entry in sorted(found, key=lambda one: one[0]):
            if total <= self.limit_bytes:
                break
            fetching = entry.name.startswith(PART) and used_ns > oldest_part_ns
            if entry.name != keep and not fetching:
                Path(entry.path).unlink(missing_ok=True)
                total -= size


class Objects:
    """Reads parts of objects; raises StoreError where an object is missing or too short."""

    def __init__(self, filesystem: Any, cache: ObjectCache | None = None) -> None:
        """`filesystem` is fsspec's; `cache` is used where it is not this machine's disk."""
        self._fs = filesystem
        self._local = isinstance(filesystem, LocalFileSystem)
        self._cache = None if self._local else cache

    def whole(self, path: str) -> bytes:
        """All bytes of a small object."""
        try:
            content: bytes = self._fs.cat_file(path)
        except FileNotFoundError as error:
            raise StoreError(f"object {path} is missing") from error
        return content

    def tail(self, path: str, size: int) -> Array:
        """The last `size` bytes of an object."""
        if self._local or self._cache is not None:
            with self._descriptor(path) as descriptor:
                length = os.fstat(descriptor).st_size
                return _filled(descriptor, np.empty(size, np.uint8), length - size, path)
        return self._remote(path, -size, None, size)

    def read(self, path: str, ranges: Sequence[tuple[int, int]]) -> Iterator[Array]:
        """The byte ranges [start, stop) one by one, each valid until the next is taken."""
        if self._local or self._cache is not None:
            buffer = np.empty(max(stop - start for start, stop in ranges), np.uint8)
            with self._descriptor(path) as descriptor:
                for start, stop in ranges:
                    yield _filled(descriptor, buffer[: stop - start], start, path)
            return
        # one request for the whole span: the slabs of a crop lie one behind the other
        first, last = min(start for start, _ in ranges), max(stop for _, stop in ranges)
        content = self._remote(path, first, last, last - first)
        for start, stop in ranges:
            yield content[start - first : stop - first]

    def _remote(self, path: str, start: int, stop: int | None, size: int) -> Array:
        try:
            content = self._fs.cat_file(path, start=start, end=stop)
        except FileNotFoundError as error:
            raise StoreError(f"object {path} is missing") from error
        if len(content) != size:
            raise StoreError(f"object {path} is shorter than expected")
        return np.frombuffer(content, np.uint8)

    @contextmanager
    def _descriptor(self, path: str) -> Iterator[int]:
        try:
            if self._cache is not None:
                with self._cache.opened(self._fs, path) as descriptor:
                    yield descriptor
                return
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError as error:
            raise StoreError(f"object {path} is missing") from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _filled(descriptor: int, buffer: Array, start: int, path: str) -> Array:
    """`buffer` filled from `start` on; a read may give less than asked for."""
    view, done = buffer.data, 0
    while done < len(view):
        count = os.preadv(descriptor, [view[done:]], start + done) if start >= 0 else 0
        if count == 0:
            raise StoreError(f"object {path} is shorter than expected")
        done += count
    return buffer
