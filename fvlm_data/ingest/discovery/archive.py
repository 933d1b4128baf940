"""Zip and tar archives: what they hold, and the bytes of one member, with nothing unpacked."""

from __future__ import annotations

import stat
import tarfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from isal.isal_zlib import error as isal_error

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2")
OTHER_ENDINGS = (".7z", ".rar", ".tar.xz", ".txz", ".tar.zst", ".iso")

MAX_MEMBERS = 1_000_000
MAX_MEMBER_BYTES = 8 << 30
MAX_RATIO = 200
FREE_BYTES = 1 << 30
"""CT shrinks to a third at best. An archive that would unpack to more than `MAX_RATIO` times its
own size plus 1 GiB is a bomb."""

IN_MEMORY_BYTES = 64 << 20
COPY_BYTES = 1 << 20
OPEN_ARCHIVES = 4
BLOCK = 512
DAMAGE: tuple[type[Exception], ...] = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, cast("type[Exception]", isal_error)),
    *(EOFError, OSError, ValueError),
)
"""What reading a damaged file raises, packed or not."""
FOREIGN: tuple[type[Exception], ...] = (*DAMAGE, NotImplementedError, RuntimeError)
"""In addition, what zipfile raises for unknown compression and encryption."""


class ArchiveError(Exception):
    """An archive cannot be listed to its end; `reason` is a code of `found_file.PROBLEMS`."""

    def __init__(self, reason: str) -> None:
        """Set aside for `reason`."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive: name as stored, size unpacked; `problem` as in `walk.FoundFile`."""

    name: str
    size_bytes: int
    problem: str = ""


def is_archive(name: str) -> bool:
    """Whether the name is that of an archive whose members can be read."""
    return name.lower().endswith(ENDINGS)


def members(path: Path) -> Iterator[Member]:
    """All members except folders, in their order in the archive; none is unpacked.

    A second member of one name has the problem `duplicate_member`, an archive in the archive
    `nested_archive`.

    Raises:
        ArchiveError: damaged, truncated, a bomb, or too large; members before that are valid.
    """
    seen: set[int] = set()
    try:
        with _opened(path) as archive:
            for member in archive.listed():
                # 8 bytes in place of a name, of which there may be a million
                number = hash(member.name)
                problem = member.problem or ("duplicate_member" if number in seen else "")
                seen.add(number)
                if len(seen) > MAX_MEMBERS:
                    raise ArchiveError("archive_too_large")
                yield member if not problem else Member(member.name, member.size_bytes, problem)
    except DAMAGE as error:
        raise ArchiveError("damaged_archive") from error


def open_member(path: Path, name: str) -> BinaryIO:
    """The bytes of one member: in memory, above 64 MiB in a temporary file without a name.

    Raises:
        OSError: the archive or the member is gone or damaged.
    """
    target = cast("BinaryIO", SpooledTemporaryFile(max_size=IN_MEMORY_BYTES))  # noqa: SIM115
    try:
        with _LOCK:
            _cached(path).copy(name, target)
    except KeyError as error:
        target.close()
        raise FileNotFoundError("an archive: a member is gone") from error
    except FOREIGN as error:
        target.close()
        raise OSError("an archive: a member is damaged") from error
    target.seek(0)
    return target


def member_order(path: Path) -> dict[str, int]:
    """The offset of every member, by name; empty where the archive cannot be read."""
    try:
        with _LOCK:
            return _cached(path).offsets()
    except DAMAGE:
        return {}


class _Zip:
    def __init__(self, path: Path) -> None:
        self._packed_bytes = path.stat().st_size
        self._file = zipfile.ZipFile(path)
        self._by_name: dict[str, zipfile.ZipInfo] = {}
        for info in self._file.infolist():
            # the first of two members with one name, as `members` says
            self._by_name.setdefault(info.filename, info)

    def listed(self) -> Iterator[Member]:
        infos = [info for info in self._file.infolist() if not info.is_dir()]
        _refuse_bomb(sum(info.file_size for info in infos), self._packed_bytes)
        # the directory of a zip may be in any order; this is the order on disk
        for info in sorted(infos, key=lambda info: info.header_offset):
            problem = _name_problem(info.filename, info.file_size)
            # the upper half holds the Unix mode
            if stat.S_ISLNK(info.external_attr >> 16):
                problem = "link_in_archive"
            # bit 0 of the general purpose flags (APPNOTE 4.4.4)
            elif info.flag_bits & 1:
                problem = "encrypted_member"
            yield Member(info.filename, info.file_size, problem)

    def copy(self, name: str, target: BinaryIO) -> None:
        with self._file.open(self._by_name[name]) as member:
            _copy(member, target, MAX_MEMBER_BYTES)

    def offsets(self) -> dict[str, int]:
        return {name: info.header_offset for name, info in self._by_name.items()}

    def __enter__(self) -> _Zip:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


