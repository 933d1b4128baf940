"""What compaction deletes: superseded files, drafts, old records; and nothing else."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fvlm_data.run import superseded
from fvlm_data.run.compaction import compact_store, foresee_compaction
from fvlm_data.run.config import load_config
from fvlm_data.store import unused
from fvlm_data.store.commits import settle
from fvlm_data.store.declared import Context
from fvlm_data.store.leases import at_work
from fvlm_data.store.planning import pending
from schemas import StoredFile
from tests.core.test_cli import fvlm_data
from tests.core.toy_stage import toy_stage

if TYPE_CHECKING:
    from fvlm_data.run.config import Config
    from fvlm_data.store.tables import Store

ROOT = Path(__file__).parents[2]
WEEK = 7 * 24.0
SUPERSEDED = "superseded volumes, masks and other files"
OLD = "volumes/ab/v_old.nii.gz"
KEPT = "volumes/ab/v_kept.nii.gz"
MASK = "masks/ab/v_old.total.nii.gz"
DRAFT = "volumes/ab/.v_new.nii.gz.0123abcd.tmp"


class Clock:
    """Hours that have passed since the test began."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hours = 0.0
        began = dt.datetime.now(dt.UTC)
        monkeypatch.setattr(unused, "now", lambda: began + dt.timedelta(hours=self.hours))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def config(context: Context) -> Config:
    return load_config(None, (), {"store": context.store.url})


def put(store: Store, *paths: str) -> None:
    for path in paths:
        store.write_bytes(path, b"voxels")


def named(store: Store, path: str) -> None:
    """A file that a row names."""
    put(store, path)
    row = StoredFile(path=path, stage="ingest", item="se_1", size_bytes=6, sha256="")
    store.replace("files", ["se_1"], [row], {"stage": "ingest"})


def there(store: Store) -> set[str]:
    folders = ("volumes", "masks", "toys")
    return {path for one in folders for path in store.files(one)} - {unused.NOTE}


def test_a_superseded_file_goes_when_it_was_out_of_use_for_the_time_and_a_named_one_stays(
    context: Context, config: Config, clock: Clock
):
    named(context.store, KEPT)
    put(context.store, OLD, MASK)
    for hours in (0, WEEK - 1):
        clock.hours = hours
        assert compact_store(context, config).superseded_removed == 0
    assert there(context.store) == {KEPT, OLD, MASK}
    clock.hours = WEEK + 1
    told = foresee_compaction(context, config)
    assert (told.deletes[SUPERSEDED], told.deleted_bytes[SUPERSEDED]) == (2, 12)
    assert there(context.store) == {KEPT, OLD, MASK}
    done = compact_store(context, config)
    assert (done.superseded_removed, done.deleted_bytes) == (2, 12)
    assert there(context.store) == {KEPT}
    assert not context.store.exists(unused.NOTE)


def test_the_time_begins_when_a_file_went_out_of_use_not_when_it_was_written(
    context: Context, config: Config, clock: Clock
):
    named(context.store, KEPT)
    clock.hours = 100 * WEEK
    compact_store(context, config)
    context.store.replace("files", ["se_1"], [], {"stage": "ingest"})
    compact_store(context, config)
    assert there(context.store) == {KEPT}
    # named again meanwhile: the time begins anew
    named(context.store, KEPT)
    compact_store(context, config)
    context.store.replace("files", ["se_1"], [], {"stage": "ingest"})
    clock.hours += WEEK + 1
    compact_store(context, config)
    assert there(context.store) == {KEPT}
    clock.hours += WEEK + 1
    compact_store(context, config)
    assert there(context.store) == set()


def test_what_an_item_was_before_it_was_made_anew_goes(
    context: Context, config: Config, clock: Clock
):
    stage = toy_stage(["a0", "a1"])
    for batch in pending(context, stage).batches:
        settle(context, stage, batch)
    put(context.store, "toys/of_before.txt")
    clock.hours = 2
    assert compact_store(context, config, 0).superseded_removed == 1
    assert there(context.store) == {"toys/a0.txt", "toys/a1.txt"}


def test_a_draft_goes_by_its_age(context: Context, config: Config, clock: Clock):
    put(context.store, DRAFT, "qc/.page.html.0123abcd.tmp")
    tree = "masks/.tree.0123abcd.tmp/c/0"
    put(context.store, tree)
    clock.hours = WEEK - 1
    assert compact_store(context, config).drafts_removed == 0
    clock.hours = WEEK + 1
    assert compact_store(context, config).drafts_removed == 3
    assert there(context.store) == set()


