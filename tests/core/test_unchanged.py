"""A run over a store in which nothing has changed makes no plan, and tells what it told before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from fvlm_data.inspect.verify import verify
from fvlm_data.run import curate as run
from fvlm_data.run.config import Config, load_config
from fvlm_data.run.stages import build_stage
from fvlm_data.store.declared import Context
from fvlm_data.store.unchanged import NOTES

STAGES = ["split"]


@pytest.fixture
def patients(hand: ModuleType, context: Context) -> Context:
    volumes = [hand.volume(n, f"st_{n}", f"p_{n}") for n in range(12)]
    context.store.replace_all("volumes", volumes)
    return context


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the stages that were planned."""
    names: list[str] = []
    made = run.pending

    def noted(context: Context, stage: run.Stage, *more: object, **also: bool) -> object:
        names.append(stage.name)
        return made(context, stage, *more, **also)

    monkeypatch.setattr(run, "pending", noted)
    return names


def config(context: Context, *overrides: str) -> Config:
    return load_config(None, overrides, {"store": context.store.url})


def splits(context: Context) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = context.store.read("splits").to_pylist()
    return sorted(rows, key=str)


def quiet(context: Context, planned: list[str]) -> None:
    """Run until nothing has to be planned any more."""
    for _ in range(2):
        run.curate(config(context), STAGES)
    planned.clear()


def test_nothing_is_planned_where_nothing_changed(patients: Context, planned: list[str]):
    first = run.curate(config(patients), STAGES)
    second = run.curate(config(patients), STAGES)
    assert planned == ["split", "split"]
    third = run.curate(config(patients), STAGES)
    assert planned == ["split", "split"]
    assert first.stages["split"]["accepted"] == 12
    assert third.stages == second.stages == {"split": {"already settled": 12, "retired": 0}}
    assert third.tables == second.tables


def test_new_rows_are_planned(patients: Context, planned: list[str], hand: ModuleType):
    quiet(patients, planned)
    volumes = [hand.volume(n, f"st_{n}", f"p_{n}") for n in range(13)]
    patients.store.replace_all("volumes", volumes)
    assert run.curate(config(patients), STAGES).stages["split"]["accepted"] == 1
    assert planned == ["split"]


def test_another_setting_is_planned(patients: Context, planned: list[str]):
    quiet(patients, planned)
    other = config(patients, "pair.split={train: 1, validation: 0, test: 0}")
    run.curate(other, STAGES)
    assert planned == ["split"]


def test_retry_plans(patients: Context, planned: list[str]):
    quiet(patients, planned)
    run.curate(config(patients), STAGES, retry=True)
    assert planned == ["split"]


def rows_deleted(context: Context) -> None:
    some = [row for row in splits(context) if row["patient_id"] != "p_3"]
    context.store.replace_all("splits", [])
    assert some
    # what another program left of the table
    context.store.replace("splits", [str(row["patient_id"]) for row in some], [])


def file_deleted(context: Context) -> None:
    data_file(context).unlink()


def file_cut(context: Context) -> None:
    file = data_file(context)
    file.write_bytes(file.read_bytes()[:-40])


def data_file(context: Context) -> Path:
    assert context.store.local_root is not None
    tables = context.store.local_root / "tables" / "splits"
    return max(tables.glob("*.parquet"), key=lambda file: file.stat().st_mtime_ns)


@pytest.mark.parametrize("damage", [rows_deleted, file_deleted, file_cut])
def test_damage_is_healed_by_the_next_run(
    patients: Context, planned: list[str], damage: Callable[[Context], None]
):
    quiet(patients, planned)
    before = splits(patients)
    damage(patients)
    run.curate(config(patients), STAGES)
    assert planned == ["split"]
    assert splits(patients) == before


def test_bytes_changed_under_the_same_time_are_healed_after_verify(
    patients: Context, planned: list[str]
):
    quiet(patients, planned)
    before = splits(patients)
    file = data_file(patients)
    told = file.stat()
    content = bytearray(file.read_bytes())
    content[8:40] = bytes(32)
    file.write_bytes(content)
    os.utime(file, ns=(told.st_atime_ns, told.st_mtime_ns))

    stages = [build_stage("split", config(patients))]
    assert not all(check.passed for check in verify(patients.store, stages))
    run.curate(config(patients), STAGES)
    assert planned == ["split"]
    assert splits(patients) == before


def test_notes_that_cannot_be_read_cost_a_plan_only(patients: Context, planned: list[str]):
    quiet(patients, planned)
    for content in (b"{", b"[]", b'{"split": {"state": "x"}}'):
        patients.store.write_bytes(NOTES, content)
        run.curate(config(patients), STAGES)
    assert planned == ["split"] * 3
    run.curate(config(patients), STAGES)
    assert planned == ["split"] * 3


def test_a_file_that_a_stage_wrote_and_somebody_removed_is_seen(
    patients: Context, planned: list[str]
):
    patients.store.write_bytes("volumes/00/one.nii.gz", b"voxels")
    quiet(patients, planned)
    patients.store.remove("volumes/00/one.nii.gz")
    run.curate(config(patients), STAGES)
    assert planned == ["split"]


def test_notes_that_cannot_be_removed_are_told_and_verify_still_answers(
    patients: Context, planned: list[str], monkeypatch: pytest.MonkeyPatch
):
    quiet(patients, planned)
    data_file(patients).unlink()

    def refused(path: str) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(patients.store, "remove", refused)
    checks = verify(patients.store, [build_stage("split", config(patients))])
    assert [(one.passed, one.examples) for one in checks if "plans anew" in one.name] == [
        (False, (NOTES,))
    ]


def test_a_file_that_goes_between_listing_and_look_stops_no_run(
    patients: Context, monkeypatch: pytest.MonkeyPatch
):
    """Another run renames its drafts and joins files of tables while this one looks."""
    going = patients.store.local_root / "tables" / "splits" / "gone.parquet"  # type: ignore[operator]
    scanned = os.scandir

    def removing(path: str) -> object:
        going.write_bytes(b"x")
        listed = list(scanned(path))
        going.unlink()

        class Listing:
            def __enter__(self) -> Iterator[os.DirEntry[str]]:
                return iter(listed)

            def __exit__(self, *_: object) -> None:
                pass

        return Listing()

    monkeypatch.setattr("fsspec.implementations.local.os.scandir", removing)
    assert not any("gone" in line for line in patients.store.stamps("tables/splits"))
