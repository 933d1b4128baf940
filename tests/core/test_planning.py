"""What a plan finds due, of declared reads over tables: keys, damage upstream, what is held."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fvlm_data.errors import StoreError
from fvlm_data.identity.ids import keyed_id
from fvlm_data.identity.vault import Vault
from fvlm_data.store.commits import retire, settle, unsettle
from fvlm_data.store.declared import Batch, Context, Outcome, Read, Stage
from fvlm_data.store.gathering import gather
from fvlm_data.store.planning import Work, pending, planned
from fvlm_data.store.tables import Store
from fvlm_data.store.upkeep import compact_table
from schemas import LedgerRow, Link, Split, VolumeCheck, Waiting


def split(patient: str, name: str = "train") -> Split:
    return Split(patient_id=patient, split=name, source="hash")


def link(owner: str, value: str, kind: str = "study_uid") -> Link:
    return Link(owner_kind="series", owner_id=owner, kind=kind, value_hash=value, stated_by=owner)


def below(reads: Sequence[Read], **changes: Any) -> Stage:
    """A stage of one check an item: its region tells how many rows its reads found."""

    def make(batch: Batch) -> Iterator[Outcome]:
        for one in batch.inputs:
            found = " ".join(str(len(rows)) for rows in one.rows.values())
            row = VolumeCheck(volume_id=one.item, body_region=found, contrast="unknown", flags=())
            yield Outcome(one.item, {"volume_checks": [row]})

    stage = Stage(
        name="below",
        version=1,
        settings={},
        tables=("volume_checks",),
        items="SELECT patient_id AS item FROM splits",
        reads=tuple(reads),
        make=make,
        batch_size=10,
    )
    return replace(stage, **changes)


def above(names: Sequence[str]) -> Stage:
    """The stage that gives each name a split."""
    listed = ", ".join(f"('{name}')" for name in names)
    return Stage(
        name="above",
        version=1,
        settings={},
        tables=("splits",),
        items=f"SELECT * FROM (VALUES {listed}) v(item)",
        make=lambda batch: (
            Outcome(one.item, {"splits": [split(one.item)]}) for one in batch.inputs
        ),
        batch_size=10,
    )


SPLIT = Read("split", "splits", "patient_id", ("split",))
NAMES = ("a", "b", "c")


def keys(context: Context, stage: Stage, upstream: Sequence[Stage] = ()) -> dict[str, str]:
    batches = pending(context, stage, upstream).batches
    return {item.id: item.key for batch in batches for item in batch}


def run(context: Context, stage: Stage, upstream: Sequence[Stage] = ()) -> Work:
    """As a run does it: what is damaged is unsettled, what is gone retired, the rest settled."""
    work = pending(context, stage, upstream, mend=True)
    unsettle(context, stage.name, work.mended)
    retire(context, stage, work.obsolete)
    for batch in work.batches:
        settle(context, stage, batch)
    return work


def due(work: Work) -> list[str]:
    return [item.id for batch in work.batches for item in batch]


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abc"), st.text(max_size=3)), unique=True, min_size=1, max_size=6
    ),
    order=st.randoms(),
)
@settings(max_examples=6, deadline=None)
def test_keys_do_not_depend_on_the_order_of_rows_or_on_files(
    empty_store: Path, rows: list[tuple[str, str]], order: Any
):
    stage = below([Read("links", "links", "owner_id", ("kind", "value_hash"))])
    stage = replace(stage, items="SELECT DISTINCT owner_id AS item FROM links")
    mixed = [link(owner, value) for owner, value in order.sample(rows, len(rows))]
    with tempfile.TemporaryDirectory() as folder:
        one, other = (Store.open(shutil.copytree(empty_store, Path(folder, n))) for n in "xy")
        vault = Vault.open(Path(folder, "vault"))
        one.replace_all("links", [link(*row) for row in rows])
        for owner in order.sample("abc", 3):
            other.replace("links", [owner], [row for row in mixed if row.owner_id == owner])
        expected = keys(Context(one, vault, "run"), stage)
        assert keys(Context(other, vault, "run"), stage) == expected
        compact_table(other, "links", keep_hours=0)
        assert keys(Context(other, vault, "run"), stage) == expected


@pytest.fixture
def spread(context: Context) -> Context:
    """Two studies of items a and b; the reports of one share a link with the other's."""
    store = context.store
    store.replace_all("splits", [split("a"), split("b")])
    store.replace_all(
        "links", [link("a", "h1"), link("a", "h2"), link("b", "h3"), link("r1", "h2")]
    )
    store.replace_all(
        "waiting",
        [
            Waiting(owner_kind="report", owner_id="r1", waits_for="study", since_run="run"),
            Waiting(owner_kind="study", owner_id="b", waits_for="mask", since_run="run"),
        ],
    )
    return context


