"""What a source need not be asked for again, and that nothing is lost by it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from series import Series, set_hu, write
from test_arriving import Clock

from fvlm_data.ingest.config import SourceConfig
from fvlm_data.ingest.discovery import listed, walk
from fvlm_data.ingest.discovery.discover import discover
from fvlm_data.ingest.discovery.listed import Listed

if TYPE_CHECKING:
    from collections import Counter

    from conftest import Ingested

DAYS = 30.0
DAY = 24 * 60.0
DEEP = "2026/03/patient/study/series"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Asked:
    """Files whose size and time were asked for, by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: list[str] = []
        real = walk._file

        def watched(path: Path, relative: str) -> object:
            self.files.append(relative)
            return real(path, relative)

        monkeypatch.setattr(walk, "_file", watched)

    def since(self) -> list[str]:
        found, self.files = sorted(set(self.files)), []
        return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


def found(ingested: Ingested, folder: Path, *, rehash: bool = False) -> Counter[str]:
    sources = [source(folder)]
    return discover(ingested.context, sources, "plain", rehash=rehash, full_listing_days=DAYS)


def fingerprints(ingested: Ingested) -> dict[str, str]:
    return {row["token"]: row["fingerprint"] for row in ingested.rows("inputs")}


def tokens(ingested: Ingested) -> set[str]:
    return {row["token"].partition("/")[2] for row in ingested.rows("inputs")}


def quiet(ingested: Ingested, folder: Path, clock: Clock, asked: Asked) -> None:
    """The folder is listed when nothing in it is in motion any more, so that it is kept."""
    clock.minutes += 2 * DAY
    found(ingested, folder)
    asked.since()


def test_a_folder_that_is_as_it_was_is_passed_over(
    ingested: Ingested, tmp_path: Path, clock: Clock, asked: Asked
):
    write(Series().datasets(), tmp_path / "in" / DEEP)
    assert found(ingested, tmp_path / "in")["accepted"] == 6
    # what came just now may still be written into
    assert found(ingested, tmp_path / "in") == {"files": 6, "unchanged": 6}
    quiet(ingested, tmp_path / "in", clock, asked)
    assert found(ingested, tmp_path / "in") == {"passed over": len(Path(DEEP).parts) + 1}
    # a run looks for a first file of each source before it begins
    assert len(asked.since()) == 1
    assert len(ingested.rows("inputs")) == 6


def test_files_that_come_into_a_deep_folder_are_found_and_no_others_are_asked_for(
    ingested: Ingested, tmp_path: Path, clock: Clock, asked: Asked
):
    datasets = Series(slices=8).datasets()
    write(datasets[:6], tmp_path / "in" / DEEP)
    write(Series(series_uid="1.2.3.6").datasets(), tmp_path / "in" / "2026" / "other")
    quiet(ingested, tmp_path / "in", clock, asked)
    write(datasets[6:7], tmp_path / "in" / DEEP, ["late.dcm"])
    write(datasets[7:], tmp_path / "in" / DEEP / "below", ["later.dcm"])
    assert found(ingested, tmp_path / "in")["accepted"] == 2
    names = asked.since()
    assert len(names) == 8
    assert all(name.startswith(DEEP) for name in names)
    assert {f"{DEEP}/late.dcm", f"{DEEP}/below/later.dcm"} <= tokens(ingested)


@pytest.mark.full
def test_a_file_that_is_replaced_by_another_is_found(
    ingested: Ingested, tmp_path: Path, clock: Clock, asked: Asked
):
    """As rsync and mv do it, with the times of the old one: the folder tells."""
    paths = write(Series().datasets(), tmp_path / "in" / DEEP)
    quiet(ingested, tmp_path / "in", clock, asked)
    before = fingerprints(ingested)
    state, folder = paths[2].stat(), paths[2].parent.stat()
    one = Series().datasets()[2]
    set_hu(one, Series().image_hu()[2] + 50)
    (new,) = write([one], tmp_path / "elsewhere")
    new.replace(paths[2])
    for path, old in ((paths[2], state), (paths[2].parent, folder)):
        os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert found(ingested, tmp_path / "in")["accepted"] == 1
    after = fingerprints(ingested)
    assert sum(before[token] != after[token] for token in before) == 1


@pytest.mark.full
@pytest.mark.parametrize("way", ["days", "rehash", "setting"])
def test_a_file_that_was_written_into_is_found_when_everything_is_listed(
    ingested: Ingested, tmp_path: Path, clock: Clock, asked: Asked, way: str
):
    paths = write(Series().datasets(), tmp_path / "in" / DEEP)
    quiet(ingested, tmp_path / "in", clock, asked)
    one = Series().datasets()[2]
    set_hu(one, Series().image_hu()[2] + 50)
    one.save_as(paths[2], enforce_file_format=True)
    assert found(ingested, tmp_path / "in") == {"passed over": len(Path(DEEP).parts) + 1}
    before = fingerprints(ingested)
    if way == "setting":
        assert discover(ingested.context, [source(tmp_path / "in")], "plain")["files"] == 6
    else:
        clock.minutes += DAYS * DAY if way == "days" else 0
        assert found(ingested, tmp_path / "in", rehash=way == "rehash")["files"] == 6
    after = fingerprints(ingested)
    token = f"hospital/{DEEP}/{paths[2].name}"
    assert after[token].partition("+")[0] != before[token].partition("+")[0]


@pytest.mark.full
def test_what_is_removed_keeps_its_rows_as_in_a_full_listing(
    ingested: Ingested, tmp_path: Path, clock: Clock, asked: Asked
):
    paths = write(Series().datasets(), tmp_path / "in" / DEEP)
    other = write(Series(series_uid="1.2.3.6").datasets(), tmp_path / "in" / "other")
    quiet(ingested, tmp_path / "in", clock, asked)
    paths[0].unlink()
    shutil.rmtree(other[0].parent)
    counts = found(ingested, tmp_path / "in")
    assert (counts["files"], counts["unchanged"]) == (5, 5)
    assert len(ingested.rows("inputs")) == 12


