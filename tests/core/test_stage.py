from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fvlm_data.errors import DamagedError, InputError, StoreError
from fvlm_data.identity.vault import Vault
from fvlm_data.store.commits import retire, settle
from fvlm_data.store.declared import Context, Item, Outcome, Reject, Stage, guarded, reject
from fvlm_data.store.planning import pending
from fvlm_data.store.tables import Store
from schemas import Split

HERE = Path(__file__).parent
ITEMS = [f"i{number}" for number in range(10)]


def as_process(context: Context, setting: str, die: str = "") -> subprocess.Popen[bytes]:
    arguments = [context.store.url, str(context.vault.folder), "process", "10", setting]
    return subprocess.Popen(
        [sys.executable, str(HERE / "toy_stage.py"), *arguments],
        env={**os.environ, "TOY_DIE": die},
    )


@pytest.fixture
def undisturbed(toy: ModuleType, tmp_path: Path, empty_store: Path, context: Context) -> Any:
    store = Store.open(shutil.copytree(empty_store, tmp_path / "undisturbed"))
    other = Context(store, context.vault, "other")
    toy.settle_all(other, toy.toy_stage(ITEMS))
    return toy.contents(other.store)


def test_what_a_run_leaves(toy: ModuleType, context: Context):
    toy.settle_all(context, toy.toy_stage(ITEMS))
    ledger = {r["item"]: r["outcome"] for r in context.store.read("ledger").to_pylist()}
    aside = [item for item in ITEMS if int(item[1:]) % 3 == 2]
    assert ledger == {item: "set_aside" if item in aside else "accepted" for item in ITEMS}
    assert sorted(context.store.read("quarantine")["item"].to_pylist()) == aside
    assert context.store.count("splits") == len(ITEMS) - len(aside)
    assert context.store.read_bytes("toys/i0.txt") == b"i0 chest"


@pytest.mark.parametrize(
    "place",
    [
        "after:file",
        "before:splits",
        "after:splits",
        "after:volume_checks",
        "after:quarantine",
        "before:ledger",
        "after:ledger",
    ],
)
def test_killed_run_is_taken_up_where_it_stopped(
    toy: ModuleType, context: Context, undisturbed: Any, place: str
):
    killed = as_process(context, "chest", die=place)
    assert killed.wait(timeout=60) == -signal.SIGKILL
    ran: list[str] = []
    settled = set(context.store.read("ledger")["item"].to_pylist())
    toy.settle_all(context, toy.toy_stage(ITEMS, ran=ran))
    assert set(ran) == set(ITEMS) - settled
    assert toy.contents(context.store) == undisturbed


@pytest.mark.parametrize("place", ["after:file", "after:splits", "before:ledger"])
def test_setting_taken_back_after_a_kill_leaves_nothing_of_it(
    toy: ModuleType, context: Context, undisturbed: Any, place: str
):
    toy.settle_all(context, toy.toy_stage(ITEMS))
    killed = as_process(context, "abdomen", die=place)
    assert killed.wait(timeout=60) == -signal.SIGKILL
    toy.settle_all(context, toy.toy_stage(ITEMS))
    assert toy.contents(context.store) == undisturbed


def test_two_runs_at_once_settle_once(toy: ModuleType, context: Context, undisturbed: Any):
    runs = [as_process(context, "chest") for _ in range(2)]
    assert [run.wait(timeout=60) for run in runs] == [0, 0]
    assert toy.contents(context.store) == undisturbed


def test_second_run_has_nothing_to_do(toy: ModuleType, context: Context):
    toy.settle_all(context, toy.toy_stage(ITEMS))
    before = context.store.read("ledger").to_pylist()
    ran: list[str] = []
    stage = toy.toy_stage(ITEMS, ran=ran)
    toy.settle_all(Context(context.store, context.vault, "second"), stage)
    assert ran == []
    assert pending(context, stage).settled == len(ITEMS)
    assert context.store.read("ledger").to_pylist() == before


def test_batch_that_another_run_has_settled_is_not_done_again(toy: ModuleType, context: Context):
    stale = pending(context, toy.toy_stage(ITEMS)).batches
    toy.settle_all(context, toy.toy_stage(ITEMS[:2]))
    ran: list[str] = []
    counts = settle(context, toy.toy_stage(ITEMS, ran=ran), stale[0])
    assert ran == ["i2", "i3"]
    assert counts["already settled"] == 2
    assert counts["accepted"] + counts["set_aside"] == 2