CHAIN = (
    Read("own", "links", "owner_id", ("value_hash",)),
    Read("sharing", "links", "value_hash", ("owner_id",), "own.value_hash"),
    Read("waits", "waiting", "owner_id", ("waits_for",), "sharing.owner_id"),
)


def test_rows_are_found_through_earlier_reads(spread: Context):
    stage = below(CHAIN)
    items = [item for batch in pending(spread, stage).batches for item in batch]
    found, _ = gather(spread, stage, items)
    assert {one.item: [row["owner_id"] for row in one.rows["sharing"]] for one in found} == {
        "a": ["a", "a", "r1"],
        "b": ["b"],
    }
    assert {one.item: list(one.rows["waits"]) for one in found} == {
        "a": [{"waits_for": "study"}],
        "b": [{"waits_for": "mask"}],
    }


def test_a_change_at_the_end_of_a_chain_of_reads_remakes_its_item(spread: Context):
    stage = below(CHAIN)
    run(spread, stage)
    row = Waiting(owner_kind="report", owner_id="r1", waits_for="mask", since_run="run")
    spread.store.replace("waiting", ["r1"], [row])
    assert due(pending(spread, stage)) == ["a"]
    run(spread, stage)
    assert due(pending(spread, stage)) == []
    spread.store.replace("links", ["r1"], [])
    assert due(pending(spread, stage)) == ["a"]


def test_a_new_row_that_a_chain_of_reads_reaches_remakes_its_item(spread: Context):
    stage = below(CHAIN)
    run(spread, stage)
    spread.store.replace("links", ["r2"], [link("r2", "h3"), link("r2", "h9")])
    assert due(pending(spread, stage)) == ["b"]


def test_a_condition_bounds_what_a_read_finds(spread: Context):
    stage = below([replace(CHAIN[0], where="t.value_hash <> 'h1' OR t.owner_id = 'x'")])
    run(spread, stage)
    spread.store.replace("links", ["a"], [link("a", "h1", "accession"), link("a", "h2")])
    assert due(pending(spread, stage)) == []
    spread.store.replace("links", ["a"], [link("a", "h1")])
    assert due(pending(spread, stage)) == ["a"]


def test_refs_find_rows_and_bound_batches(spread: Context):
    stage = below(
        [Read("link", "links", "value_hash", ("kind",), on="hash")],
        items="SELECT owner_id || ':' || value_hash AS item, value_hash AS hash, owner_id AS owner "
        "FROM links WHERE owner_id IN ('a', 'b')",
        refs=("hash", "owner"),
        group="owner",
    )
    work = pending(spread, stage)
    assert [[item.id for item in batch] for batch in work.batches] == [["a:h1", "a:h2"], ["b:h3"]]
    assert work.batches[0][1].refs == ("h2", "a")
    (one, other), _ = gather(spread, stage, work.batches[0])
    assert (one.refs, len(one.rows["link"])) == ({"hash": "h1", "owner": "a"}, 1)
    assert len(other.rows["link"]) == 2
    run(spread, stage)
    spread.store.replace("links", ["r1"], [link("r1", "h2", "accession")])
    assert due(pending(spread, stage)) == ["a:h2"]
    spread.store.replace("links", ["r1"], [link("r1", "h2")])
    assert due(pending(spread, stage)) == []


