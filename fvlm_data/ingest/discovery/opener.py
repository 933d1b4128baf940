"""From the place of a file to its bytes: a plain file, a member of an archive, or a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable

MEMBER_MARK = "!/"
"""Between the path of an archive and the name of its member, as in `export.zip!/CT/0001`."""


@dataclass(frozen=True, slots=True)
class FileLocation:
    """Where the bytes of one file lie: `path`, with `member` inside it where it is an archive.

    An instance on a DICOMweb server has a `url` in place of a path.
    """

    path: Path = Path()
    member: str = ""
    url: str = ""


def opened(place: FileLocation) -> BinaryIO:
    """A binary stream of the file that can seek; the caller closes it.

    Members of archives and instances of servers are held in memory, large ones in a temporary
    file that has no name.

    Raises:
        OSError: the file is gone, damaged, may not be read, or the server does not answer.
    """
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
