from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.dataset import Dataset
from series import Series, write

from fvlm_data.errors import ConfigError, InputError
from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.discovery.discover import discover
from fvlm_data.ingest.discovery.found_file import FoundFile
from fvlm_data.ingest.discovery.known import KnownFiles
from fvlm_data.ingest.discovery.opener import FileLocation
from fvlm_data.ingest.discovery.opener import opened as open_place
from fvlm_data.ingest.discovery.walk import walk
from fvlm_data.isolation.workers import Workers

if TYPE_CHECKING:
    from conftest import Ingested


def source(path: Path, **settings: Any) -> SourceConfig:
    return SourceConfig(kind="dicom", path=path, name="hospital", **settings)


def test_an_empty_or_missing_source_stops_the_run_with_one_sentence(
    ingested: Ingested, tmp_path: Path
):
    (tmp_path / "empty" / "below").mkdir(parents=True)
    with pytest.raises(InputError, match=r"source hospital: .* holds no files"):
        ingested.dicom(tmp_path / "empty")
    with pytest.raises(InputError, match=r"source hospital: .* is no folder and no file"):
        ingested.dicom(tmp_path / "nowhere")
    assert ingested.rows("inputs") == []


def test_two_sources_of_one_name_are_refused(ingested: Ingested, tmp_path: Path):
    for name in ("a", "b"):
        write(Series().datasets(), tmp_path / name / "ct")
    sources = [SourceConfig(kind="dicom", path=tmp_path / name / "ct") for name in ("a", "b")]
    with pytest.raises(ConfigError, match="two are named ct"):
        discover(ingested.context, sources, "token")


def test_junk_completes_and_every_file_has_its_line(ingested: Ingested, tmp_path: Path):
    folder = tmp_path / "junk"
    folder.mkdir()
    (folder / "notes.txt").write_text("Frau Mustermann, geboren 1930")
    (folder / "nothing.dcm").write_bytes(b"")
    (folder / "noise.dcm").write_bytes(bytes(range(256)) * 40)
    (folder / "marked.dcm").write_bytes(bytes(128) + b"DICM" + bytes(range(255, 0, -1)) * 9)
    (folder / "looks.like").write_bytes(b"\x08\x00\x05\x00" + b"\xff" * 300)
    (folder / "broken link").symlink_to(folder / "gone")
    counts = ingested.dicom(folder)
    assert counts["files"] == counts["set_aside"] == 6
    assert ingested.volumes() == []
    reasons = {row["item"].split("/")[1]: row["reason"] for row in ingested.rows("quarantine")}
    assert reasons["notes.txt"] == "not_dicom"
    assert reasons["nothing.dcm"] == "empty_file"
    assert reasons["noise.dcm"] == "not_dicom"
    assert reasons["broken link"] == "unreadable_file"
    assert "Mustermann" not in str(ingested.rows("quarantine"))
    ingested.check_conserved()


OUT: dict[str, tuple[dict[str, Any], str]] = {
    "an MR": ({"Modality": "MR"}, "out_of_scope:modality_not_ct"),
    "a structured report": ({"Modality": "SR"}, "out_of_scope:modality_not_ct"),
    "a modality that is a name": ({"Modality": "MUSTERMANN"}, "out_of_scope:modality_not_ct"),
    "a scout": (
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        "out_of_scope:localizer",
    ),
    "a projection": ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "out_of_scope:projection"),
    "a capture": ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "out_of_scope:secondary_capture"),
    "several frames": ({"NumberOfFrames": 3}, "out_of_scope:multiframe"),
    "burned-in text": ({"BurnedInAnnotation": "YES"}, "fault:burned_in_annotation"),
}


