"""Files of a store: each seen whole or not at all."""

from __future__ import annotations

import filecmp
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsspec.implementations.local import LocalFileSystem

from fvlm_data.errors import StoreError
from fvlm_data.store.place import as_os_errors
from fvlm_data.store.writing import write_error

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping


class StoreFiles:
    """The files of a store, by paths relative to its URL.

    A file is seen whole or not at all: it is written under a temporary name and renamed (on
    object storage: one put).
    """

    def __init__(self, url: str, filesystem: Any, root: str) -> None:
        """`root` is the path of the store at `url` in the fsspec `filesystem`."""
        self.url = url
        self._fs = filesystem
        self._root = root

    @property
    def local_root(self) -> Path | None:
        """The store's folder, or None where the store is on object storage."""
        return Path(self._root) if isinstance(self._fs, LocalFileSystem) else None

    def write_bytes(self, path: str, content: bytes) -> None:
        """Write one file, seen whole or not at all.

        Raises:
            StoreError: no space, no permission, or the place is gone.
        """
        try:
            local = self.local_root is not None
            write_whole(self._fs, f"{self._root}/{path}", content, local=local)
        except OSError as error:
            raise write_error(self.url, path, error) from error

    def create_file(self, path: str, content: bytes) -> bool:
        """Write one file if there is none; of several who do so at once, one is told True.

        Raises:
            StoreError: no space, no permission, or the place is gone.
        """
        target = f"{self._root}/{path}"
        try:
            if self.local_root is None:
                with as_os_errors():
                    self._fs.pipe_file(target, content, mode="create")
                return True
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            with Path(target).open("xb") as handle:
                handle.write(content)
        except FileExistsError:
            return False
        except OSError as error:
            raise write_error(self.url, path, error) from error
        return True

    def put_tree(self, folder: Path, path: str) -> None:
        """Copy a local folder of files into the store, as `put_whole_tree` does.

        Raises:
            StoreError: no space, no permission, or the place is gone.
        """
        try:
            local = self.local_root is not None
            put_whole_tree(self._fs, folder, f"{self._root}/{path}", local=local)
        except OSError as error:
            raise write_error(self.url, path, error) from error

    def read_bytes(self, path: str) -> bytes:
        """The content of one file.

        Raises:
            StoreError: the file is missing or cannot be read.
        """
        try:
            with as_os_errors():
                return bytes(self._fs.cat_file(f"{self._root}/{path}"))
        except OSError as error:
            raise StoreError(
                f"store {self.url}: file {path} cannot be read ({type(error).__name__})"
            ) from error

    def files(self, path: str) -> list[str]:
        """Paths (relative to the store) of all files below `path`, sorted."""
        return sorted(self.sizes(path))

    def sizes(self, path: str) -> dict[str, int]:
        """Size in bytes of every file below `path`, by its path relative to the store."""
        below = f"{self._root}/{path}"
        if not self._fs.exists(below):
            return {}
        prefix = len(self._root) + 1
        found = self._fs.find(below, detail=True)
        return {place[prefix:]: int(told["size"]) for place, told in found.items()}

    def stamps(self, path: str) -> list[str]:
        """Path, size and time (or tag of the content) of every file below `path`, sorted."""
        return sorted(f"{place} {told}" for place, told in self.stamped(path).items())

    def stamped(self, path: str) -> dict[str, str]:
        """Size and time (or tag of the content) of every file below `path`, by its path."""
        below = f"{self._root}/{path}"
        if not self._fs.exists(below):
            return {}
        prefix = len(self._root) + 1
        # what goes between listing and look (a draft, a file that a compaction joins) is left out
        found = self._fs.find(below, detail=True)
        return {place[prefix:]: f"{told['size']} {_time(told)}" for place, told in found.items()}

    def folders(self) -> list[str]:
        """Names of the folders of the store, sorted."""
        listed = self._fs.ls(self._root, detail=True)
        return sorted(Path(one["name"]).name for one in listed if one["type"] == "directory")

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder at `path`."""
        return bool(self._fs.exists(f"{self._root}/{path}"))

    def remove(self, path: str) -> None:
        """Remove a file or folder, if there is one."""
        target = f"{self._root}/{path}"
        if self._fs.exists(target):
            self._fs.rm(target, recursive=True)

    def modified(self, path: str) -> dt.datetime:
        """When a file was last written, by the clock of the place.

        Raises:
            FileNotFoundError: there is none.
        """
        found: dt.datetime = self._fs.modified(f"{self._root}/{path}")
        return found

    def location(self, path: str) -> str:
        """URL (object storage) or path (folder) of a file of the store."""
        return f"{self._root}/{path}" if self.local_root else f"{self.url}/{path}"


def _time(told: Mapping[str, Any]) -> str:
    """When a file was written and which it is, or a tag of its content, as its storage tells it."""
    for name in ("ETag", "etag", "LastModified", "mtime", "created"):
        if told.get(name) is not None:
            return f"{told[name]} {told.get('ino', '')}"
    return secrets.token_hex(8)  # told by nothing: it may be another at every look


def write_whole(filesystem: Any, target: str, content: bytes, *, local: bool) -> None:
    """Write a file under a temporary name and rename it; on object storage by one put.

    Raises:
        OSError: no space, no permission, or the place is gone.
    """
    if not local:
        with as_os_errors():
            filesystem.pipe_file(target, content)
        return
    final = Path(target)
    final.parent.mkdir(parents=True, exist_ok=True)
    draft = final.with_name(f".{final.name}.{secrets.token_hex(4)}.tmp")
    try:
        with draft.open("wb") as handle:
            handle.write(content)
            handle.flush()
            # else a power cut may keep the rename and lose the bytes behind it
            os.fsync(handle.fileno())
        draft.replace(final)
    finally:
        draft.unlink(missing_ok=True)


def put_whole_tree(filesystem: Any, folder: Path, target: str, *, local: bool) -> None:
    """Copy a local folder of files; a folder already there is replaced where it differs.

    On a local disk it appears whole or not at all; on object storage its files appear one by one,
    so the row that names it must be written afterwards. Paths of trees are made from content
    hashes: an equal tree is left in place, and touched so that tidying, which goes by age, spares
    it until a row names it.

    Raises:
        OSError: no space, no permission, or the place is gone.
    """
    if not local:
        with as_os_errors():
            # with trailing slashes fsspec copies the content; without, it nests the folder in an
            # existing one
            filesystem.put(f"{folder}/", f"{target}/", recursive=True)
        return
    final = Path(target)
    if final.exists():
        if _same(final, folder):
            for file in final.rglob("*"):
                file.touch()
            return
        _put_away(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    draft = final.with_name(f".{final.name}.{secrets.token_hex(4)}.tmp")
    try:
        shutil.copytree(folder, draft)
        draft.rename(final)
    except OSError:
        if not final.exists():  # else another run put the same tree first
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _same(one: Path, two: Path) -> bool:
    """Whether two folders hold the same files, byte for byte."""
    sizes = _sizes(one)
    return sizes == _sizes(two) and all(
        filecmp.cmp(one / name, two / name, shallow=False) for name in sizes
    )


def _sizes(folder: Path) -> dict[str, int]:
    return {
        file.relative_to(folder).as_posix(): file.stat().st_size
        for file in folder.rglob("*")
        if file.is_file()
    }


def _put_away(damaged: Path) -> None:
    """Move a damaged tree away in one step, under the name of a draft, which tidying removes."""
    aside = damaged.with_name(f".{damaged.name}.{secrets.token_hex(4)}.tmp")
    damaged.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)
