from __future__ import annotations

import errno
import gc
import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

import fvlm_data.store.reading
import fvlm_data.store.tables
import fvlm_data.store.upkeep
import schemas
from fvlm_data import open_store
from fvlm_data.errors import StoreError
from fvlm_data.identity.vault import Vault
from fvlm_data.shards.folder import ShardFolder
from fvlm_data.store import file_sums
from fvlm_data.store.declared import Context
from fvlm_data.store.leases import ALONE, alone, at_work
from fvlm_data.store.planning import pending
from fvlm_data.store.tables import ITEMS_A_PREDICATE, MARK, Store
from fvlm_data.store.upkeep import compact_table, erase_history, erase_superseded, join_small_files
from schemas import Input, Quarantined, Split

HERE = Path(__file__).parent


def split(patient: str, name: str = "train") -> Split:
    return Split(patient_id=patient, split=name, source="hash")


def input_of(token: str) -> Input:
    return Input(
        kind="file",
        token=token,
        source="s",
        item=None,
        fingerprint="f",
        size_bytes=0,
        modified_ns=0,
    )


def patients(store: Store) -> dict[str, str]:
    rows = store.read("splits").to_pylist()
    assert len(rows) == len({row["patient_id"] for row in rows})
    return {row["patient_id"]: row["split"] for row in rows}


def started(store: str, name: str, mode: str, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(HERE / "write_rows.py"), store, name, mode, str(count)],
        stderr=subprocess.PIPE,
    )