def test_item_that_another_run_settles_meanwhile_stays_as_it_is(toy: ModuleType, context: Context):
    """Also where the work is not repeatable: the first committed result is the one of record."""

    def work(item: str, setting: str) -> Outcome:
        first = toy.toy_stage([item])
        settle(Context(context.store, context.vault, "first"), first, planned(context, first))
        late = Split(patient_id=item, split="test", source="hash")
        return Outcome(item, {"splits": [late]})

    stage = toy.toy_stage(["i0"], work=work)
    settle(context, stage, planned(context, stage))
    assert context.store.read("splits")["split"].to_pylist() == ["train"]
    assert context.store.read("ledger")["run_id"].to_pylist() == ["first"]


def test_new_key_redoes_only_its_items(toy: ModuleType, context: Context):
    toy.settle_all(context, toy.reading_stage(ITEMS))
    ran: list[str] = []
    context.store.replace(
        "waiting", ["i1", "i4"], [toy.waits("i1", "mask"), toy.waits("i4", "study")]
    )
    toy.settle_all(context, toy.reading_stage(ITEMS, ran=ran))
    assert ran == ["i1", "i4"]
    assert context.store.count("ledger") == len(ITEMS)


def test_column_that_a_stage_only_carries_remakes_nothing(toy: ModuleType, context: Context):
    context.store.replace("waiting", ["i1"], [toy.waits("i1", "mask")])
    toy.settle_all(context, toy.reading_stage(ITEMS))
    context.store.replace("waiting", ["i1"], [toy.waits("i1", "mask", since="another run")])
    assert pending(context, toy.reading_stage(ITEMS)).batches == ()


def test_new_setting_replaces_all_rows(toy: ModuleType, context: Context):
    toy.settle_all(context, toy.toy_stage(ITEMS))
    toy.settle_all(context, toy.toy_stage(ITEMS, setting="abdomen"))
    assert set(context.store.read("volume_checks")["body_region"].to_pylist()) == {"abdomen"}
    assert context.store.read_bytes("toys/i0.txt") == b"i0 abdomen"


def test_item_whose_inputs_are_damaged_stays_settled_as_it_was(toy: ModuleType, context: Context):
    toy.settle_all(context, toy.toy_stage(ITEMS))
    before = toy.contents(context.store)

    def damaged(item: str, setting: str) -> Outcome:
        raise DamagedError("a file is not what its stage wrote")

    toy.settle_all(context, toy.toy_stage(ITEMS, setting="abdomen", work=damaged))
    assert toy.contents(context.store) == before
    assert pending(context, toy.toy_stage(ITEMS)).batches == ()


def test_items_that_leave_the_plan_leave_the_tables(toy: ModuleType, context: Context):
    toy.settle_all(context, toy.toy_stage(ITEMS))
    toy.settle_all(context, toy.toy_stage(ITEMS[:2]))
    for table, column in (("splits", "patient_id"), ("ledger", "item")):
        assert sorted(context.store.read(table)[column].to_pylist()) == ["i0", "i1"]
    assert context.store.count("quarantine") == 0


def test_items_of_outside_sources_stay(toy: ModuleType, context: Context):
    stage = toy.toy_stage(ITEMS)
    toy.settle_all(context, stage)
    outside = replace(stage, items="SELECT NULL::VARCHAR AS item WHERE false", derived=False)
    assert pending(context, outside).obsolete == ()


def test_items_that_a_stage_keeps_stay_though_they_are_not_planned(
    toy: ModuleType, context: Context
):
    toy.settle_all(context, toy.toy_stage(ITEMS))
    keeping = replace(
        toy.toy_stage(["i0"]), kept="SELECT item FROM (VALUES ('i1'), ('i3')) v(item)"
    )
    toy.settle_all(context, keeping)
    assert sorted(context.store.read("ledger")["item"].to_pylist()) == ["i0", "i1", "i3"]
    context.store.replace("splits", ["i3"], [])
    work = pending(context, keeping)
    assert (work.lost, work.obsolete, work.batches) == (("i3",), (), ())