def test_batches_hold_at_most_their_number_of_items(spread: Context):
    items = "SELECT 'i' || range AS item, range % 2 = 0 AS even FROM range(10)"
    stage = below([], items=items, refs=("even",), group="even", batch_size=3)
    sizes = [len(batch) for batch in pending(spread, stage).batches]
    assert sizes == [3, 2, 3, 2]


def test_views_are_read_as_tables_are(spread: Context):
    stage = below(
        [Read("others", "shared", "own", ("other",))],
        views={
            "shared": "SELECT o.owner_id AS own, s.owner_id AS other FROM links o JOIN links s "
            "ON s.value_hash = o.value_hash AND s.owner_id <> o.owner_id"
        },
    )
    items = [item for batch in pending(spread, stage).batches for item in batch]
    found, parts = gather(spread, stage, items)
    assert {one.item: list(one.rows["others"]) for one in found} == {
        "a": [{"other": "r1"}],
        "b": [],
    }
    assert "others.other=" in parts["a"]
    run(spread, stage)
    spread.store.replace("links", ["r1"], [link("r1", "h3")])
    assert due(pending(spread, stage)) == ["a", "b"]


def test_a_read_of_what_is_not_there_is_a_fault_of_the_stage(spread: Context):
    with pytest.raises(ValueError, match="stage below: read split is on nothing, not known"):
        pending(spread, below([replace(SPLIT, on="nothing")]))


@pytest.fixture
def chain(context: Context) -> tuple[Context, Stage, Stage]:
    """Stage `above` and the one below it, all settled."""
    first, second = above(NAMES), below([SPLIT])
    run(context, first)
    run(context, second, [first])
    return context, first, second


def spoiled(store: Store, damage: str) -> None:
    """The split of b, not as its stage left it."""
    rows = {"lost": [], "changed": [split("b", "test")], "doubled": [split("b"), split("b")]}
    store.replace("splits", ["b"], rows[damage])


@pytest.mark.parametrize("damage", ["lost", "changed", "doubled"])
def test_nothing_is_taken_of_an_item_that_is_damaged_above(
    chain: tuple[Context, Stage, Stage], damage: str
):
    context, first, second = chain
    before = context.store.read("volume_checks").to_pylist()
    spoiled(context.store, damage)
    above_now, now = pending(context, first), pending(context, second, [first])
    assert (due(above_now), above_now.mended) == (["b"], ("b",))
    assert (now.batches, now.obsolete) == ((), ())
    assert now.held == (0 if damage == "lost" else 1)
    run(context, second, [first])
    assert context.store.read("volume_checks").to_pylist() == before
    run(context, first)
    healed = pending(context, second, [first])
    assert (healed.batches, healed.obsolete, healed.held) == ((), (), 0)
    assert healed.settled == len(NAMES)


def test_items_beside_a_damaged_one_go_on(chain: tuple[Context, Stage, Stage]):
    context, first, second = chain
    spoiled(context.store, "changed")
    other = replace(second, version=2)
    work = pending(context, other, [first])
    assert due(work) == ["a", "c"]
    assert work.held == 1
    told = planned(context, other, [first], "b")
    assert told is not None
    assert (told.held, told.broken) == (True, False)
    assert planned(context, other, [first], "zz") is None


def test_what_is_reached_through_another_read_is_held_as_a_whole(
    chain: tuple[Context, Stage, Stage],
):
    """Lost rows there leave no trace of the items that they belonged to."""
    context, first, _ = chain
    context.store.replace_all("links", [link("a", "b"), link("c", "c")])
    reads = [
        Read("own", "links", "owner_id", ("value_hash",)),
        replace(SPLIT, name="other", on="own.value_hash"),
    ]
    stage = below(reads, name="far")
    spoiled(context.store, "lost")
    work = pending(context, stage, [first])
    assert (work.batches, work.held) == ((), 2)
    run(context, first)
    assert due(pending(context, stage, [first])) == ["a", "b", "c"]


