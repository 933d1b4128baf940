"""Archives and DICOMDIR: what they hold is found, what they promise and lack has its line."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from series import Series, write

from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.discovery import archive
from fvlm_data.ingest.discovery.found_file import FoundFile
from fvlm_data.ingest.discovery.opener import FileLocation, opened, placed, reading_ranks
from fvlm_data.ingest.discovery.walk import walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ingested

NAMES = [f"CT/{number}.dcm" for number in (3, 1, 5, 0, 4, 2)]


def packed(folder: Path, target: Path) -> Path:
    """All files of a folder in an archive of the kind that the target's name says."""
    target.parent.mkdir(parents=True, exist_ok=True)
    paths = sorted((path for path in folder.rglob("*") if path.is_file()), reverse=True)
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as zipped:
            for path in paths:
                zipped.write(path, path.relative_to(folder))
        return target
    compression = {".gz": "gz", ".tgz": "gz", ".bz2": "bz2"}.get(target.suffix, "")
    with tarfile.open(target, f"w:{compression}") as tar:
        for path in paths:
            tar.add(path, str(path.relative_to(folder)))
    return target


def found_in(path: Path) -> list[FoundFile]:
    return list(walk(SourceConfig(kind="dicom", path=path, name="hospital")))


def problems(path: Path) -> dict[str, str]:
    return {found.relative: found.problem for found in found_in(path) if found.problem}


def content(place: FileLocation) -> bytes:
    with opened(place) as handle:
        return handle.read()


@pytest.mark.parametrize("name", ["e.zip", "e.tar", "e.tar.gz", "e.tgz", "e.tar.bz2", "E.ZIP"])
def test_a_series_in_an_archive_is_the_series_outside(
    ingested: Ingested, make_ingested: Callable[[Path], Ingested], tmp_path: Path, name: str
):
    (tmp_path / "plain" / "CT").mkdir(parents=True)
    write(Series().datasets(), tmp_path / "plain", NAMES)
    packed(tmp_path / "plain", tmp_path / "in" / name.lower()).rename(tmp_path / "in" / name)
    ingested.dicom(tmp_path / "in")
    outside = make_ingested(tmp_path / "outside")
    outside.dicom(tmp_path / "plain")
    row = ingested.volume()
    assert row["content_sha256"] == outside.volume()["content_sha256"]
    assert row["source_files"] == [f"hospital/{name}!/{one}" for one in NAMES]
    assert ingested.reasons() == {"out_of_scope:archive": 1}
    ingested.check_conserved()


def test_an_archive_alone_is_a_source_and_nothing_is_unpacked(ingested: Ingested, tmp_path: Path):
    (tmp_path / "plain" / "CT").mkdir(parents=True)
    write(Series().datasets(), tmp_path / "plain", NAMES)
    path = packed(tmp_path / "plain", tmp_path / "in" / "export.zip")
    ingested.dicom(path)
    assert ingested.volume()["shape"] == [10, 12, 6]
    assert [one.name for one in path.parent.iterdir()] == ["export.zip"]
    second = ingested.dicom(path)
    assert second == {"files": 7, "unchanged": 7}


def test_a_series_spread_over_archive_and_folder_is_one(ingested: Ingested, tmp_path: Path):
    datasets = Series().datasets()
    write(datasets[:3], tmp_path / "plain")
    packed(tmp_path / "plain", tmp_path / "in" / "first.tar.gz")
    write(datasets[3:], tmp_path / "in" / "rest")
    write(datasets[5:], tmp_path / "in" / "again")
    ingested.dicom(tmp_path / "in")
    assert ingested.volume()["shape"] == [10, 12, 6]
    assert ingested.reasons() == {"out_of_scope:archive": 1, "duplicate:same_slice": 1}
    ingested.check_conserved()


def test_names_that_lead_out_of_the_archive_touch_no_path(ingested: Ingested, tmp_path: Path):
    write(Series().datasets(), tmp_path / "plain", [str(n) for n in range(6)])
    names = ["../../up", "/etc/absolute", "a/../../b", "C:\\windows", "..", "plain"]
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "evil.zip", "w") as zipped:
        for number, name in enumerate(names):
            zipped.writestr(name, (tmp_path / "plain" / str(number)).read_bytes())
    before = sorted(tmp_path.rglob("*"))
    ingested.dicom(tmp_path / "in")
    assert set(ingested.volume()["source_files"]) == {
        f"hospital/evil.zip!/{name}" for name in names
    }
    new = set(tmp_path.rglob("*")) - set(before)
    assert all(tmp_path / "store" in (path, *path.parents) for path in new)
    assert placed(tmp_path / "in", "evil.zip!/../../up") == FileLocation(
        tmp_path / "in" / "evil.zip", "../../up"
    )


