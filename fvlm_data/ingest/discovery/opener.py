"""From the place of a file to its bytes: a plain file, a member of an archive, or a server's."""

from __future__ import annotations

import hashlib
import os
import zlib
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, BinaryIO, cast

from isal import isal_zlib

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fvlm_data.ingest.sources.objects import Stored

MEMBER_MARK = "!/"
"""Between the path of an archive and the name of its member, as in `export.zip!/CT/0001`."""


@dataclass(frozen=True, slots=True)
class FileLocation:
    """Where the bytes of one file lie: `path`, with `member` inside it where it is an archive.

    An instance on a DICOMweb server and an object of a bucket have a `url` in place of a path;
    `profile` says by which credentials a bucket is asked, and with `in_part` of an object only what
    is read comes over the network.
    """

    path: Path = Path()
    member: str = ""
    url: str = ""
    profile: str = ""
    in_part: bool = False

    @property
    def name(self) -> str:
        """The file's own name, without folders."""
        return (self.member or self.url or self.path.name).rpartition("/")[2]

    @property
    def in_bucket(self) -> bool:
        """Whether it is an object of a bucket."""
        return self.url.startswith("s3://")

    def read_in_part(self) -> FileLocation:
        """The same place, for one who reads some of the file."""
        return replace(self, in_part=True) if self.in_bucket else self


class TooLargeError(Exception):
    """A file would take more memory or disk than it may."""


PACKED_ENDING = ".gz"
OTHER_PACKED = (".nii.gz", ".tar.gz", ".raw.gz", ".hdr.gz", ".img.gz")
"""Endings of packed files that their readers unpack, or that are no single image."""

UNPACKED_RATIO = 50
UNPACKED_FREE_BYTES = 64 << 20
IN_MEMORY_BYTES = 64 << 20
"""CT packs to a third. A single file that unpacks to more than 50 times its size and 64 MiB more
is a bomb; what does not fit into memory passes through a temporary file without a name."""

BLOCK_BYTES = 1 << 20
DAMAGED: tuple[type[Exception], ...] = (
    *(EOFError, ValueError, zlib.error),
    cast("type[Exception]", isal_zlib.error),
)


def opened(place: FileLocation) -> BinaryIO:
    """A binary stream of the file that can seek; the caller closes it.

    Members of archives, objects of buckets and instances of servers are held in memory, large ones
    in a temporary file that has no name. So are single files that are packed (`slice.dcm.gz`),
    unpacked.

    Raises:
        OSError: the file is gone, damaged, may not be read, or the DICOMweb server does not answer.
        TooLargeError: it is packed and would unpack to far too much.
        MachineError: the server of a bucket does not answer; `in_part` also when it is read.
    """
    name = place.name.lower()
    if not name.endswith(PACKED_ENDING) or name.endswith(OTHER_PACKED):
        return _as_it_lies(place)
    with _as_it_lies(replace(place, in_part=False)) as packed:
        return _unpacked(packed)


def _unpacked(packed: BinaryIO) -> BinaryIO:
    from isal import igzip

    allowed = UNPACKED_FREE_BYTES + UNPACKED_RATIO * packed.seek(0, os.SEEK_END)
    packed.seek(0)
    stream = igzip.IGzipFile(fileobj=packed, mode="rb")
    with ExitStack() as held:
        target = held.enter_context(SpooledTemporaryFile(max_size=IN_MEMORY_BYTES))
        try:
            while block := stream.read(BLOCK_BYTES):
                target.write(block)
                _refuse_above(allowed, target.tell())
        except DAMAGED as error:
            raise OSError("a packed file is damaged") from error
        target.seek(0)
        held.pop_all()  # the caller closes it
    return cast("BinaryIO", target)


def _refuse_above(allowed: int, found: int) -> None:
    if found > allowed:
        raise TooLargeError


def _as_it_lies(place: FileLocation) -> BinaryIO:
    if place.in_bucket:
        from fvlm_data.ingest.sources.objects import downloaded
        from fvlm_data.ingest.sources.read_in_part import read_in_part

        return (read_in_part if place.in_part else downloaded)(place.url, place.profile)
    if place.url:
        from fvlm_data.ingest.sources.wado import retrieved

        return retrieved(place.url)
    if place.member:
        from fvlm_data.ingest.discovery.archive import open_member

        return open_member(place.path, place.member)
    return place.path.open("rb")


def is_there(place: FileLocation) -> bool:
    """Whether the file (of a member: its archive) is there; a server is asked when it is read."""
    return bool(place.url) or place.path.is_file()


def beside(place: FileLocation, name: str) -> FileLocation | None:
    """A file of another name in the same folder; None: there is none, or an archive is asked.

    Raises:
        MachineError: the server of a bucket does not answer.
    """
    if place.in_bucket:
        found = replace(place, url=f"{place.url.rpartition('/')[0]}/{name}")
        return found if state_of(found) is not None else None
    if place.member or place.url:
        return None
    path = place.path.with_name(name)
    return FileLocation(path) if path.is_file() else None


@dataclass(frozen=True, slots=True)
class FileState:
    """What is told of a file without opening it; an object's `inode` stands for its ETag."""

    size_bytes: int
    modified_ns: int
    inode: int
    arrived_ns: int


def state_of(place: FileLocation) -> FileState | None:
    """Size and times of a file of a folder, or of an object; None: it is not there.

    Raises:
        MachineError: the server of a bucket does not answer.
    """
    if place.in_bucket:
        from fvlm_data.ingest.sources.objects import stored

        one = stored(place.url, place.profile)
        return object_state(one) if one else None
    try:
        state = place.path.stat()
    except OSError:
        return None
    # a copy may keep the modification time of its original; the change of the inode cannot be set
    arrived_ns = max(state.st_mtime_ns, state.st_ctime_ns)
    return FileState(state.st_size, state.st_mtime_ns, state.st_ino, arrived_ns)


def object_state(one: Stored) -> FileState:
    """What a listing tells of an object, as of a file."""
    digest = hashlib.blake2b(one.tag.encode(), digest_size=8).digest()
    inode = int.from_bytes(digest, "little") >> 1  # the tables hold signed numbers
    return FileState(one.size_bytes, one.modified_ns, inode, one.modified_ns)


def placed(folder: Path, relative: str) -> FileLocation:
    """The place of a file by its relative name below `folder`, archives looked into.

    A name of a member is only looked up in its archive, never joined to a path.
    """
    start = relative.find(MEMBER_MARK)
    # a folder's name may end in "!" as well: only a file can be an archive
    while start >= 0:
        archive = folder / relative[:start]
        if archive.is_file():
            return FileLocation(archive, relative[start + len(MEMBER_MARK) :])
        start = relative.find(MEMBER_MARK, start + 1)
    return FileLocation(folder / relative)


def reading_ranks(places: Iterable[FileLocation]) -> dict[FileLocation, tuple[str, int]]:
    """Sort keys of archive members, so that no archive is read back and forth."""
    from fvlm_data.ingest.discovery.archive import member_order

    members = [place for place in places if place.member]
    offsets = {path: member_order(path) for path in {place.path for place in members}}
    return {place: (str(place.path), offsets[place.path].get(place.member, 0)) for place in members}