@pytest.mark.parametrize("name", OUT)
def test_what_is_no_ct_slice_is_set_aside(ingested: Ingested, tmp_path: Path, name: str):
    tags, reason = OUT[name]
    write(Series(tags=tags).datasets(), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {reason: 6}
    assert "MUSTERMANN" not in str(ingested.rows("quarantine"))
    ingested.check_conserved()


def test_a_header_without_pixels_is_told_as_such(ingested: Ingested, tmp_path: Path):
    paths = write(Series().datasets(), tmp_path / "in")
    paths[0].write_bytes(paths[0].read_bytes()[:600])
    for path in paths[1:]:
        path.unlink()
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:no_pixel_data": 1}


def without_identifiers(datasets: list[Dataset], **kept: str) -> list[Dataset]:
    for one in datasets:
        for keyword in ("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "SOPInstanceUID"):
            setattr(one, keyword, "")
        one.FrameOfReferenceUID = kept.get("frame", "")
    return datasets


def test_blank_identifiers_fall_back_to_folder_and_frame_of_reference(
    ingested: Ingested, tmp_path: Path
):
    folder = tmp_path / "in"
    first = without_identifiers(Series().datasets(), frame="1.2.7")
    second = without_identifiers(Series(seed=2).datasets(), frame="1.2.8")
    write(first, folder / "a")
    write(second, folder / "a", [f"second{n}" for n in range(6)])
    write(without_identifiers(Series(seed=3).datasets(), frame="1.2.7"), folder / "b")
    ingested.dicom(folder)
    assert len(ingested.volumes()) == 3
    assert len({row["series_id"] for row in ingested.volumes()}) == 3


def test_slices_that_nothing_tells_apart_are_refused(ingested: Ingested, tmp_path: Path):
    write(without_identifiers(Series().datasets()), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:no_series_identifier": 6}


def test_unchanged_files_are_not_opened_again(
    ingested: Ingested, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    paths = write(Series().datasets(), tmp_path / "in")
    ingested.dicom(tmp_path / "in")
    opened: list[str] = []

    def watch(place: FileLocation) -> Any:
        opened.append(place.path.name)
        return open_place(place)

    monkeypatch.setattr("fvlm_data.ingest.discovery.file_kind.opened", watch)
    counts = ingested.dicom(tmp_path / "in")
    assert opened == []
    assert counts["unchanged"] == 6
    assert counts["accepted"] == 0
    write(Series(seed=5).datasets()[:1], tmp_path / "in", [paths[0].name])
    ingested.dicom(tmp_path / "in")
    assert opened == [paths[0].name]


def test_a_file_that_could_not_be_read_is_tried_again(ingested: Ingested, tmp_path: Path):
    write(Series().datasets(), tmp_path / "in")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "later")
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {"fault:unreadable_file": 1}
    write(Series(slices=7).datasets()[6:], tmp_path, ["later"])
    ingested.dicom(tmp_path / "in")
    assert ingested.reasons() == {}
    assert ingested.volume()["shape"] == [10, 12, 7]


def test_links_that_loop_end(tmp_path: Path):
    write(Series().datasets(), tmp_path / "in" / "a")
    (tmp_path / "in" / "0").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "1").symlink_to(tmp_path / "in" / "a")
    found = [file.relative for file in walk(source(tmp_path / "in"))]
    assert len(found) == 6
    assert all(name.startswith("a/") for name in found)


def test_unicode_and_blanks_in_names(ingested: Ingested, tmp_path: Path):
    write(Series().datasets(), tmp_path / "in" / "Größe  ü 患者", [f"{n} ä.dcm" for n in range(6)])
    bad = bytes(tmp_path / "in") + b"/caf\xe9.dcm"
    Path(bad.decode(errors="surrogateescape")).write_bytes(b"x")
    ingested.dicom(tmp_path / "in")
    assert len(ingested.volumes()) == 1
    assert ingested.reasons() == {"fault:file_name_not_unicode": 1}


def test_tokens_hide_paths_and_the_vault_knows_them(ingested: Ingested, tmp_path: Path):
    ingested.naming = "token"
    write(Series().datasets(), tmp_path / "in" / "Mustermann", [f"{n}.dcm" for n in range(6)])
    ingested.dicom(tmp_path / "in")
    tokens = ingested.volume()["source_files"]
    assert all(token.startswith("f_") for token in tokens)
    paths = ingested.context.vault.file_paths(tokens)
    assert [paths[token] for token in tokens] == [f"Mustermann/{n}.dcm" for n in range(6)]


def test_a_single_file_is_a_source_too(ingested: Ingested, tmp_path: Path):
    (path, *_) = write(Series().datasets(), tmp_path / "in")
    ingested.dicom(path)
    assert ingested.reasons() == {"fault:too_few_slices": 1}


def mixed(folder: Path) -> Path:
    """Three series, one of them in an archive, and things that are none."""
    for number in range(3):
        write(Series(series_uid=f"1.2.3.{number}").datasets(), folder / str(number))
    with zipfile.ZipFile(folder / "more.zip", "w") as zipped:
        for path in (folder / "2").iterdir():
            zipped.write(path, f"more/{path.name}")
            path.unlink()
        zipped.writestr("readme.txt", b"nothing")
    (folder / "junk").write_bytes(b"x" * 500)
    (folder / "gone").symlink_to(folder / "nowhere")
    return folder


def offered(ingested: Ingested) -> tuple[list[Any], list[Any]]:
    """Rows of discovery, less what the vault's key enters."""
    keyed = ("item", "series", "study", "alike")
    inputs = [
        {**row, **{name: row[name] is not None for name in keyed}}
        for row in ingested.rows("inputs")
    ]
    return inputs, ingested.rows("quarantine")


@pytest.mark.slow
def test_processes_find_what_one_finds(
    ingested: Ingested,
    make_ingested: Callable[[Path], Ingested],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    where = source(mixed(tmp_path / "in"))
    discover(ingested.context, [where], "plain")
    monkeypatch.setattr("fvlm_data.ingest.discovery.discover.CHUNK_FILES", 4)
    monkeypatch.setattr("fvlm_data.ingest.discovery.discover.COMMIT_FILES", 8)
    parallel = make_ingested(tmp_path / "parallel")
    with Workers(2) as workers:
        counts = discover(replace(parallel.context, workers=workers), [where], "plain")
    assert counts["files"] == 22
    assert offered(parallel) == offered(ingested)


KILLED = """
import os, signal, sys
from pathlib import Path
from fvlm_data.ingest.discovery import discover as module
from fvlm_data.ingest.config import SourceConfig
from fvlm_data.store.declared import Context
from fvlm_data.store.tables import Store
from fvlm_data.identity.vault import Vault

store, vault, tree = map(Path, sys.argv[1:])
module.CHUNK_FILES = module.COMMIT_FILES = 4

def kill(seen):
    if seen >= 12:
        os.kill(os.getpid(), signal.SIGKILL)

module.discover(
    Context(Store.open(store), Vault.open(vault), "killed"),
    [SourceConfig(kind="dicom", path=tree, name="hospital")], "plain", kill,
)
"""


def test_a_killed_discovery_is_taken_up_where_it_stopped(
    ingested: Ingested, make_ingested: Callable[[Path], Ingested], tmp_path: Path
):
    tree = mixed(tmp_path / "in")
    arguments = [str(ingested.folder / "store"), str(ingested.folder / "secrets"), str(tree)]
    ended = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(ingested.rows("inputs")) == 8  # two commits of four; the third was under way
    assert ingested.dicom(tree)["unchanged"] == 8
    whole = make_ingested(tmp_path / "whole")
    whole.dicom(tree)
    assert offered(ingested) == offered(whole)
    shas = [row["content_sha256"] for row in whole.volumes()]
    assert [row["content_sha256"] for row in ingested.volumes()] == shas
    ingested.check_conserved()


def test_size_time_and_inode_tell_known_files_apart():
    never_kept = -1
    tokens = ["a", "b", "c", "d", "e", "f"]
    known = KnownFiles([*"abcef"], [1, 2, 3, 1, 1], [10, 20, 30, 10, 10], [7, 7, 7, 7, never_kept])
    place = FileLocation()
    files = [
        FoundFile("a", place, 1, 10, inode=7),
        FoundFile("b", place, 9, 20, inode=7),
        FoundFile("c", place, 3, 31, inode=7),
        FoundFile("d", place, 1, 10, inode=7),
        FoundFile("e", place, 1, 10, inode=8),
        FoundFile("f", place, 1, 10, inode=8),
    ]
    assert known.changed(tokens, files) == [False, True, True, True, True, False]
    assert known.looks(tokens, files) == ["", "whole", "whole", "header", "whole", ""]
    again = known.looks(tokens, files, rehash=True)
    assert again == ["whole", "whole", "whole", "header", "whole", "whole"]
    assert KnownFiles([], [], [], []).changed(["a"], files[:1]) == [True]


def test_a_folder_that_may_not_be_read_has_its_line(tmp_path: Path, monkeypatch: Any):
    write(Series().datasets(), tmp_path / "in" / "a")
    (tmp_path / "in" / "closed").mkdir()
    scan = os.scandir

    def refused(folder: Any) -> Any:
        if Path(folder).name == "closed":
            raise PermissionError
        return scan(folder)

    monkeypatch.setattr("fvlm_data.ingest.discovery.walk.os.scandir", refused)
    found = {file.relative: file.problem for file in walk(source(tmp_path / "in"))}
    assert found["closed"] == "unreadable_folder"
    assert len(found) == 7