def test_a_bomb_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archive, "FREE_BYTES", 1 << 20)
    zeros = bytes(8 << 20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("0.dcm", zeros)
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("0.dcm")
        info.size = len(zeros)
        tar.addfile(info, io.BytesIO(zeros))
    assert problems(tmp_path) == {"bomb.zip": "archive_bomb", "bomb.tar.gz": "archive_bomb"}
    assert next(found.size_bytes for found in found_in(tmp_path)) < 1 << 16


def test_a_member_that_lies_about_its_size_is_refused(ingested: Ingested, tmp_path: Path):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "lie.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("0.dcm", bytes(1 << 20))
    stored = path.read_bytes().replace((1 << 20).to_bytes(4, "little"), (99).to_bytes(4, "little"))
    path.write_bytes(stored)
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:unreadable_file": 1, "out_of_scope:archive": 1}


@pytest.mark.parametrize("name", ["e.zip", "e.tar", "e.tar.gz"])
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.7])
def test_a_truncated_archive_is_told_and_its_sound_members_stand(
    ingested: Ingested, tmp_path: Path, name: str, kept: float
):
    write(Series(rows=40, columns=40).datasets(), tmp_path / "plain")
    path = packed(tmp_path / "plain", tmp_path / "in" / name)
    os.truncate(path, int(kept * path.stat().st_size))
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons()["fault:damaged_archive"] == 1
    ingested.check_conserved()


def test_damage_in_the_middle_of_a_tar_is_no_silent_end(tmp_path: Path):
    write(Series().datasets(), tmp_path / "plain")
    path = packed(tmp_path / "plain", tmp_path / "in" / "e.tar")
    with tarfile.open(path) as tar:
        third = tar.getmembers()[2].offset
    with path.open("r+b") as handle:
        handle.seek(third)
        handle.write(b"\xff" * 512)
    assert problems(tmp_path / "in") == {"e.tar": "damaged_archive"}
    assert len(found_in(tmp_path / "in")) == 3