class _Tar:
    """A tar file, read forward; a compressed one restarts only for a member further back."""

    def __init__(self, path: Path) -> None:
        self._packed_bytes = path.stat().st_size
        self._stream = _decompressed(path)
        try:
            capped = cast("BinaryIO", _Capped(self._stream))
            self._file = tarfile.TarFile(fileobj=capped, mode="r")
        except DAMAGE:
            self._stream.close()
            raise
        self._extents: dict[str, tuple[int, int]] = {}
        self._rest: Iterator[Member] | None = None

    def listed(self) -> Iterator[Member]:
        while (info := self._file.next()) is not None:
            # tarfile remembers every member it has passed
            self._file.members = []  # type: ignore[attr-defined]
            _refuse_bomb(info.offset_data + info.size, self._packed_bytes)
            if info.isdir():
                continue
            problem = _name_problem(info.name, info.size)
            if info.issym() or info.islnk():
                problem = "link_in_archive"
            elif not info.isreg() or info.issparse():
                problem = "not_a_file"
            if not problem:
                self._extents.setdefault(info.name, (info.offset_data, info.size))
            yield Member(info.name, info.size, problem)
        self._check_end()

    def _check_end(self) -> None:
        """An archive ends with a block of zeros; `tarfile` takes damage for the end as well."""
        self._stream.seek(self._file.offset)
        block = self._stream.read(BLOCK)
        if len(block) < BLOCK or any(block):
            raise tarfile.ReadError("no end mark")

    def copy(self, name: str, target: BinaryIO) -> None:
        offset, size = self._found(name)
        self._stream.seek(offset)
        _copy(self._stream, target, size)
        if target.tell() < size:
            raise EOFError

    def offsets(self) -> dict[str, int]:
        self._found("")
        return {name: offset for name, (offset, _) in self._extents.items()}

    def _found(self, name: str) -> tuple[int, int]:
        """The extent of a member; the listing continues as far as needed to find it."""
        if self._rest is None:
            self._rest = self.listed()
        while name not in self._extents:
            try:
                if next(self._rest, None) is None:
                    break
            except DAMAGE:  # what lies before the damage can be read
                break
        return self._extents[name] if name else (0, 0)

    def __enter__(self) -> _Tar:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._stream.close()


class _Capped:
    """A stream that gives no more than 1 MiB at once: a tar header may claim any length."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if size > COPY_BYTES:
            raise tarfile.ReadError("header too long")
        return self._stream.read(size)


_LOCK = threading.Lock()
_CACHE: OrderedDict[tuple[Path, int, int], _Zip | _Tar] = OrderedDict()
"""The archives read last, held open by this process; only touched under the lock."""


def _cached(path: Path) -> _Zip | _Tar:
    state = path.stat()
    # an archive that was replaced is opened again
    key = (path, state.st_size, state.st_mtime_ns)
    if key not in _CACHE:
        while len(_CACHE) >= OPEN_ARCHIVES:
            _CACHE.popitem(last=False)[1].__exit__()
        _CACHE[key] = _opened(path)
    _CACHE.move_to_end(key)
    return _CACHE[key]


def _opened(path: Path) -> _Zip | _Tar:
    return _Zip(path) if path.name.lower().endswith(".zip") else _Tar(path)


def _decompressed(path: Path) -> BinaryIO:
    name = path.name.lower()
    if name.endswith("gz"):
        from isal import igzip

        return cast("BinaryIO", igzip.open(path, "rb"))
    if name.endswith("bz2"):
        import bz2

        return cast("BinaryIO", bz2.open(path, "rb"))
    return path.open("rb")


def _refuse_bomb(unpacked_bytes: int, packed_bytes: int) -> None:
    if unpacked_bytes > MAX_RATIO * packed_bytes + FREE_BYTES:
        raise ArchiveError("archive_bomb")


def _name_problem(name: str, size_bytes: int) -> str:
    if name.lower().endswith((*ENDINGS, *OTHER_ENDINGS)):
        return "nested_archive"
    return "member_too_large" if size_bytes > MAX_MEMBER_BYTES else ""


def _copy(source: Any, target: BinaryIO, limit_bytes: int) -> None:
    left = limit_bytes
    while left > 0 and (block := source.read(min(COPY_BYTES, left))):
        target.write(block)
        left -= len(block)
