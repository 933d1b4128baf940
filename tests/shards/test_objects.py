from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem

from fvlm_data.errors import StoreError
from fvlm_data.shards.objects import ObjectCache, Objects

CONTENT = {"b/one": bytes(range(100)), "b/two": bytes(50), "b/three": bytes(60)}


@pytest.fixture
def remote() -> Any:
    """A filesystem that is not this machine's disk, and counts what is fetched whole."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    for path, content in CONTENT.items():
        filesystem.pipe_file(path, content)
    return filesystem


@pytest.mark.parametrize("kind", ["remote", "cached", "local"])
def test_ranges_and_tails_are_the_objects_bytes(remote: Any, tmp_path: Path, kind: str):
    path = "b/one"
    if kind == "local":
        path = str(tmp_path / "one")
        Path(path).write_bytes(CONTENT["b/one"])
    cache = ObjectCache(tmp_path / "cache", 1000) if kind == "cached" else None
    objects = Objects(LocalFileSystem() if kind == "local" else remote, cache)
    found = [part.tobytes() for part in objects.read(path, [(3, 7), (50, 99), (7, 9)])]
    assert found == [CONTENT["b/one"][a:b] for a, b in ((3, 7), (50, 99), (7, 9))]
    assert objects.tail(path, 10).tobytes() == CONTENT["b/one"][-10:]
    assert objects.whole(path) == CONTENT["b/one"]
    with pytest.raises(StoreError, match="shorter than expected"):
        list(objects.read(path, [(90, 101)]))
    with pytest.raises(StoreError, match="shorter than expected"):
        objects.tail(path, 101)
    with pytest.raises(StoreError, match="gone is missing"):
        objects.tail(f"{path}gone", 4)
    with pytest.raises(StoreError, match="gone is missing"):
        objects.whole(f"{path}gone")


def test_cache_fetches_once_and_keeps_its_bound(remote: Any, tmp_path: Path):
    folder = tmp_path / "cache"
    objects = Objects(remote, ObjectCache(folder, 120))
    objects.tail("b/one", 1)
    remote.rm("b/one")
    assert objects.tail("b/one", 1)[0] == 99  # from the folder
    objects.tail("b/two", 1)
    assert sum(f.stat().st_size for f in folder.iterdir()) <= 120
    objects.tail("b/three", 1)
    assert sorted(f.stat().st_size for f in folder.iterdir()) == [50, 60]
    with pytest.raises(StoreError, match="b/one is missing"):
        objects.tail("b/one", 1)


def test_what_was_used_longest_ago_goes_first(remote: Any, tmp_path: Path):
    folder = tmp_path / "cache"
    objects = Objects(remote, ObjectCache(folder, 120))
    objects.tail("b/two", 1)
    objects.tail("b/three", 1)
    for number, entry in enumerate(sorted(folder.iterdir(), key=lambda f: f.stat().st_size)):
        os.utime(entry, (number + 1, number + 1))  # two, then three
    objects.tail("b/two", 1)  # now the youngest
    remote.pipe_file("b/four", bytes(55))
    objects.tail("b/four", 1)
    assert sorted(f.stat().st_size for f in folder.iterdir()) == [50, 55]


def test_one_larger_than_the_bound_is_still_read_and_does_not_stay(remote: Any, tmp_path: Path):
    folder = tmp_path / "cache"
    objects = Objects(remote, ObjectCache(folder, 10))
    assert np.array_equal(next(iter(objects.read("b/one", [(0, 100)]))), np.arange(100))
    objects.tail("b/two", 1)
    assert [f.stat().st_size for f in folder.iterdir()] == [50]


def test_a_broken_fetch_leaves_nothing(remote: Any, tmp_path: Path, monkeypatch: Any):
    folder = tmp_path / "cache"

    def broken(*_: Any) -> None:
        raise OSError("connection lost")

    monkeypatch.setattr("fvlm_data.shards.objects.shutil.copyfileobj", broken)
    with pytest.raises(OSError, match="connection lost"):
        Objects(remote, ObjectCache(folder, 100)).tail("b/one", 1)
    assert list(folder.iterdir()) == []


def test_an_entry_that_another_process_removes_at_once_is_read(
    remote: Any, tmp_path: Path, monkeypatch: Any
):
    rename = Path.replace

    def renamed_and_removed(part: Path, target: Path) -> None:
        rename(part, target).unlink()

    monkeypatch.setattr("fvlm_data.shards.objects.Path.replace", renamed_and_removed)
    objects = Objects(remote, ObjectCache(tmp_path / "cache", 100))
    assert objects.tail("b/one", 4).tobytes() == CONTENT["b/one"][-4:]


def test_a_missing_object_keeps_no_file_open(remote: Any, tmp_path: Path):
    objects = Objects(remote, ObjectCache(tmp_path / "cache", 100))
    opened = Path("/dev/fd")
    before = len(list(opened.iterdir()))
    for _ in range(5):
        with pytest.raises(StoreError, match="gone is missing"):
            objects.tail("gone", 1)
    assert len(list(opened.iterdir())) == before