def test_members_that_cannot_be_taken_have_their_lines(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        zipped.writestr("inner.zip", b"PK")
        zipped.writestr("x", b"one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            zipped.writestr("x", b"two")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        zipped.writestr(link, "x")
        secret = zipfile.ZipInfo("secret")
        zipped.writestr(secret, b"abc")
        secret.flag_bits |= 1
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        for name, kind in (("s", tarfile.SYMTYPE), ("h", tarfile.LNKTYPE), ("p", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "../../etc/passwd"
            tar.addfile(info)
    (tmp_path / "c.7z").write_bytes(b"7z\xbc\xaf\x27\x1c")
    (tmp_path / "d.zip").write_bytes(b"this is no archive")
    (tmp_path / "e.zip").write_bytes(b"")
    assert problems(tmp_path) == {
        "a.zip": "archive",
        "a.zip!/inner.zip": "nested_archive",
        "a.zip!/x#2": "duplicate_member",
        "a.zip!/link": "link_in_archive",
        "a.zip!/secret": "encrypted_member",
        "b.tar": "archive",
        "b.tar!/s": "link_in_archive",
        "b.tar!/h": "link_in_archive",
        "b.tar!/p": "not_a_file",
        "c.7z": "archive_not_supported",
        "d.zip": "damaged_archive",
    }
    assert content(FileLocation(tmp_path / "a.zip", "x")) == b"one"


def test_members_are_read_in_any_order(tmp_path: Path):
    for number in range(9):
        path = tmp_path / "plain" / f"{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number]) * 3000)
    for name in ("a.tar.gz", "a.tar", "a.zip", "a.tar.bz2"):
        path = packed(tmp_path / "plain", tmp_path / name)
        for number in np.random.default_rng(1).permutation(9):
            assert content(FileLocation(path, str(number))) == bytes([number]) * 3000
        places = [FileLocation(path, str(number)) for number in range(9)]
        ranks = reading_ranks(places)
        assert sorted(places, key=ranks.__getitem__) == places[::-1]
        with pytest.raises(FileNotFoundError, match="member is gone"):
            opened(FileLocation(path, "nowhere"))


def test_large_members_leave_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archive, "IN_MEMORY_BYTES", 1000)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "large").write_bytes(b"x" * 5000)
    path = packed(tmp_path / "plain", tmp_path / "a.zip")
    with opened(FileLocation(path, "large")) as handle:
        assert handle._rolled  # type: ignore[attr-defined]
        assert handle.read() == b"x" * 5000


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    """A copy of pydicom's DICOMDIR test tree: 81 files of two patients."""
    source = Path(str(get_testdata_file("DICOMDIR"))).parent
    return Path(shutil.copytree(source, tmp_path / "disc"))


def first_file(disc: Path) -> Path:
    return next(path for path in sorted((disc / "77654033").rglob("*")) if path.is_file())


def test_a_whole_disc_has_no_missing_files(ingested: Ingested, disc: Path):
    assert [one for one in found_in(disc) if one.problem == "named_by_dicomdir"] == []
    assert found_in(disc / "DICOMDIR") == found_in(disc)
    ingested.dicom(disc)
    assert ingested.reasons()["out_of_scope:dicomdir"] >= 1
    ingested.check_conserved()


def test_what_a_dicomdir_names_and_lacks_has_its_line_until_it_is_there(
    ingested: Ingested, disc: Path, tmp_path: Path
):
    lost = first_file(disc)
    lost.rename(tmp_path / "kept")
    ingested.dicom(disc)
    assert ingested.reasons()["fault:named_by_dicomdir"] == 1
    (row,) = [r for r in ingested.rows("quarantine") if r["reason"] == "named_by_dicomdir"]
    assert row["item"] == f"hospital/{lost.relative_to(disc).as_posix()}"
    (tmp_path / "kept").rename(lost)
    ingested.dicom(disc)
    assert "fault:named_by_dicomdir" not in ingested.reasons()
    ingested.check_conserved()


def test_case_of_names_on_a_copied_disc_plays_no_part(disc: Path):
    folder = disc / "77654033"
    folder.rename(disc / "77654033x")
    lost = [one for one in found_in(disc) if one.problem]
    assert len(lost) > 5
    (disc / "77654033x").rename(folder)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rename(path.with_name(path.name.lower()))
    assert [one for one in found_in(disc) if one.problem] == []


@pytest.mark.parametrize("name", ["disc.zip", "disc.tar.gz"])
def test_a_dicomdir_in_an_archive_is_checked_against_its_members(
    disc: Path, tmp_path: Path, name: str
):
    lost = first_file(disc).relative_to(disc).as_posix()
    whole = packed(disc.parent, tmp_path / "a" / name)
    assert problems(whole) == {name: "archive"}
    (disc / lost).unlink()
    part = packed(disc.parent / "disc", tmp_path / "b" / name)
    assert problems(part) == {name: "archive", f"{name}!/{lost}": "named_by_dicomdir"}


def test_a_dicomdir_that_points_outside_opens_nothing(tmp_path: Path, disc: Path):
    import pydicom
    from pydicom.config import disable_value_validation

    (tmp_path / "secret").write_bytes(b"x")
    directory = pydicom.dcmread(disc / "DICOMDIR")
    records: Any = directory.DirectoryRecordSequence
    images = [record for record in records if "ReferencedFileID" in record]
    with disable_value_validation():
        images[0].ReferencedFileID = ["..", "secret"]
    directory.save_as(disc / "DICOMDIR")
    found = problems(disc)
    assert list(found.values()) == ["outside_file_set"]


@pytest.mark.parametrize("name", ["e.zip", "e.tar", "e.tar.gz", "e.tar.bz2"])
def test_random_damage_stops_no_walk(tmp_path: Path, name: str):
    write(Series().datasets(), tmp_path / "plain")
    path = packed(tmp_path / "plain", tmp_path / name)
    sound = path.read_bytes()
    draw = np.random.default_rng(7)
    for round_ in range(150):
        content = bytearray(sound)
        for place in draw.integers(0, len(sound), draw.integers(1, 30)):
            content[place] = draw.integers(256)
        damaged = tmp_path / f"{round_}{name[1:]}"
        damaged.write_bytes(content[: draw.integers(len(sound) // 2, len(sound) + 1)])
        found = found_in(damaged)
        assert found[-1].relative == damaged.name  # the archive has its line in any case
        for one in found[:-1]:
            if not one.problem:
                with contextlib.suppress(OSError), opened(one.place) as handle:
                    handle.read()


def test_names_of_archives_and_members_stand_in_no_table(ingested: Ingested, tmp_path: Path):
    ingested.naming = "token"
    write(Series().datasets(), tmp_path / "plain" / "Mustermann Erika")
    packed(tmp_path / "plain", tmp_path / "in" / "Mustermann.zip")
    (tmp_path / "in" / "Beispielstadt.tar.gz").write_bytes(b"damaged")
    ingested.dicom(tmp_path / "in")
    root = ingested.context.store.local_root
    assert root is not None
    written = b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    assert b"Mustermann" not in written
    assert b"Beispielstadt" not in written
    tokens = ingested.volume()["source_files"]
    named = ingested.context.vault.file_paths(tokens)
    assert all(name.startswith("Mustermann.zip!/Mustermann Erika/") for name in named.values())
    assert len(named) == 6
