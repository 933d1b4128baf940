"""An export is whole or not there, and its bytes depend on its samples alone."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fvlm_data.errors import InputError
from fvlm_data.export.target import PLAN, new_folder
from tests.export.conftest import files_of, make_store
from tests.export.exporting import export, exported, refused

FORMS = ("webdataset", "nnunet", "monai", "huggingface")
ROOT = Path(__file__).resolve().parents[2]
NAME = "Dataset001_A"

KILLED = """
import os, signal, sys
from fvlm_data.cli.main import app
from fvlm_data.export.target import Draft
write, left = os.fsync, [int(sys.argv[1])]
def fsync(number):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    write(number)
os.fsync = fsync
app(sys.argv[2:])
"""


@pytest.mark.parametrize("form", FORMS)
def test_a_second_export_gives_the_same_bytes(form: str, store: str, tmp_path: Path):
    first = files_of(exported(form, tmp_path / "a" / NAME, store))
    assert len(first) >= 4
    assert files_of(exported(form, tmp_path / "b" / NAME, store)) == first


@pytest.mark.parametrize(
    "form",
    [pytest.param(one, marks=() if one == FORMS[0] else pytest.mark.full) for one in FORMS],
)
def test_other_shards_of_the_same_samples_give_the_same_bytes(
    form: str, store: str, tmp_path: Path, world: object
):
    """Ids are hashes by the vault's key: the other store has the same."""
    key = Path(store).parent / "vault"
    shutil.copytree(key, tmp_path / "vault", dirs_exist_ok=True)
    other = make_store(tmp_path, samples_per_shard=1).store.url
    first = files_of(exported(form, tmp_path / "a" / NAME, store))
    assert files_of(exported(form, tmp_path / "b" / NAME, other)) == first


@pytest.mark.parametrize(
    ("form", "writes"), [("webdataset", 2), ("nnunet", 6), ("monai", 3), ("huggingface", 1)]
)
def test_a_killed_export_is_not_there_and_the_next_takes_it_up(
    form: str, writes: int, store: str, tmp_path: Path
):
    whole = files_of(exported(form, tmp_path / "whole" / NAME, store))
    folder = tmp_path / "killed" / NAME
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(writes), "export", form, str(folder), "--store", store],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not folder.exists()
    partial = folder.with_name(f"{NAME}.partial")
    kept = {
        path: path.stat().st_mtime_ns
        for path in partial.rglob("*.*")
        if path.suffix in (".tar", ".gz") and not path.name.startswith(".")
    }
    assert len(kept) == (0 if form == "huggingface" else writes - 1)
    for path in kept:
        assert path.read_bytes() == whole[str(path.relative_to(partial))]
    exported(form, folder, store)
    assert not partial.exists()
    assert files_of(folder) == whole
    for path, written_ns in kept.items():
        assert (folder / path.relative_to(partial)).stat().st_mtime_ns == written_ns


def interrupted(folder: Path, plan: str) -> None:
    """An export that ends in the midst of its second file."""
    with new_folder(folder, plan) as draft:
        draft.write("a/1", b"one")
        with draft.open("a/2") as handle:
            handle.write(b"half")
            raise KeyboardInterrupt


def test_what_is_finished_is_not_written_again(tmp_path: Path):
    folder = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        interrupted(folder, "plan")
    assert not folder.exists()
    with new_folder(folder, "plan") as draft:
        assert draft.done("a/1")
        assert not draft.done("a/2")
        draft.write("a/2", b"two")
    assert files_of(folder) == {"a/1": b"one", "a/2": b"two"}


def test_another_plan_starts_anew(tmp_path: Path):
    folder = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        interrupted(folder, "plan")
    with new_folder(folder, "other plan") as draft:
        assert not draft.done("a/1")
        draft.write("b", b"two")
    assert files_of(folder) == {"b": b"two"}


def test_a_folder_of_another_is_not_touched(tmp_path: Path):
    theirs = tmp_path / "out.partial"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("years of work")
    with (
        pytest.raises(InputError, match="was not left by an export"),
        new_folder(tmp_path / "out", "plan"),
    ):
        pass
    assert (theirs / "thesis.txt").read_text() == "years of work"


def test_an_empty_folder_is_taken_and_a_full_one_refused(store: str, tmp_path: Path):
    folder = tmp_path / "out"
    folder.mkdir()
    exported("huggingface", folder, store)
    assert (folder / "README.md").exists()
    assert not (folder / PLAN).exists()
    before = files_of(folder)
    assert "not empty; expected a new or empty folder" in refused("huggingface", folder, store)
    assert files_of(folder) == before


def test_the_working_folder_can_be_named(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    exported("huggingface", Path(), store)
    assert (tmp_path / "here" / "README.md").exists()


def test_neither_vault_nor_tables_are_needed(store: str, tmp_path: Path, vault_folder: Path):
    shutil.copytree(Path(store) / "shards", tmp_path / "store" / "shards")
    exported("monai", tmp_path / "out", str(tmp_path / "store"))
    assert not vault_folder.exists()


def test_a_mount_point_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(Path, "is_mount", lambda _path: True)
    with (
        pytest.raises(InputError, match="is a mount point; name a new folder below it"),
        new_folder(tmp_path / "out", "plan"),
    ):
        pass


def test_a_place_that_cannot_be_written(store: str, tmp_path: Path):
    (tmp_path / "file").write_text("")
    sentence = refused("monai", tmp_path / "file" / "out", store)
    assert "cannot be written (Not a directory); free space or name another" in sentence


def test_what_the_command_prints(store: str, tmp_path: Path):
    result = export("huggingface", tmp_path / "out", store)
    assert f"3 of train, 1 of validation, 2 of test in {tmp_path / 'out'}: 4 files" in result.stdout
    assert f"    texts = datasets.load_dataset('{tmp_path / 'out'}')" in result.stdout
    assert "export: 6 of 6" in result.stderr


def test_export_that_found_the_disk_full_at_once_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with (
            pytest.raises(InputError, match="cannot be written"),
            new_folder(tmp_path / "out", "plan"),
        ):
            pass
    with new_folder(tmp_path / "out", "plan") as draft:
        draft.write("a", b"1")
    assert files_of(tmp_path / "out") == {"a": b"1"}