def test_derived_files_are_written_and_not_recorded(toy: ModuleType, context: Context):
    def work(item: str, setting: str) -> Outcome:
        return replace(toy.make(item, setting), derived_files={f"toys/{item}.index": b"x"})

    toy.settle_all(context, toy.toy_stage(["i0"], work=work))
    assert context.store.read_bytes("toys/i0.index") == b"x"
    assert context.store.read("files")["path"].to_pylist() == ["toys/i0.txt"]
    context.store.remove("toys/i0.index")
    assert pending(context, toy.toy_stage(["i0"])).mended == ()


def test_retiring_leaves_other_stages_alone(toy: ModuleType, context: Context):
    other = Stage(
        name="other",
        version=1,
        settings={},
        tables=(),
        items="SELECT 'i2' AS item",
        make=lambda batch: iter([reject("i2", "fault", "r", "d")]),
        batch_size=1,
    )
    toy.settle_all(context, other)
    toy.settle_all(context, toy.toy_stage(ITEMS))
    retire(context, toy.toy_stage(ITEMS), ["i2"])
    rows = context.store.read("quarantine", ["stage"], [("item", "=", "i2")]).to_pylist()
    assert rows == [{"stage": "other"}]
    ledger = context.store.read("ledger", ["stage"], [("item", "=", "i2")]).to_pylist()
    assert ledger == [{"stage": "other"}]


def test_unexpected_exception_is_set_aside_without_its_text_and_tried_again(
    toy: ModuleType, context: Context
):
    def fails(item: str, setting: str) -> Outcome:
        if item == "i1":
            raise KeyError("DOE^JANE")
        return toy.make(item, setting)

    counts = settle(context, toy.toy_stage(["i0", "i1"], work=fails), plan_of(toy, context, 2))
    assert counts["fault:unexpected"] == 1
    row = context.store.read("quarantine").to_pylist()[0]
    assert (row["kind"], row["reason"], row["item"]) == ("fault", "unexpected", "i1")
    assert "KeyError at test_stage.py:" in row["detail"]
    assert "DOE" not in str(row)
    assert context.store.read("ledger")["item"].to_pylist() == ["i0"]
    ran: list[str] = []
    toy.settle_all(context, toy.toy_stage(["i0", "i1"], ran=ran))
    assert ran == ["i1"]
    assert context.store.count("quarantine") == 0


def plan_of(toy: ModuleType, context: Context, count: int) -> list[Item]:
    return planned(context, toy.toy_stage(ITEMS[:count]))


def planned(context: Context, stage: Stage) -> list[Item]:
    return [item for batch in pending(context, stage).batches for item in batch]


def test_fault_under_a_new_setting_takes_the_old_rows_and_ledger_away(
    toy: ModuleType, context: Context
):
    """Else the old setting, asked for again, would find its ledger row but no rows."""

    def fails(item: str, setting: str) -> Outcome:
        raise RuntimeError

    toy.settle_all(context, toy.toy_stage(["i0"]))
    toy.settle_all(context, toy.toy_stage(["i0"], setting="abdomen", work=fails))
    assert context.store.count("ledger") == context.store.count("splits") == 0
    toy.settle_all(context, toy.toy_stage(["i0"]))
    assert context.store.count("splits") == 1
    assert context.store.count("quarantine") == 0


@pytest.mark.parametrize("error", [InputError("x"), StoreError("x")])
def test_what_is_no_fault_of_the_item_stops_the_batch(error: Exception):
    def make() -> Outcome:
        raise error

    with pytest.raises(type(error)):
        guarded("i0", make)


def test_want_of_memory_is_no_fault_of_the_item_and_settles_nothing():
    def make() -> Outcome:
        raise MemoryError

    outcome = guarded("i0", make, ["file"])
    assert outcome.retry
    (short,) = outcome.rejects
    assert (short.reason, short.source_files) == ("not_enough_memory", ("file",))


def test_full_disk_below_a_stage_stops_the_batch_with_a_sentence():
    def make() -> Outcome:
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/jane doe")

    with pytest.raises(StoreError, match="no space left for temporary files") as caught:
        guarded("i0", make)
    assert "jane" not in str(caught.value)