@pytest.mark.parametrize("through", ["items", "view"])
def test_no_item_is_taken_for_gone_while_what_lists_them_is_damaged(
    chain: tuple[Context, Stage, Stage], through: str
):
    context, first, _ = chain
    stage = below([], name="lists")
    if through == "view":
        stage = replace(
            stage,
            items="SELECT item FROM listed",
            views={"listed": "SELECT patient_id AS item FROM splits"},
        )
    run(context, stage, [first])
    spoiled(context.store, "lost")
    assert pending(context, stage, [first]).obsolete == ()
    run(context, first)
    smaller = above(["a", "c"])
    run(context, smaller)
    assert pending(context, stage, [smaller]).obsolete == ("b",)


def test_an_item_that_the_ledger_has_twice_is_made_once(chain: tuple[Context, Stage, Stage]):
    context, first, second = chain
    rows = context.store.read("ledger", None, [("stage", "=", "below")]).to_pylist()
    one = next(LedgerRow(**row) for row in rows if row["item"] == "b")
    doubled = [one, replace(one, key="another")]
    context.store.replace("ledger", ["b"], doubled, {"stage": "below"})
    work = run(context, second, [first])
    assert (due(work), work.mended) == (["b"], ("b",))
    assert pending(context, second, [first]).batches == ()
    assert context.store.read("volume_checks").num_rows == len(NAMES)


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_file_that_cannot_be_read_is_taken_out_to_mend_and_told_else(
    chain: tuple[Context, Stage, Stage], damage: str
):
    context, first, second = chain
    expected = sorted(context.store.read("splits")["patient_id"].to_pylist())
    file = next(Path(context.store.url, "tables", "splits").glob("*.parquet"))
    content = file.read_bytes()
    file.unlink()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreError, match=r"one of the tables .*splits.* cannot be read"):
        pending(context, first)
    with pytest.raises(StoreError, match=r"one of the tables .*splits"):
        planned(context, second, [first], "a")
    work = pending(context, first, mend=True)
    assert work.mended == NAMES
    held = pending(context, second, [first], mend=True)
    assert (held.batches, held.obsolete) == ((), ())
    run(context, first)
    assert sorted(context.store.read("splits")["patient_id"].to_pylist()) == expected
    assert pending(context, second, [first]).settled == len(NAMES)


def test_lost_items_of_outside_sources_are_told_and_stay(chain: tuple[Context, Stage, Stage]):
    context, first, _ = chain
    spoiled(context.store, "changed")
    nothing = replace(first, items="SELECT NULL::VARCHAR AS item WHERE false", derived=False)
    work = pending(context, nothing)
    assert (work.batches, work.obsolete, work.lost) == ((), (), ("b",))


@given(parts=st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), min_size=1, max_size=5))
@settings(max_examples=15, deadline=None)
def test_keyed_id_in_sql_is_that_of_the_vault(empty_store: Path, parts: list[tuple[str, str]]):
    with tempfile.TemporaryDirectory() as folder:
        vault = Vault.open(Path(folder, "vault"))
        context = Context(Store.open(empty_store), vault, "run")
        listed = ", ".join(f"({sql(one)}, {sql(two)})" for one, two in parts)
        items = f"SELECT keyed_id('sh', one, two) AS item FROM (VALUES {listed}) v(one, two)"
        found = keys(context, below([], items=items))
        assert set(found) == {keyed_id(vault.key, "sh", one, two) for one, two in parts}


def sql(text: str) -> str:
    """A text as an SQL literal that holds any character."""
    return f"decode(unhex('{text.encode().hex()}'))"
