"""Walking a source: every file below it once, archives and DICOMDIR looked into."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError
from fvlm_data.ingest.discovery import archive, dicomdir
from fvlm_data.ingest.discovery.found_file import FoundFile
from fvlm_data.ingest.discovery.opener import MEMBER_MARK, FileLocation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.ingest.config import SourceConfig
    from fvlm_data.ingest.discovery.listed import Listed


def walk(source: SourceConfig, listed: Listed | None = None) -> Iterator[FoundFile]:
    """Every file of a source, in a fixed order; links are followed, no folder entered twice.

    A source may be a folder, one file, an archive, or the DICOMDIR of a disc, which stands for
    the folder that it lies in. Files that a DICOMDIR names and that are missing are listed too.
    With `listed`, files that lie in a folder which is as it was are passed over.

    Raises:
        InputError: the source is missing, cannot be read, or holds no file at all.
    """
    root = Path(source.path).expanduser()
    folder = base_folder(source)
    if root.is_file() and not dicomdir.is_dicomdir(root.name):
        yield from _file(root, root.name)
        return
    if not folder.is_dir():
        raise InputError(
            f"source {source.label}: {root} is no folder and no file; expected a folder of images; "
            "check the path"
        )
    empty = True
    for found in _walk_folder(folder, "", set(), listed):
        if found.problem == "unreadable_folder" and not found.relative:
            raise InputError(f"source {source.label}: {folder} may not be read; check permissions")
        empty = False
        yield found
    if empty and not (listed and listed.skipped):
        raise InputError(
            f"source {source.label}: {folder} holds no files; expected a folder of images; "
            "check the path"
        )


def named(source: SourceConfig, names: Sequence[str]) -> Iterator[FoundFile]:
    """The files of a source that have these relative names, or lie in folders that do.

    What is gone is left out.
    """
    folder = base_folder(source)
    for name in names:
        if (folder / name).is_dir():
            yield from _walk_folder(folder / name, name, set(), None)
        elif (folder / name).is_file():
            yield from _file(folder / name, name)


def base_folder(source: SourceConfig) -> Path:
    """The folder from which the relative names of a source's files count."""
    root = Path(source.path).expanduser()
    return root.parent if root.is_file() else root


def _walk_folder(
    folder: Path, relative: str, seen: set[tuple[int, int]], listed: Listed | None
) -> Iterator[FoundFile]:
    try:
        state = folder.stat()
        # links may form loops; device and inode identify a folder whatever path led to it
        if (state.st_dev, state.st_ino) in seen:
            return
        seen.add((state.st_dev, state.st_ino))
        # taken before the entries: what comes while they are read makes another state
        stamp = (state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        if listed is not None and listed.done(relative, stamp):
            return
        with os.scandir(folder) as entries:
            # real folders before links to them, so that a file has its own path, not a link's
            ordered = sorted((entry.is_symlink(), entry.name, entry.is_dir()) for entry in entries)
    except OSError:
        yield FoundFile(relative, FileLocation(folder), problem="unreadable_folder")
        return
    passed = listed is not None and listed.as_before(relative, stamp)
    still = listed is not None and max(stamp[:2]) < listed.quiet_before_ns
    for is_link, name, is_folder in ordered:
        below = f"{relative}/{name}" if relative else name
        if is_folder:
            yield from _walk_folder(folder / name, below, seen, listed)
            continue
        if passed:
            continue
        for found in _file(folder / name, below):
            still = still and not is_link and _is_still(found, listed)
            yield found
        if dicomdir.is_dicomdir(name):
            lost = dicomdir.missing(FileLocation(folder / name), dicomdir.in_folder(folder))
            yield from _lost(lost, FileLocation(folder / name), below)
            still = False  # it names files elsewhere
    if listed is not None and still:
        if passed:
            listed.skipped += 1
        listed.keep(relative, stamp, closed=not any(is_folder for _, _, is_folder in ordered))


def _is_still(found: FoundFile, listed: Listed | None) -> bool:
    """Whether a file was in no motion when it was listed, and can only change with its folder."""
    return (
        listed is not None
        and not found.problem
        and not found.place.member
        and found.arrived_ns < listed.quiet_before_ns
    )


def _file(path: Path, relative: str) -> Iterator[FoundFile]:
    """A file, or the members of an archive and then the archive itself."""
    readable = _readable(relative)
    if readable != relative:
        yield FoundFile(readable, FileLocation(path), problem="file_name_not_unicode")
        return
    try:
        state = path.stat()
    except OSError:
        yield FoundFile(relative, FileLocation(path), problem="unreadable_file")
        return
    problem = "" if path.is_file() else "not_a_file"
    if not problem and archive.is_archive(path.name) and state.st_size:
        problem = "archive"
        try:
            # members first: the archive's own line says how far its listing came
            yield from _members(path, relative, state)
        except archive.ArchiveError as error:
            problem = error.reason
    elif not problem and path.name.lower().endswith(archive.OTHER_ENDINGS):
        problem = "archive_not_supported"
    yield _found(relative, FileLocation(path), state.st_size, state, problem)


def _found(
    relative: str, place: FileLocation, size_bytes: int, state: os.stat_result, problem: str
) -> FoundFile:
    # a copy may keep the modification time of its original; the change of the inode cannot be set
    return FoundFile(
        relative,
        place,
        size_bytes,
        state.st_mtime_ns,
        problem,
        _signed(state.st_ino),
        arrived_ns=max(state.st_mtime_ns, state.st_ctime_ns),
    )


def _signed(inode: int) -> int:
    """An inode as the tables hold numbers; some file systems use all 64 bits."""
    return inode - (1 << 64) if inode >> 63 else inode


def _members(path: Path, relative: str, state: os.stat_result) -> Iterator[FoundFile]:
    directories: list[str] = []
    again: dict[str, int] = {}
    for member in archive.members(path):
        name = _readable(member.name)
        problem = member.problem if name == member.name else "file_name_not_unicode"
        below = f"{relative}{MEMBER_MARK}{name}"
        if problem == "duplicate_member":
            again[name] = again.get(name, 1) + 1
            below = f"{below}#{again[name]}"
        elif not problem and dicomdir.is_dicomdir(name.rpartition("/")[2]):
            directories.append(name)
        place = FileLocation(path, member.name)
        yield _found(below, place, member.size_bytes, state, problem)
    for name in directories:
        above = name.rpartition("/")[0]
        inside = {dicomdir.folded(tuple(one.name.split("/"))) for one in archive.members(path)}
        lost = dicomdir.missing(
            FileLocation(path, name),
            lambda file, above=above, inside=inside: (  # type: ignore[misc]
                dicomdir.folded((*filter(None, above.split("/")), *file)) in inside
            ),
        )
        yield from _lost(lost, FileLocation(path, name), f"{relative}{MEMBER_MARK}{name}")


def _lost(
    files: Iterator[dicomdir.File | None], directory: FileLocation, relative: str
) -> Iterator[FoundFile]:
    """Lines of the files that a DICOMDIR called `relative` names and that are not there."""
    above = relative.rpartition("/")[0]
    for number, file in enumerate(files):
        if file is None:
            yield FoundFile(f"{relative}#{number}", directory, problem="outside_file_set")
            continue
        below = _readable("/".join(filter(None, (above, *file))))
        yield FoundFile(below, directory, problem="named_by_dicomdir")


def _readable(name: str) -> str:
    """The name itself, or with escapes if it is not valid Unicode."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return name