def test_unreadable_file_below_a_stage_is_a_fault_of_the_item():
    def make() -> Outcome:
        raise PermissionError(errno.EACCES, "Permission denied")

    outcome = guarded("i0", make)
    assert outcome.retry
    assert outcome.rejects[0].reason == "unexpected"


def of(*outcomes: Outcome) -> Any:
    return Stage(
        name="toy",
        version=1,
        settings={},
        tables=("splits",),
        items="SELECT 'i0' AS item",
        make=lambda batch: iter(outcomes),
        batch_size=4,
    )


SET_ASIDE = Outcome("i0", rejects=(Reject("fault", "r", "d"),))


@pytest.mark.parametrize(
    "stage",
    [of(), of(SET_ASIDE, SET_ASIDE), of(SET_ASIDE, Outcome("i9", rejects=SET_ASIDE.rejects))],
    ids=["missing", "double", "foreign"],
)
def test_every_item_has_exactly_one_outcome(context: Context, stage: Stage):
    with pytest.raises(RuntimeError, match="outcomes and items of a batch do not match"):
        settle(context, stage, [Item("i0", "k")])
    assert context.store.count("ledger") == context.store.count("quarantine") == 0


@pytest.mark.parametrize("rows", [{}, {"splits": []}])
def test_item_that_is_neither_accepted_nor_set_aside_is_refused(context: Context, rows: Any):
    with pytest.raises(RuntimeError, match="item i0 has neither rows nor a reject"):
        settle(context, of(Outcome("i0", rows)), [Item("i0", "k")])


def test_empty_lists_of_rows_are_not_acceptance(context: Context):
    outcome = Outcome("i0", {"splits": []}, rejects=SET_ASIDE.rejects)
    assert settle(context, of(outcome), [Item("i0", "k")])["set_aside"] == 1
    assert context.store.read("ledger")["outcome"].to_pylist() == ["set_aside"]


def test_full_disk_while_committing_leaves_the_ledger_empty(
    toy: ModuleType, context: Context, monkeypatch: pytest.MonkeyPatch, undisturbed: Any
):
    def full(*args: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("fvlm_data.store.tables.write_deltalake", full)
        with pytest.raises(StoreError, match="No space left on device"):
            toy.settle_all(context, toy.toy_stage(ITEMS))
    assert context.store.count("ledger") == 0
    toy.settle_all(context, toy.toy_stage(ITEMS))
    assert toy.contents(context.store) == undisturbed


def test_identities_go_to_the_vault_only(context: Context):
    outcome = Outcome("i0", rejects=SET_ASIDE.rejects, identities={"p_1": ["DOE^JANE"]})
    settle(context, of(outcome), [Item("i0", "k")])
    assert context.vault.patient_identities(["p_1"]) == {"p_1": ["DOE^JANE"]}
    files = [p for p in Path(context.store.url).rglob("*") if p.is_file()]
    assert not [path for path in files if b"JANE" in path.read_bytes()]


def test_trees_are_put_with_their_outcome(context: Context, tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a").write_bytes(b"x")
    outcome = Outcome(
        "i0",
        {"splits": [Split(patient_id="i0", split="train", source="hash")]},
        trees={"shards/t.zarr": tree},
    )
    settle(context, of(outcome), [Item("i0", "k")])
    assert context.store.files("shards") == ["shards/t.zarr/a"]


@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_batches_split_and_ordered_otherwise_give_the_same_rows(
    toy: ModuleType, empty_store: Path, data: Any
):
    order = data.draw(st.permutations(ITEMS))
    size = data.draw(st.integers(1, 10))
    seed = data.draw(st.integers(0, 99))
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for name, items, batch_size in (("a", ITEMS, 10), ("b", order, size)):
            store = Store.open(shutil.copytree(empty_store, Path(folder, name)))
            context = Context(store, Vault.open(Path(folder, "vault")), name)
            stage = toy.toy_stage(items, batch_size=batch_size)
            batches = list(pending(context, stage).batches)
            random.Random(seed).shuffle(batches)
            for batch in batches:
                settle(context, stage, batch)
            found.append(toy.contents(store))
    assert found[0] == found[1]