def ended_well(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        _, told = process.communicate(timeout=120)
        assert process.returncode == 0, told.decode()


class StoreSuite:
    """What every store does, wherever it lies; a subclass gives the place."""

    @pytest.fixture
    def url(self) -> str:
        raise AssertionError("a subclass names the place")

    @pytest.fixture
    def store(self, url: str) -> Store:
        return Store.create(url)

    def spoil_mark(self, store: Store, content: bytes) -> None:
        store.write_bytes(MARK, content)

    def test_tables_are_read_by_open_store(self, store: Store):
        store.replace("splits", ["a", "b"], [split("a"), split("b", "test")])
        store.replace_all("inputs", [input_of("f_1")])
        opened = open_store(store.url)
        told = opened.splits.where("split = 'test'").to_pandas()
        assert told.to_dict("records") == [{"patient_id": "b", "split": "test", "source": "hash"}]
        outlives_its_store = open_store(store.url).inputs.select("kind", "token").relation()
        gc.collect()
        assert outlives_its_store.fetchall() == [("file", "f_1")]
        assert opened.masks.to_arrow().schema.equals(schemas.TABLES["masks"].schema)

    @pytest.mark.makes_tables
    def test_new_store_has_all_tables_empty(self, store: Store):
        assert {store.count(table) for table in schemas.TABLES} == {0}
        for name, table in schemas.TABLES.items():
            assert store.read(name).column_names == list(table.columns)

    def test_opening_again_finds_the_same_store(self, store: Store, url: str):
        store.replace("splits", ["p"], [split("p")])
        for again in (Store.open(url), Store.create(url)):
            assert again.store_id == store.store_id
            assert patients(again) == {"p": "train"}

    def test_no_store_there(self, url: str):
        with pytest.raises(StoreError, match=r"no store found there.*ingest SOURCE") as caught:
            Store.open(f"{url}/other")
        assert "\n" not in str(caught.value)

    def test_place_that_holds_other_things_is_refused(self, store: Store, url: str):
        store.write_bytes("other/thesis.txt", b"x")
        with pytest.raises(StoreError, match="holds other files; expected an empty or new folder"):
            Store.create(f"{url}/other")

    def test_store_of_another_version_is_refused(self, store: Store, url: str):
        self.spoil_mark(store, json.dumps({"version": 99, "store_id": "x"}).encode())
        expected = (
            f"version 99 found, this program expects {schemas.VERSION}; use the program version"
        )
        with pytest.raises(StoreError, match=expected):
            Store.open(url)

    def test_older_store_is_refused_with_the_way_to_upgrade_it(self, store: Store, url: str):
        self.spoil_mark(store, json.dumps({"version": 1, "store_id": "x"}).encode())
        here = schemas.VERSION
        sentence = rf"version 1 found, .* expects {here}; run `fvlm-data upgrade --store {url}`$"
        for begin in (Store.open, Store.create, open_store):
            with pytest.raises(StoreError, match=sentence):
                begin(url)
        assert Store.open(url, older=(1,)).store_id == "x"

    @pytest.mark.parametrize("content", [b"[1]", b'{"version": 1}', b"\xff\xfe"])
    def test_damaged_mark_is_told(self, store: Store, url: str, content: bytes):
        self.spoil_mark(store, content)
        with pytest.raises(StoreError, match=rf"{MARK} cannot be read"):
            Store.open(url)

    def test_replace_changes_the_rows_of_its_items_only(self, store: Store):
        store.replace("splits", ["a", "b"], [split("a"), split("b")])
        store.replace("splits", ["b", "c"], [split("c", "test")])
        assert patients(store) == {"a": "train", "c": "test"}

    @pytest.mark.parametrize(
        ("where", "found"),
        [
            ([], ["a", "b'c", "d"]),
            ([("split", "=", "train")], ["a", "b'c"]),
            ([("split", "!=", "train")], ["d"]),
            ([("patient_id", "=", "b'c")], ["b'c"]),
            ([("patient_id", ">", "a"), ("split", "=", "train")], ["b'c"]),
            ([("patient_id", "<=", "b'c")], ["a", "b'c"]),
            ([("patient_id", "in", ["d", "b'c", "x"])], ["b'c", "d"]),
            ([("patient_id", "not in", ["d"])], ["a", "b'c"]),
        ],
    )
    def test_read_gives_the_rows_that_meet_every_condition(
        self, store: Store, where: list[tuple[str, str, Any]], found: list[str]
    ):
        rows = [split("a"), split("b'c"), split("d", "test")]
        store.replace("splits", [row.patient_id for row in rows], rows)
        read = store.read("splits", ["patient_id"], where)["patient_id"].to_pylist()
        assert sorted(read) == found

    def test_read_gives_the_types_of_the_schema(self, store: Store):
        for name, table in schemas.TABLES.items():
            assert store.read(name).schema.equals(table.schema)
            last_first = list(reversed(table.columns))
            assert store.read(name, last_first).column_names == last_first

    def test_a_store_with_other_descriptions_of_columns_is_written(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        table = schemas.TABLES["splits"]
        told = {name: replace(one, description="new") for name, one in table.columns.items()}
        monkeypatch.setitem(schemas.TABLES, "splits", replace(table, columns=told))
        store.replace("splits", ["a"], [split("a")])
        assert patients(store) == {"a": "train"}
        store.replace_all("splits", [split("b")])
        assert patients(store) == {"b": "train"}

    def test_no_reading_thread_runs_python(self, store: Store, monkeypatch: pytest.MonkeyPatch):
        """A thread that lets go of a Python file while the interpreter ends aborts the process."""

        def refuse(*_: object) -> None:
            raise AssertionError("the table is read through a filesystem written in Python")

        store.replace("splits", ["a"], [split("a")])
        monkeypatch.setattr("deltalake.fs.DeltaStorageHandler.from_table", refuse)
        assert patients(store) == {"a": "train"}
        assert store.count("splits") == 1

    def test_history_is_erased_to_the_last_byte(self, store: Store):
        def everything() -> bytes:
            return b"".join(
                path.encode() + store.read_bytes(path) for path in store.files("tables/splits")
            )

        for name in ("withdrawn", "stays"):
            store.replace("splits", [name], [split(name)])
        store.replace("splits", ["withdrawn"], [split("withdrawn", "test")])
        store.write_bytes("tables/splits/part-0.parquet.damaged", b"withdrawn")
        older = Store.open(store.url)
        assert older.count("splits") == 2
        store.replace("splits", ["withdrawn"], [])
        assert b"withdrawn" in everything()
        for _ in range(2):
            erase_history(store, "splits")
            assert b"withdrawn" not in everything()
            assert patients(store) == {"stays": "train"}
        assert patients(older) == {"stays": "train"}
        for one in (store, older, Store.open(store.url)):
            one.replace("splits", ["more"], [split("more")])
            assert patients(one) == {"stays": "train", "more": "train"}

    def test_one_of_two_who_make_a_file_is_told_so(self, store: Store):
        assert store.create_file("leases/one", b"first")
        assert not store.create_file("leases/one", b"second")
        assert store.read_bytes("leases/one") == b"first"

    def test_a_run_and_a_command_that_must_be_alone_exclude_each_other(self, store: Store):
        refused = pytest.raises(StoreError, match="a, b")
        with at_work(store, "a"), at_work(store, "b"), refused, alone(store, lambda: False):
            pass
        with alone(store, lambda: False):
            with pytest.raises(StoreError, match="being forgotten"), at_work(store, "c"):
                pass
            with pytest.raises(StoreError, match="another command"), alone(store, lambda: False):
                pass
        assert store.files("leases") == []

    def test_what_was_begun_and_not_ended_keeps_others_out(self, store: Store):
        with pytest.raises(ZeroDivisionError), alone(store, lambda: True):
            _ = 1 / 0
        with pytest.raises(StoreError, match="forget --resume"), at_work(store, "a"):
            pass
        self.end_process_of(store, ALONE)
        with alone(store, lambda: False):
            pass
        with at_work(store, "a"):
            pass

    def test_a_run_that_was_killed_is_not_waited_for(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        store.write_bytes("leases/run-here.json", b'{"machine": "", "process": 1}')
        with pytest.raises(StoreError, match="1 run"), alone(store, lambda: False):
            pass
        monkeypatch.setattr("fvlm_data.store.leases.STALE_S", -10.0)  # as if it were silent
        with alone(store, lambda: False):
            assert store.files("leases") == [ALONE]

    def end_process_of(self, store: Store, mark: str) -> None:
        told = json.loads(store.read_bytes(mark))
        store.write_bytes(mark, json.dumps({**told, "process": 2**22 + 1}).encode())

    def test_replace_of_no_items_changes_nothing(self, store: Store):
        store.replace("splits", ["a"], [split("a")])
        store.replace("splits", [], [])
        assert patients(store) == {"a": "train"}

    def test_replace_keeps_the_rows_of_other_partitions(self, store: Store):
        for stage in ("ingest", "pair"):
            row = Quarantined(
                kind="fault", stage=stage, item="x", reason="r", detail="d", source_files=()
            )
            store.replace("quarantine", ["x"], [row], {"stage": stage})
        store.replace("quarantine", ["x"], [], {"stage": "pair"})
        assert store.read("quarantine", ["stage"]).to_pylist() == [{"stage": "ingest"}]

    def test_replace_all_leaves_nothing_of_before(self, store: Store):
        store.replace("splits", ["a"], [split("a")])
        store.replace_all("splits", [split("b")])
        assert patients(store) == {"b": "train"}
        store.replace_all("splits", [])
        assert patients(store) == {}

    def test_read_selects_columns_and_rows(self, store: Store):
        store.replace("splits", ["a", "b"], [split("a"), split("b", "test")])
        rows = store.read("splits", ["patient_id"], [("split", "=", "test")]).to_pylist()
        assert rows == [{"patient_id": "b"}]
        assert store.read_items("splits", "patient_id", []) == []
        assert len(store.read_items("splits", "patient_id", ["a", "a", "zz"])) == 1

    def test_missing_table_is_told(self, store: Store):
        store.remove("tables/splits")
        for read in (store.read, store.count):
            with pytest.raises(StoreError, match="table splits is missing; the store is damaged"):
                read("splits")

    def test_table_with_a_lost_file_is_told(self, store: Store):
        store.replace("splits", ["a"], [split("a")])
        for path in store.files("tables/splits"):
            if path.endswith(".parquet"):
                store.remove(path)
        with pytest.raises(StoreError, match=r"table splits cannot be read"):
            store.read("splits")

    def test_files_come_back_and_can_be_replaced(self, store: Store):
        store.write_bytes("volumes/ab/v.nii.gz", b"one")
        store.write_bytes("volumes/ab/v.nii.gz", b"two")
        assert store.read_bytes("volumes/ab/v.nii.gz") == b"two"
        assert store.files("volumes") == ["volumes/ab/v.nii.gz"]
        assert store.exists("volumes/ab/v.nii.gz")
        store.remove("volumes")
        store.remove("volumes")
        assert store.files("volumes") == []
        with pytest.raises(StoreError, match=r"file volumes/ab/v.nii.gz cannot be read"):
            store.read_bytes("volumes/ab/v.nii.gz")

    def test_files_of_other_writers_are_seen(self, store: Store, url: str):
        assert store.files("volumes") == []
        assert not store.exists("volumes/a")
        Store.open(url).write_bytes("volumes/a", b"x")
        assert store.exists("volumes/a")
        assert store.files("volumes") == ["volumes/a"]

    def test_tree_is_put_once_and_the_second_time_left_alone(self, store: Store, tmp_path: Path):
        tree = tmp_path / "tree"
        (tree / "c" / "0").mkdir(parents=True)
        (tree / "zarr.json").write_bytes(b"{}")
        (tree / "c" / "0" / "0").write_bytes(b"chunk")
        for _ in range(2):
            store.put_tree(tree, "shards/train/sh_1.zarr")
            assert store.files("shards") == [
                "shards/train/sh_1.zarr/c/0/0",
                "shards/train/sh_1.zarr/zarr.json",
            ]
        assert store.read_bytes("shards/train/sh_1.zarr/c/0/0") == b"chunk"

    def test_two_processes_that_make_a_store_at_once_share_it(self, url: str):
        ended_well(started(url, "a", "own", 3), started(url, "b", "own", 3))
        assert patients(Store.open(url)) == {f"{n}{i}": "train" for n in "ab" for i in range(3)}

    def test_two_processes_that_replace_the_same_item_leave_it_once(self, store: Store):
        ended_well(started(store.url, "a", "shared", 3), started(store.url, "b", "shared", 3))
        assert patients(store) == {"shared": "train"}
        assert store.read_bytes("files/shared.txt") == b"x" * 100_000
        assert len(store.files("files")) == 1

    def test_compaction_keeps_rows_and_drops_old_files(self, store: Store):
        for number in range(5):
            store.replace("splits", [f"p{number}"], [split(f"p{number}")])
        before = patients(store)
        counts = compact_table(store, "splits", keep_hours=0)
        assert counts["before"] == 5
        assert counts["after"] == 1
        assert patients(store) == before
        parquet = [p for p in store.files("tables/splits") if p.endswith(".parquet")]
        assert len([p for p in parquet if "_delta_log" not in p]) == 1

    def test_small_files_are_joined_once_there_are_many(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(fvlm_data.store.upkeep, "SMALL_FILES", 4)
        joined = []
        for number in range(9):
            store.replace("splits", [f"p{number}"], [split(f"p{number}")])
            joined.append(join_small_files(store, "splits"))
            assert len(patients(store)) == number + 1
        assert joined == [False] * 4 + [True] + [False] * 3 + [True]

    def test_joined_files_that_hold_superseded_rows_can_be_erased(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(fvlm_data.store.upkeep, "SMALL_FILES", 1)
        for number in range(3):
            store.replace("splits", [f"p{number}"], [split(f"p{number}")])
        assert join_small_files(store, "splits")
        erase_superseded(store, "splits")
        names = [path for path in store.files("tables/splits") if path.endswith(".parquet")]
        assert len([path for path in names if "_delta_log" not in path]) == 1
        version = store.version("splits")
        erase_superseded(store, "splits")
        assert store.version("splits") == version, "nothing to erase, and yet a commit"

    def test_swap_replaces_rows_that_still_stand(self, store: Store):
        store.replace("splits", ["a", "b"], [split("a"), split("b")])
        store.replace("splits", ["c"], [split("c")])
        before = store.read_items("splits", "patient_id", ["b", "a"])
        assert store.swap("splits", before, [split("a", "test"), split("b", "test")])
        assert patients(store) == {"a": "test", "b": "test", "c": "train"}
        assert not store.swap("splits", before, [split("a"), split("b")])
        assert patients(store) == {"a": "test", "b": "test", "c": "train"}

    @pytest.mark.parametrize(
        ("change", "swapped"),
        [("of the row", False), ("gone", False), ("of another row", True), ("compact", True)],
    )
    def test_swap_never_overwrites_a_change_made_at_the_same_moment(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, change: str, swapped: bool
    ):
        """The other writer commits after the swap has compared and before it commits."""
        store.replace("splits", ["a", "b", "c"], [split("a"), split("b"), split("c")])
        before = store.read_items("splits", "patient_id", ["a", "b"])
        write, writes = fvlm_data.store.tables.write_deltalake, count()

        def late(*arguments: Any, **options: Any) -> None:
            if next(writes) == 0:
                if change == "compact":
                    compact_table(store, "splits", keep_hours=0)
                else:
                    item = "c" if change == "of another row" else "a"
                    rows = [] if change == "gone" else [split(item, "validation")]
                    store.replace("splits", [item], rows)
            write(*arguments, **options)

        monkeypatch.setattr(fvlm_data.store.tables, "write_deltalake", late)
        rows = [split("a", "test"), split("b", "test")]
        assert store.swap("splits", before, rows) is swapped
        expected = {
            "of the row": {"a": "validation", "b": "train", "c": "train"},
            "gone": {"b": "train", "c": "train"},
            "of another row": {"a": "test", "b": "test", "c": "validation"},
            "compact": {"a": "test", "b": "test", "c": "train"},
        }
        assert patients(store) == expected[change]

    def test_read_beside_a_process_that_removes_old_files(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        for number in range(3):
            store.replace("splits", [f"p{number}"], [split(f"p{number}")])
        listed, looks = fvlm_data.store.reading.parts, count()

        def late(*arguments: Any) -> Any:
            found = listed(*arguments)
            if next(looks) == 0:
                compact_table(Store.open(store.url), "splits", keep_hours=0)
            return found

        monkeypatch.setattr(fvlm_data.store.reading, "parts", late)
        assert patients(store) == dict.fromkeys(["p0", "p1", "p2"], "train")

    def test_erasing_superseded_rows_beside_a_run_that_writes(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        for name in ("train", "test"):
            store.replace("splits", ["a"], [split("a", name)])
        vacuum, tries = DeltaTable.vacuum, count()

        def late(table: DeltaTable, *arguments: Any, **options: Any) -> list[str]:
            if not options["dry_run"] and next(tries) == 0:
                store.replace("splits", ["a"], [split("a", "validation")])
            return vacuum(table, *arguments, **options)

        monkeypatch.setattr(DeltaTable, "vacuum", late)
        erase_superseded(store, "splits")
        assert patients(store) == {"a": "validation"}
        assert len([p for p in store.files("tables/splits") if p.endswith("parquet")]) == 1

    def test_table_write_on_a_full_disk_is_one_sentence(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        def full(*args: Any, **options: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(fvlm_data.store.tables, "write_deltalake", full)
        with pytest.raises(
            StoreError,
            match=r"^store .*: table splits cannot be written: No space left on device; free "
            r"space or mend the place, then run again: finished work is kept$",
        ):
            store.replace("splits", ["a"], [split("a")])
        assert patients(store) == {}


class TestLocalStore(StoreSuite):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return str(tmp_path / "a folder" / "störe")

    @pytest.fixture
    def store(self, url: str, empty_store: Path) -> Store:
        return Store.open(shutil.copytree(empty_store, url))

    def test_writer_so_slow_that_the_log_was_shortened_meanwhile(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        """What it would compare itself with is gone: it has to begin again, not to fail."""
        store.replace("splits", ["a"], [split("a")])
        write, writes = fvlm_data.store.tables.write_deltalake, count()

        def late(*arguments: Any, **options: Any) -> None:
            if next(writes) == 0:
                other = Store.open(store.url)
                other.replace("splits", ["b"], [split("b")])
                table = DeltaTable(f"{store.url}/tables/splits")
                table.create_checkpoint()
                for entry in store.files("tables/splits/_delta_log"):
                    if entry.endswith(".json") and not entry.endswith(
                        f"{table.version():020}.json"
                    ):
                        store.remove(entry)
            write(*arguments, **options)

        monkeypatch.setattr(fvlm_data.store.tables, "write_deltalake", late)
        store.replace("splits", ["c"], [split("c")])
        assert patients(store) == dict.fromkeys("abc", "train")

    def test_tree_put_again_is_young_so_that_tidying_spares_it(self, store: Store, tmp_path: Path):
        """A killed run left it long ago; the run that puts it again has yet to commit its rows."""
        tree = tmp_path / "tree"
        (tree / "c").mkdir(parents=True)
        (tree / "c" / "0").write_bytes(b"chunk")
        store.put_tree(tree, "shards/train/sh_1.zarr")
        left = Path(store.location("shards/train/sh_1.zarr/c/0"))
        os.utime(left, (0, 0))
        store.put_tree(tree, "shards/train/sh_1.zarr")
        assert ShardFolder(store.url).changed("train", "sh_1.zarr").year > 2000
        assert left.read_bytes() == b"chunk"

    def test_tree_on_a_full_disk_is_one_sentence(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def full(source: Any, target: Any, **options: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), source, None, target)

        tree = tmp_path / "tree"
        tree.mkdir()
        for number in range(3):
            (tree / f"{number}").write_bytes(b"chunk")
        monkeypatch.setattr(shutil, "copytree", partial(shutil.copytree, copy_function=full))
        with pytest.raises(
            StoreError,
            match=r"^store [^']*: shards/train/sh_1.zarr cannot be written: \[Errno 28\] No space "
            r"left on device; free space or mend the place, then run again",
        ):
            store.put_tree(tree, "shards/train/sh_1.zarr")
        assert store.files("shards") == []

    def test_write_that_breaks_half_way_leaves_the_file_as_it_was(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        store.write_bytes("volumes/kept", b"before")
        monkeypatch.setattr(os, "fsync", full)
        for path in ("volumes/kept", "volumes/new"):
            with pytest.raises(StoreError, match=f"{path} cannot be written: No space left"):
                store.write_bytes(path, b"after")
        assert store.files("volumes") == ["volumes/kept"]
        assert store.read_bytes("volumes/kept") == b"before"

    def test_tree_that_breaks_half_way_leaves_nothing(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        tree = tmp_path / "tree"
        tree.mkdir()
        for name in "abc":
            (tree / name).write_bytes(b"x")
        copied = 0

        def copy(source: str, target: str, **options: Any) -> str:
            nonlocal copied
            copied += 1
            if copied == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return shutil.copyfile(source, target)

        original = shutil.copytree
        monkeypatch.setattr(shutil, "copytree", lambda a, b: original(a, b, copy_function=copy))
        with pytest.raises(StoreError, match=r"shards/t.zarr cannot be written"):
            store.put_tree(tree, "shards/t.zarr")
        assert store.files("shards") == []
        assert not store.exists("shards/t.zarr")

    def test_tree_that_another_run_puts_at_the_same_moment_is_no_error(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        tree = tmp_path / "tree"
        tree.mkdir()
        (tree / "a").write_bytes(b"x")
        original = shutil.copytree

        def raced(source: Path, draft: Path) -> None:
            original(source, draft)
            original(source, Path(store.location("shards/t.zarr")))

        monkeypatch.setattr(shutil, "copytree", raced)
        store.put_tree(tree, "shards/t.zarr")
        assert store.files("shards") == ["shards/t.zarr/a"]

    @pytest.mark.makes_tables
    def test_run_killed_while_it_makes_the_store_is_no_obstacle(self, url: str):
        place = Path(url)
        (place / "tables" / "splits").mkdir(parents=True)
        (place / f".{MARK}.1234abcd").write_bytes(b"{")
        assert patients(Store.create(url)) == {}

    def test_file_in_place_of_the_store(self, tmp_path: Path):
        file = tmp_path / "file"
        file.write_bytes(b"x")
        with pytest.raises(StoreError, match=r"store .*file"):
            Store.create(file)
        with pytest.raises(StoreError, match=r"store .*file"):
            Store.open(file)

    @pytest.mark.makes_tables
    def test_place_that_may_not_be_written(self, url: str, monkeypatch: pytest.MonkeyPatch):
        def refused(self: Path, *args: Any, **options: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "write_text", refused)
        with pytest.raises(StoreError, match=r"cannot be made \(PermissionError\); expected a"):
            Store.create(url)

    def test_url_of_a_missing_kind_is_told(self):
        with pytest.raises((StoreError, ValueError), match="nosuch"):
            Store.open("nosuch://bucket/store")

    def test_file_limit_in_the_middle_of_a_commit(self, store: Store):
        """The limit stops the writer as a full disk does; Delta's own error, not a stand-in."""
        script = (
            "import resource, signal, sys\n"
            "from fvlm_data.store.tables import Store\n"
            "from schemas import Split\n"
            "store = Store.open(sys.argv[1])\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))\n"
            "store.replace('splits', ['b'], "
            "[Split(patient_id='b', split='train', source='hash')])\n"
        )
        store.replace("splits", ["a"], [split("a")])
        ended = subprocess.run(
            [sys.executable, "-c", script, store.url], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 1
        assert "StoreError: store" in ended.stderr
        assert "table splits cannot be written" in ended.stderr
        assert patients(store) == {"a": "train"}

    def test_conflict_is_tried_again(self, store: Store, monkeypatch: pytest.MonkeyPatch):
        original = fvlm_data.store.tables.write_deltalake
        tries = 0

        def contended(*args: Any, **options: Any) -> None:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise CommitFailedError("another writer was first")
            original(*args, **options)

        monkeypatch.setattr(fvlm_data.store.tables, "write_deltalake", contended)
        store.replace("splits", ["a"], [split("a")])
        assert patients(store) == {"a": "train"}

    def test_endless_conflict_ends_in_one_sentence(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        def contended(*args: Any, **options: Any) -> None:
            raise CommitFailedError("another writer was first")

        monkeypatch.setattr(fvlm_data.store.tables, "write_deltalake", contended)
        monkeypatch.setattr("fvlm_data.store.writing.time.sleep", lambda seconds: None)
        with pytest.raises(StoreError, match="too many writers at once, run again"):
            store.replace("splits", ["a"], [split("a")])

    def test_more_items_than_one_predicate_takes(self, store: Store):
        names = [f"p{number:05}" for number in range(ITEMS_A_PREDICATE + 5)]
        store.replace("splits", names, [split(name) for name in names])
        store.replace("splits", names, [split(name, "test") for name in names[1:]])
        assert patients(store) == dict.fromkeys(names[1:], "test")
        assert len(store.read_items("splits", "patient_id", names)) == len(names) - 1


@pytest.fixture(scope="module")
def s3() -> Iterator[S3FileSystem]:
    """An S3-protocol server on the loopback interface, with an empty store to copy."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ALLOW_HTTP", "true")
        S3FileSystem.clear_instance_cache()
        filesystem = S3FileSystem(use_listings_cache=False)
        filesystem.mkdir("empty")
        Store.create("s3://empty/store")
        yield filesystem
    server.stop()


class TestS3Store(StoreSuite):
    @pytest.fixture
    def url(self, s3: S3FileSystem) -> str:
        # servers of one process share their buckets
        bucket = f"bucket-{secrets.token_hex(6)}"
        s3.mkdir(bucket)
        return f"s3://{bucket}/deep/store"

    @pytest.fixture
    def store(self, url: str) -> Store:
        """The empty store, copied within the server: by requests it would take half a second."""
        server = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        bucket, _, root = url.removeprefix("s3://").partition("/")
        for name, found in list(server.buckets["empty"].keys.items()):
            server.put_object(bucket, name.replace("store", root, 1), found.value)
        return Store.open(url)

    def test_plans_keep_sums_of_files_and_use_them(
        self, store: Store, vault_folder: Path, toy: ModuleType, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(file_sums, "LARGE_ROWS", 1)
        context, stage = Context(store, Vault.open(vault_folder), "run"), toy.toy_stage(["i0"])
        toy.settle_all(context, stage)
        for times in (1, 2):
            # as another process sees it, which has fetched nothing yet
            again = replace(context, store=Store.open(store.url), checked={})
            assert pending(again, stage, mend=True).nothing, times
            assert len(store.files(file_sums.FOLDER)) == 3  # splits, volume_checks, files
        store.replace("splits", ["i0"], [split("i0", "test")])
        assert pending(replace(context, checked={}), stage, mend=True).mended == ("i0",)
        file_sums.drop_sums(store)
        assert store.files(file_sums.FOLDER) == []

    def test_location_is_a_url(self, store: Store, url: str):
        assert store.local_root is None
        assert store.location("shards/a") == f"{url}/shards/a"

    def test_write_to_a_bucket_that_is_gone(self, s3: S3FileSystem, store: Store):
        s3.rm(store.url.split("/")[2], recursive=True)
        with pytest.raises(StoreError, match=r"^store s3://.* cannot be written: .*kept$"):
            store.write_bytes("a", b"x")
        with pytest.raises(StoreError, match=r"table splits (cannot be written|is missing)"):
            store.replace("splits", ["a"], [split("a")])

    @pytest.mark.slow
    def test_server_that_does_not_answer(self, url: str, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        S3FileSystem.clear_instance_cache()
        for begin in (Store.open, Store.create):
            with pytest.raises(StoreError, match=r"store s3://.*cannot be (read|made) \("):
                begin(url)
        S3FileSystem.clear_instance_cache()


@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)
)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_file_name_can_name_an_item(store: Store, name: str):
    """Quotes, backslashes and percent signs reach the table's predicate as they are."""
    rows = [input_of(token) for token in (name, f"{name}'", "other")]
    store.replace_all("inputs", rows)
    store.replace("inputs", [name], [])
    assert sorted(store.read("inputs")["token"].to_pylist()) == sorted([f"{name}'", "other"])
    assert store.read_items("inputs", "token", [name]) == []
