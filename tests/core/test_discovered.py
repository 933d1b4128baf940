"""What discovery left of a source, and how a change of it is noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fvlm_data.store.declared import Context
from fvlm_data.store.discovered import changed_sources, close_sources, open_source
from schemas import Input, Link, Quarantined

STAGE, KIND = "discover_reports", "report"


def offered(source: str, number: int, item: str | None = "", kind: str = KIND) -> Input:
    token = f"{source}_{number}"
    return Input(
        kind=kind,
        token=token,
        source=source,
        item=f"r_{token}" if item == "" else item,
        fingerprint=f"f{number}",
        size_bytes=number,
        modified_ns=0,
    )


def link(owner: str, value: str) -> Link:
    return Link(
        owner_kind="report", owner_id=owner, kind="study_uid", value_hash=value, stated_by=owner
    )


def aside(item: str) -> Quarantined:
    return Quarantined(
        kind="fault", stage=STAGE, item=item, reason="blank", detail="d", source_files=(item,)
    )


@pytest.fixture
def known(context: Context) -> Context:
    """Sources a and b, looked at: two reports each, the second of a set aside."""
    store = context.store
    rows = [offered("a", 1), offered("a", 2, None), offered("b", 1), offered("b", 2)]
    store.replace("inputs", [row.token for row in rows], rows, {"kind": KIND})
    store.replace("quarantine", ["a_2"], [aside("a_2")], {"stage": STAGE})
    store.replace("links", ["r_a_1", "r_b_1"], [link("r_a_1", "h1"), link("r_b_1", "h2")])
    close_sources(context, STAGE, KIND, ["a", "b"])
    return context


def changed(context: Context) -> set[str]:
    return changed_sources(context, STAGE, KIND)


def test_nothing_has_changed_after_a_source_was_looked_at(known: Context):
    assert changed(known) == set()
    ledger = known.store.read("ledger").to_pylist()
    assert {(row["item"], row["outcome"]) for row in ledger} == {
        ("a", "accepted"),
        ("b", "accepted"),
    }


@pytest.mark.parametrize(
    ("table", "item", "rows", "also"),
    [
        ("inputs", "a_1", [], {"kind": KIND}),
        ("inputs", "a_1", [offered("a", 1), offered("a", 1)], {"kind": KIND}),
        ("inputs", "a_1", [replace(offered("a", 1), fingerprint="x")], {"kind": KIND}),
        ("inputs", "a_1", [offered("a", 1, None)], {"kind": KIND}),
        ("inputs", "a_3", [offered("a", 3)], {"kind": KIND}),
        ("quarantine", "a_2", [], {"stage": STAGE}),
        ("quarantine", "a_2", [aside("a_2"), aside("a_2")], {"stage": STAGE}),
        ("links", "r_a_1", [], {}),
        ("links", "r_a_1", [link("r_a_1", "h9")], {}),
    ],
)
def test_rows_that_are_not_those_that_were_left_are_noticed(
    known: Context, table: str, item: str, rows: list[Input], also: dict[str, str]
):
    known.store.replace(table, [item], rows, also)
    assert changed(known) == {"a"}


def test_what_is_not_compared_may_change(known: Context):
    row = replace(offered("a", 1), modified_ns=7)
    known.store.replace("inputs", ["a_1"], [row], {"kind": KIND})
    assert changed(known) == set()


def test_other_kinds_and_stages_are_no_part_of_a_source(known: Context):
    store = known.store
    store.replace("inputs", ["a_9"], [offered("a", 9, kind="file")], {"kind": "file"})
    other = replace(aside("a_2"), stage="reports")
    store.replace("quarantine", ["a_2"], [other], {"stage": "reports"})
    series = replace(link("se_1", "h1"), owner_kind="series")
    store.replace("links", ["se_1"], [series])
    assert changed(known) == set()


def test_all_rows_of_a_source_lost_are_noticed(known: Context):
    known.store.replace("inputs", ["a_1", "a_2"], [], {"kind": KIND})
    assert changed(known) == {"a"}


def test_a_source_that_is_being_looked_at_is_taken_as_it_is(known: Context):
    """As a killed run leaves it: rows of the source are written, its ledger row is not."""
    open_source(known, STAGE, "a")
    known.store.replace("inputs", ["a_3"], [offered("a", 3)], {"kind": KIND})
    assert changed(known) == set()
    close_sources(known, STAGE, KIND, ["a"])
    known.store.replace("inputs", ["a_3"], [], {"kind": KIND})
    assert changed(known) == {"a"}


def test_sources_that_stand_as_they_must_are_not_written_again(known: Context):
    before = known.store.version("ledger")
    close_sources(Context(known.store, known.vault, "later"), STAGE, KIND, ["a", "b"])
    assert known.store.version("ledger") == before
    open_source(known, STAGE, "never seen")
    assert known.store.version("ledger") == before
    known.store.replace("inputs", ["a_3"], [offered("a", 3)], {"kind": KIND})
    close_sources(Context(known.store, known.vault, "later"), STAGE, KIND, ["a", "b"])
    runs = known.store.read("ledger", ["item", "run_id"]).to_pylist()
    assert {row["item"]: row["run_id"] for row in runs} == {"a": "later", "b": "run"}
    assert changed(known) == set()


def test_a_source_without_rows_has_no_place_in_the_ledger(known: Context):
    close_sources(known, STAGE, KIND, ["empty"])
    assert known.store.count("ledger") == 2


def test_a_table_file_that_cannot_be_read_is_taken_out_and_noticed(known: Context):
    for file in Path(known.store.url, "tables", "links").glob("*.parquet"):
        file.write_bytes(b"junk")
    assert changed(known) == {"a", "b"}
    assert known.store.count("links") == 0
