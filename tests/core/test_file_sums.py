"""Sums of files that do not change: plans find with them what they find without."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from fvlm_data.identity.vault import Vault
from fvlm_data.inspect.verify import verify
from fvlm_data.run.compaction import compact_store
from fvlm_data.run.config import load_config
from fvlm_data.store import file_sums
from fvlm_data.store.declared import Context, Read, Stage
from fvlm_data.store.file_sums import FOLDER, drop_sums
from fvlm_data.store.planning import Outlook, Work, outlook, pending
from fvlm_data.store.tables import Store
from fvlm_data.store.upkeep import compact_table
from schemas import Link, Split, Waiting
from tests.core.toy_stage import settle_all, toy_stage

ITEMS = [f"i{number}" for number in range(5)]

READS = (
    Read("own", "links", "owner_id", ("kind", "value_hash"), where="t.owner_kind = 'series'"),
    Read(
        "behind", "waiting", "owner_id", ("waits_for",), on="own.value_hash", carries=("since_run",)
    ),
    Read("best", "waiting", "owner_id", ("waits_for",), rather="t.since_run = 'best'", rare=True),
)


@pytest.fixture(autouse=True)
def every_file_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_sums, "LARGE_ROWS", 1)


def stage() -> Stage:
    return replace(toy_stage(ITEMS), reads=READS)


def run(context: Context) -> None:
    """As a run does it: sums are kept by a plan that may mend."""
    settle_all(context, stage())
    pending(replace(context, checked={}), stage(), mend=True)


def link(owner: str, value: str) -> Link:
    return Link(
        owner_kind="series", owner_id=owner, kind="study_uid", value_hash=value, stated_by=owner
    )


def waiting(owner: str, what: str, since: str) -> Waiting:
    return Waiting(owner_kind="study", owner_id=owner, waits_for=what, since_run=since)


def planned_plainly(context: Context, of: Stage) -> Work:
    """What a plan finds that knows no sums; what is kept is put aside meanwhile."""
    assert context.store.local_root is not None
    kept, aside = (context.store.local_root / name for name in (FOLDER, f".{FOLDER}"))
    if kept.exists():
        kept.rename(aside)
    found = pending(replace(context, checked={}), of, mend=True)
    shutil.rmtree(kept, ignore_errors=True)
    if aside.exists():
        aside.rename(kept)
    return found


def kept(context: Context) -> list[str]:
    return context.store.files(FOLDER)


changes = st.lists(
    st.one_of(
        st.tuples(
            st.just("links"), st.sampled_from(ITEMS), st.lists(st.sampled_from("xyz"), max_size=2)
        ),
        st.tuples(
            st.just("waiting"),
            st.sampled_from([*ITEMS, *"xyz"]),
            st.lists(
                st.sampled_from(["mask best", "study best", "mask run", "report run"]),
                max_size=2,
                unique=True,
            ),
        ),
        st.tuples(st.just("splits"), st.sampled_from(ITEMS), st.sampled_from(["train", "test"])),
        st.tuples(st.sampled_from(["join", "settle"])),
    ),
    max_size=6,
)


def apply(context: Context, change: Sequence[Any]) -> None:
    match change:
        case ("links", owner, values):
            context.store.replace("links", [owner], [link(owner, one) for one in values])
        case ("waiting", owner, values):
            rows = [waiting(owner, *one.split()) for one in values]
            context.store.replace("waiting", [owner], rows)
        case ("splits", owner, name):  # a row of the stage's own that somebody else wrote
            row = Split(patient_id=owner, split=name, source="file")
            context.store.replace("splits", [owner], [row])
        case ("join",):
            for table in ("links", "waiting", "splits", "ledger"):
                compact_table(context.store, table, keep_hours=0)
        case ("settle",):
            run(context)


@given(changes)
@settings(max_examples=6, deadline=None)
def test_plans_find_the_same_whatever_has_changed_since_sums_were_kept(
    empty_store: Path, made: list[Any]
):
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(shutil.copytree(empty_store, Path(folder, "store")))
        context = Context(store, Vault.open(Path(folder, "vault")), "run")
        run(context)
        for change in (("links", "i1", ["x"]), ("waiting", "x", ["mask run"]), *made):
            apply(context, change)
            again = replace(context, checked={})
            assert pending(again, stage(), mend=True) == planned_plainly(context, stage())


def test_a_second_plan_hashes_no_row_of_a_known_file(
    context: Context, monkeypatch: pytest.MonkeyPatch
):
    context.store.replace("links", ["i1"], [link("i1", "x")])
    run(context)
    before = kept(context)
    hashed: list[str] = []
    scanned = Store.scan_files

    def noted(store: Store, table: str, parts: Any) -> str:
        hashed.extend(path for part in parts for path in part.paths)
        return scanned(store, table, parts)

    class Hashing(file_sums.FileSums):
        def of(self, counted: Any) -> str:
            hashed.clear()
            found = super().of(counted)
            assert not hashed, counted
            return found

    monkeypatch.setattr(Store, "scan_files", noted)
    monkeypatch.setattr(file_sums, "FileSums", Hashing)
    assert pending(replace(context, checked={}), stage(), mend=True).nothing
    assert kept(context) == before != []


def test_a_look_keeps_nothing(context: Context):
    run(context)
    drop_sums(context.store)
    assert outlook(context, stage()) == Outlook(settled=5, due=0)
    assert pending(context, stage()).nothing
    assert kept(context) == []


def test_sums_of_files_out_of_use_go(context: Context):
    for value in "xyz":
        context.store.replace("links", ["i1"], [link("i1", value)])
        run(context)
    of_links = [path for path in kept(context) if "/links/" in path]
    assert len(of_links) == 1  # one read of links, one file


@pytest.mark.parametrize("content", [b"", b"PAR1 cut"])
def test_sums_that_cannot_be_read_cost_a_plan_only(context: Context, content: bytes):
    run(context)
    for path in kept(context):
        context.store.write_bytes(path, content)
    assert outlook(context, stage()) == Outlook(settled=5, due=0)
    assert pending(replace(context, checked={}), stage(), mend=True).nothing
    assert pending(replace(context, checked={}), stage(), mend=True).nothing
    assert all(context.store.read_bytes(path) != content for path in kept(context))


def test_sums_that_another_run_removes_stop_no_plan(
    context: Context, monkeypatch: pytest.MonkeyPatch
):
    run(context)
    listed = file_sums.FileSums.of

    def removed(sums: file_sums.FileSums, counted: Any) -> str:
        query = listed(sums, counted)
        drop_sums(context.store)
        return query

    monkeypatch.setattr(file_sums.FileSums, "of", removed)
    assert pending(replace(context, checked={}), stage(), mend=True).nothing


def file_of(context: Context, table: str) -> Path:
    assert context.store.local_root is not None
    (part,) = context.store.files_of(table)
    return context.store.local_root / "tables" / table / part.paths[0]


def test_a_file_that_was_exchanged_in_place_is_hashed_again(context: Context):
    run(context)
    compact_table(context.store, "splits", keep_hours=0)
    run(context)
    file = file_of(context, "splits")
    before = file.read_bytes()
    changed = before.replace(b"train", b"trane")
    assert changed != before
    file.write_bytes(changed)
    assert pending(replace(context, checked={}), stage(), mend=True).mended


def test_bytes_that_change_under_the_same_time_are_found_after_verify(context: Context):
    run(context)
    compact_table(context.store, "splits", keep_hours=0)
    run(context)
    file = file_of(context, "splits")
    told = file.stat()
    file.write_bytes(file.read_bytes().replace(b"train", b"trane"))
    os.utime(file, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert not all(check.passed for check in verify(context.store, [stage()]))
    assert kept(context) == []
    assert pending(replace(context, checked={}), stage(), mend=True).mended


def test_compaction_leaves_no_sums(context: Context):
    run(context)
    assert kept(context)
    compact_store(context, load_config(None, (), {"store": context.store.url}))
    assert kept(context) == []


def test_hidden_rows_are_not_added_up(context: Context):
    context.store.replace("links", ["i1"], [link("i1", "x")])
    run(context)
    assert outlook(context, stage()) == Outlook(settled=5, due=0)
    columns = {name: [table.replaced_by] for name, table in schemas.TABLES.items()}
    context.store.hide(["i1"], {**columns, "ledger": ["run_id"]})
    assert outlook(context, stage()) == Outlook(settled=4, due=1)