@pytest.mark.full
def test_what_could_not_be_read_is_tried_again_wherever_it_lies(
    ingested: Ingested, tmp_path: Path, clock: Clock, asked: Asked, monkeypatch: pytest.MonkeyPatch
):
    write(Series().datasets(), tmp_path / "in" / DEEP)
    write(Series(series_uid="1.2.3.6").datasets(), tmp_path / "in" / "other")
    clock.minutes += 2 * DAY
    opened = "fvlm_data.ingest.discovery.file_kind.opened"

    def refused(place: object) -> object:
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(opened, refused)
        assert found(ingested, tmp_path / "in")["fault:unreadable_file"] == 12
    asked.since()
    assert found(ingested, tmp_path / "in")["accepted"] == 12


@pytest.mark.full
@pytest.mark.parametrize("loss", ["rows", "older store", "listing", "damaged listing", "forget"])
def test_lost_rows_or_a_lost_listing_have_everything_listed(
    ingested: Ingested, tmp_path: Path, clock: Clock, asked: Asked, loss: str
):
    write(Series().datasets(), tmp_path / "in" / DEEP)
    quiet(ingested, tmp_path / "in", clock, asked)
    store = ingested.context.store
    rows = ingested.rows("inputs")
    path = listed.listing_path(ingested.context, rows[0]["source"])
    assert store.exists(path)
    if loss in ("rows", "older store"):
        store.replace("inputs", [rows[0]["token"]], [], {"kind": "file"})
    if loss == "older store":  # as if it had never been: the ledger says nothing of it either
        store.replace("ledger", [rows[0]["source"]], [], {"stage": "discover"})
    if loss == "listing":
        store.remove(path)
    if loss == "forget":
        listed.forget_listings(ingested.context)
    if loss == "damaged listing":
        store.write_bytes(path, b"PAR1")
    assert found(ingested, tmp_path / "in")["files"] == 6
    assert len(ingested.rows("inputs")) == 6


@pytest.mark.parametrize("kind", ["archive", "link", "dicomdir"])
def test_what_can_change_without_its_folder_is_always_listed(tmp_path: Path, kind: str):
    folder = tmp_path / "in"
    write(Series().datasets(), tmp_path / "elsewhere")
    folder.mkdir()
    if kind == "archive":
        shutil.make_archive(str(folder / "all"), "zip", tmp_path / "elsewhere")
    elif kind == "link":
        (folder / "one.dcm").symlink_to(next((tmp_path / "elsewhere").iterdir()))
    else:
        (folder / "DICOMDIR").write_bytes(b"nothing")
    one = Listed(b"key", 1e30, 0.0)
    first = [entry.relative for entry in walk.walk(source(folder), one)]
    again = Listed(b"key", 1e30, 0.0)
    again.know(one.table())
    assert [entry.relative for entry in walk.walk(source(folder), again)] == first
    assert again.skipped == 0


@pytest.mark.full
def test_an_empty_mount_is_not_taken_for_an_unchanged_one(
    ingested: Ingested, tmp_path: Path, clock: Clock, asked: Asked
):
    from fvlm_data.errors import InputError

    write(Series().datasets(), tmp_path / "in" / DEEP)
    quiet(ingested, tmp_path / "in", clock, asked)
    (tmp_path / "in").rename(tmp_path / "gone")
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match="holds no files"):
        found(ingested, tmp_path / "in")


def source(folder: Path) -> SourceConfig:
    return SourceConfig(kind="dicom", path=folder, name="hospital")


FOLDERS = ("", "a", "a/b", "a/b/c", "d", "d/e")
NAMES = ("1", "2", "3")
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(("add", "replace", "remove", "remove folder", "move folder")),
        st.sampled_from(FOLDERS),
        st.sampled_from(NAMES),
    ),
    max_size=5,
)


@given(nights=st.lists(CHANGES, min_size=1, max_size=4))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_changes_by_name_is_listed(
    make_folder: Callable[[], Path], nights: list[list[tuple[str, str, str]]]
):
    """Every file that a night brought or replaced is listed by the next look."""
    root = make_folder()
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "0").write_text("0")
    known: dict[str, tuple[int, int]] = {}
    before = Listed(b"key", 1e30, 0.0)
    for number, changes in enumerate([[], *nights]):
        for change in changes:
            _change(root, *change, number)
        now = Listed(b"key", 1e30, 0.0)
        now.know(before.table())
        known |= {one.relative: _told(one) for one in walk.walk(source(root), now)}
        whole = {one.relative: _told(one) for one in walk.walk(source(root))}
        assert whole.items() <= known.items()
        before = now


def _told(one: walk.FoundFile) -> tuple[int, int]:
    return one.inode, one.modified_ns


def _change(root: Path, what: str, folder: str, name: str, number: int) -> None:
    place = root / folder
    if what in ("add", "replace"):
        place.mkdir(parents=True, exist_ok=True)
        draft = root.parent / f"draft{name}"
        draft.write_text(f"{number}")
        draft.replace(place / name)
    elif what == "remove" and (place / name).exists():
        (place / name).unlink()
    elif what == "remove folder" and folder and place.exists():
        shutil.rmtree(place)
    elif what == "move folder" and folder and place.exists():
        target = root / f"moved{number}{name}"
        if not target.exists():
            place.rename(target)


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[[], Path]:
    count = iter(range(10_000))

    def make() -> Path:
        folder = tmp_path / str(next(count)) / "in"
        folder.mkdir(parents=True)
        return folder

    return make
