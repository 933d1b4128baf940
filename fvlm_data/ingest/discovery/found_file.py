"""One entry of a source, as a walk or a server gives it, and why some are not opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.ingest.discovery import archive

if TYPE_CHECKING:
    from fvlm_data.ingest.discovery.opener import FileLocation


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One entry of a source: relative POSIX path, place, size, modification time and inode.

    A member of an archive is called `<archive>!/<name of the member>` and has the archive's
    modification time and inode. `problem` is empty, or the code of PROBLEMS for which it is not
    opened. A server says how many instances the file's series and study have (0: not told).
    `arrived_ns` is when the file last came or changed at its place (0: not told), whatever time it
    brought with it.
    """

    relative: str
    place: FileLocation
    size_bytes: int = 0
    modified_ns: int = 0
    problem: str = ""
    inode: int = 0
    series_instances: int = 0
    study_instances: int = 0
    arrived_ns: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an entry is not opened; with `passing` the next run looks again."""

    detail: str
    kind: str = "fault"
    passing: bool = False


PROBLEMS = {
    "unreadable_folder": Problem("the folder may not be read; check its permissions", passing=True),
    "unreadable_file": Problem(
        "the file may not be read, or is a link to nothing; check it", passing=True
    ),
    "not_a_file": Problem("this is no regular file (a device or pipe); leave it out"),
    "file_name_not_unicode": Problem("the file's name is no valid Unicode; rename it"),
    "archive": Problem("an archive; its members have lines of their own", "out_of_scope"),
    "damaged_archive": Problem(
        "the archive is damaged or breaks off; members up to there are taken in; send it again",
        passing=True,
    ),
    "archive_bomb": Problem(
        f"the archive would unpack to more than {archive.MAX_RATIO} times its size, expected at "
        "most 10 times for CT; not read on; check where it comes from"
    ),
    "archive_too_large": Problem(
        f"the archive has more than {archive.MAX_MEMBERS} members; those are taken in; unpack it, "
        "or pack the rest on its own"
    ),
    "archive_not_supported": Problem(
        "an archive of another kind, expected zip, tar, tar.gz or tar.bz2; unpack it"
    ),
    "archive_in_bucket": Problem(
        "an archive in a bucket, expected single files: it could not be read without being "
        "downloaded for each of its members; unpack it there, or ingest a local copy"
    ),
    "nested_archive": Problem("an archive within an archive; unpack the outer one"),
    "duplicate_member": Problem(
        "a second member of the same name, expected one; the first is taken; unpack or pack anew"
    ),
    "link_in_archive": Problem("a link within an archive; what it points to has its own line"),
    "encrypted_member": Problem("the member is encrypted; unpack the archive with its password"),
    "member_too_large": Problem("the member is larger than 8 GiB unpacked; unpack the archive"),
    "named_by_dicomdir": Problem(
        "the DICOMDIR names this file and it is not there; copy the whole disc again", passing=True
    ),
    "outside_file_set": Problem("the DICOMDIR names a file outside its own folder; not opened"),
}