def test_what_a_run_at_work_may_be_about_to_name_stays(
    context: Context, config: Config, clock: Clock
):
    put(context.store, OLD, DRAFT)
    clock.hours = 2
    began = unused.now() - dt.timedelta(hours=3)
    with at_work(context.store, f"{began:{unused.RUN_ID_TIME}}-abcdef"):
        assert compact_store(context, config, 0).superseded_removed == 0
    with at_work(context.store, "a name that tells no time"):
        assert compact_store(context, config, 0).superseded_removed == 0
    assert there(context.store) == {OLD, DRAFT}
    with at_work(context.store, f"{unused.now():{unused.RUN_ID_TIME}}-abcdef"):
        done = compact_store(context, config, 0)
    assert (done.superseded_removed, done.drafts_removed) == (1, 1)


def test_what_is_younger_than_an_hour_stays_even_if_nothing_is_to_be_kept(
    context: Context, config: Config, clock: Clock
):
    put(context.store, OLD, DRAFT)
    assert compact_store(context, config, 0).deleted_bytes == 0
    assert there(context.store) == {OLD, DRAFT}


def test_the_newest_records_of_runs_stay(
    context: Context, config: Config, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(superseded, "KEPT_RECORDS", 3)
    names = [f"runs/2026010{day}T020000Z-abcdef.json" for day in range(1, 8)]
    put(context.store, *names)
    with at_work(context.store, Path(names[0]).stem):
        assert compact_store(context, config).records_removed == 3
    assert context.store.files("runs") == [names[0], *names[-3:]]


@pytest.mark.full
@pytest.mark.parametrize("content", [b"", b"[]", b'{"volumes/ab/v_old.nii.gz": 1}'])
def test_a_damaged_note_only_begins_the_time_anew(
    context: Context, config: Config, clock: Clock, content: bytes
):
    put(context.store, OLD)
    context.store.write_bytes(unused.NOTE, content)
    clock.hours = 10 * WEEK
    assert compact_store(context, config).superseded_removed == 0
    clock.hours += WEEK + 1
    assert compact_store(context, config).superseded_removed == 1


def test_dry_run_tells_bytes_and_changes_nothing(context: Context, clock: Clock):
    store = context.store
    put(store, OLD)
    path = Path(store.location(OLD))
    os.utime(path, (1, 1))
    result = fvlm_data("compact", "--dry-run", "--keep-hours", "0", "--json", "--store", store.url)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["deletes"][SUPERSEDED], told["deleted_bytes"][SUPERSEDED]) == (1, 6)
    assert told["deleted_bytes"]["old files of tables"] == 0
    before = {file: Path(store.location(file)).read_bytes() for file in store.files("")}
    shown = fvlm_data("compact", "--dry-run", "--keep-hours", "0", "--store", store.url).stdout
    assert "would delete: 1 superseded volumes, masks and other files" in shown
    assert "nothing was written" in shown
    assert {file: Path(store.location(file)).read_bytes() for file in store.files("")} == before
    done = fvlm_data("compact", "--keep-hours", "0", "--store", store.url).stdout
    assert "files: 1 superseded ones, 0 drafts" in done
    assert store.files("volumes") == []


@pytest.mark.full
def test_sixty_nights_leave_a_store_no_larger_than_thirty():
    """Each night items are made anew, a writer is killed, a record is left; weekly compaction."""
    command = [sys.executable, ROOT / "bench" / "nights.py", "--nights", "63", "--every", "21"]
    small = ["--items", "40", "--changed", "8", "--json"]
    done = subprocess.run([*command, *small], check=True, capture_output=True, text=True)
    first, *_, before, last = json.loads(done.stdout)
    assert first["volumes_files"] == 41  # one draft
    # nights 42 and 63 follow a compaction: what they hold beside it is one night's
    assert last["volumes_files"] == before["volumes_files"] == 40 + 8 + 1
    assert last["tables_files"] <= before["tables_files"] + 2
    assert last["tables_mb"] + last["volumes_mb"] < 1.1 * (
        before["tables_mb"] + before["volumes_mb"]
    )
    # a record a night, until KEPT_RECORDS
    assert last["runs_files"] == 64
