from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fvlm_data.errors import InputError
from fvlm_data.identity.ids import link_key
from fvlm_data.inspect.verify import verify
from fvlm_data.pairing.config import PairConfig, SplitFractions
from fvlm_data.pairing.split_discovery import discover_split
from fvlm_data.pairing.split_stage import split_stage
from fvlm_data.pairing.splits import assign_split
from fvlm_data.store.commits import retire, settle
from fvlm_data.store.declared import Batch, Context, Outcome, Stage
from fvlm_data.store.discovered import changed_sources
from fvlm_data.store.planning import pending
from schemas import Split


def run(context: Context, stage: Stage) -> int:
    """Settle what is to do; returns how many items that were."""
    work = pending(context, stage)
    retire(context, stage, [*work.obsolete, *work.mended])
    for batch in work.batches:
        settle(context, stage, batch)
    return sum(len(batch) for batch in work.batches)


def run_split(context: Context, config: PairConfig) -> int:
    discover_split(context, config)
    return run(context, split_stage(config))


def due(context: Context, stage: Stage) -> set[str]:
    return {item.id for batch in pending(context, stage).batches for item in batch}


def rows(context: Context, table: str, *columns: str) -> set[Any]:
    found = context.store.read(table, columns).to_pylist()
    return {tuple(row[column] for column in columns) for row in found}


def test_splits_stay_under_growth_and_new_shares(hand: ModuleType, context: Context):
    volumes = [hand.volume(n, f"st_{n}", f"p_{n}") for n in range(60)]
    context.store.replace_all("volumes", volumes[:30])
    run_split(context, PairConfig())
    before = rows(context, "splits", "patient_id", "split")
    assert len(before) == 30
    context.store.replace_all("volumes", volumes)
    assert run_split(context, PairConfig()) == 30
    everybody = PairConfig(split=SplitFractions(train=0.0, validation=0.0, test=1.0))
    run_split(context, everybody)
    after = rows(context, "splits", "patient_id", "split")
    assert before <= after
    assert len(after) == 60


def test_growth_in_steps_gives_the_splits_of_one_go(hand: ModuleType, context: Context):
    volumes = [hand.volume(n, f"st_{n}", f"p_{n}") for n in range(40)]
    context.store.replace_all("volumes", volumes)
    run_split(context, PairConfig())
    at_once = rows(context, "splits", "patient_id", "split", "source")
    for table in ("splits", "ledger"):
        context.store.replace_all(table, [])
    for size in (40, 7, 23, 40):
        context.store.replace_all("volumes", volumes[-size:])
        run_split(context, PairConfig())
    assert rows(context, "splits", "patient_id", "split", "source") == at_once


def test_external_split_file_wins_and_holds_when_it_is_gone(
    hand: ModuleType, context: Context, tmp_path: Path
):
    context.store.replace_all("volumes", [hand.volume(n, f"st_{n}", f"p_{n}") for n in range(20)])
    links = [
        hand.link(
            "patient",
            f"p_{n}",
            "patient_id",
            link_key("patient_id", f"MRN{n}", key=context.vault.key),
        )
        for n in range(20)
    ]
    context.store.replace_all("links", links)
    run_split(context, PairConfig())
    file = tmp_path / "splits.csv"
    file.write_text("patient_id,split\n" + "".join(f"mrn{n},test\n" for n in range(10)))
    named = PairConfig(split_file=file)
    assert run_split(context, named) == 10
    wanted = {(f"p_{n}", "test", "file") for n in range(10)}
    assert wanted <= rows(context, "splits", "patient_id", "split", "source")
    run_split(context, PairConfig())
    assert wanted <= rows(context, "splits", "patient_id", "split", "source")


@pytest.mark.parametrize(
    ("column", "owner_kind", "owner"),
    [("study_uid", "study", "st"), ("accession", "study", "st"), ("volume_name", "series", "se")],
)
def test_a_split_file_may_name_scans(
    hand: ModuleType, context: Context, tmp_path: Path, column: str, owner_kind: str, owner: str
):
    """Two scans of one patient with different splits: he is held out."""
    volumes = [
        dataclasses.replace(hand.volume(n, f"st_{n}", f"p_{n // 2}"), series_id=f"se_{n}")
        for n in range(6)
    ]
    context.store.replace_all("volumes", volumes)
    links = [
        hand.link(
            owner_kind, f"{owner}_{n}", column, link_key(column, f"scan{n}", key=context.vault.key)
        )
        for n in range(6)
    ]
    context.store.replace_all("links", links)
    file = tmp_path / "splits.csv"
    said = ["train", "test", "train", "train", "validation"]
    file.write_text(f"{column},split\n" + "".join(f"SCAN{n},{s}\n" for n, s in enumerate(said)))
    run_split(context, PairConfig(split_file=file))
    assert rows(context, "splits", "patient_id", "split", "source") == {
        ("p_0", "test", "file"),
        ("p_1", "train", "file"),
        ("p_2", "validation", "file"),
    }


def test_split_file_that_names_nobody_of_the_store_stops_the_run(
    hand: ModuleType, context: Context, tmp_path: Path
):
    context.store.replace_all("volumes", [hand.volume(1, "st_1", "p_1")])
    key = link_key("patient_id", "00123", key=context.vault.key)
    context.store.replace_all("links", [hand.link("patient", "p_1", "patient_id", key)])
    file = tmp_path / "splits.csv"
    file.write_text("patient_id,split\n123,test\n124,train\n")
    with pytest.raises(
        InputError, match=r"names 2 patients or scans, none of the store's 1 patients; expected"
    ):
        run_split(context, PairConfig(split_file=file))
    assert context.store.count("splits") == 0
    context.store.replace_all("links", [])  # files without headers: nobody has an id
    with pytest.raises(InputError, match="names 2 patients or scans, none of"):
        run_split(context, PairConfig(split_file=file))
    context.store.replace_all("links", [])  # a store whose images come later
    context.store.replace_all("volumes", [])
    assert run_split(context, PairConfig(split_file=file)) == 0


def twin_volumes(hand: ModuleType, pairs: int = 40) -> list[Any]:
    """Patients p_0 to p_79: p_n and p_(n + 40) share an image, among others of their own."""
    return [
        hand.volume(
            2 * n + own,
            f"st_{n}",
            f"p_{n}",
            content_sha256=f"own {n}" if own else f"shared {n % pairs}",
        )
        for n in range(2 * pairs)
        for own in (0, 1)
    ]


def offer(context: Context, volumes: list[Any]) -> None:
    context.store.replace_all("candidates", volumes)
    context.store.replace_all("volumes", volumes)


def test_no_image_is_in_two_splits_and_held_out_data_stays(hand: ModuleType, context: Context):
    offer(context, twin_volumes(hand))
    halves = SplitFractions(train=0.4, validation=0.3, test=0.3)
    run_split(context, PairConfig(split=halves))
    split_of = dict(rows(context, "splits", "patient_id", "split"))
    alone = {f"p_{n}": assign_split(context.vault.key, f"p_{n}", halves).split for n in range(80)}
    torn = 0
    for n in range(40):
        one, other = f"p_{n}", f"p_{n + 40}"
        first = min(alone[one], alone[other], key=["test", "validation", "train"].index)
        expected = {p: alone[p] for p in (one, other) if alone[p] == first}
        assert {p: split_of[p] for p in (one, other) if p in split_of} == expected
        torn += len(expected) == 1
    assert torn > 10
    aside = context.store.read("quarantine").to_pylist()
    assert len(aside) == torn
    assert {(row["kind"], row["reason"]) for row in aside} == {
        ("duplicate", "image_of_held_out_patient")
    }


def test_twins_end_the_same_in_whatever_order_they_arrive(hand: ModuleType, context: Context):
    volumes = twin_volumes(hand, pairs=12)
    stage = split_stage(PairConfig(split=SplitFractions(train=0.4, validation=0.3, test=0.3)))
    offer(context, volumes)
    run(context, stage)
    at_once = rows(context, "splits", "patient_id", "split", "source")
    for table in ("splits", "ledger", "quarantine"):
        context.store.replace_all(table, [])
    for size in (10, 23, 31, 48):
        offer(context, volumes[-size:])
        run(context, stage)
    assert rows(context, "splits", "patient_id", "split", "source") == at_once
    assert run(context, stage) == 0


def shifted_twins(hand: ModuleType) -> list[Any]:
    """Twins by their pixels only, a third by the content of a row that has no hash of pixels."""
    images = [("p_0", "a", "same"), ("p_1", "b", "same"), ("p_2", "b", None), ("p_3", "c", None),
              ("p_4", "d", "other")]  # fmt: skip
    return [
        hand.volume(n, f"st_{n}", patient, content_sha256=content, pixels_sha256=pixels)
        for n, (patient, content, pixels) in enumerate(images)
    ]


def near_twins(hand: ModuleType) -> list[Any]:
    """Two patients with nearly the same image, a third with another one."""
    means = [float(value) for value in range(-900, -260, 10)]
    shifts = (0.0, 4.5, 14.0)
    return [
        hand.volume(
            n,
            f"st_{n}",
            f"p_{n}",
            pixels_sha256=f"pixels {n}",
            block_means_hu=tuple(value + shift for value in means),
        )
        for n, shift in enumerate(shifts)
    ]


@pytest.mark.parametrize("start", [-900.0, -899.2, -904.3])
def test_patients_with_nearly_the_same_image_never_lie_in_two_splits(
    hand: ModuleType, context: Context, tmp_path: Path, start: float
):
    moved = [
        dataclasses.replace(
            one, block_means_hu=tuple(value + start + 900 for value in one.block_means_hu)
        )
        for one in near_twins(hand)
    ]
    offer(context, moved)
    file = named_file(hand, context, tmp_path / "s.csv", p_0="train", p_1="test", p_2="train")
    run_split(context, PairConfig(split_file=file))
    assert rows(context, "splits", "patient_id") == {("p_1",), ("p_2",)}
    (row,) = context.store.read("quarantine").to_pylist()
    assert row["reason"] == "image_of_held_out_patient"
    assert row["item"] == "p_0"


def test_twins_fall_into_one_split_by_setting(hand: ModuleType, context: Context, tmp_path: Path):
    offer(context, near_twins(hand))
    file = named_file(hand, context, tmp_path / "s.csv", p_0="train", p_1="test", p_2="train")
    run_split(context, PairConfig(split_file=file, duplicates="one_split"))
    assert rows(context, "splits", "patient_id", "split") == {
        ("p_0", "test"),
        ("p_1", "test"),
        ("p_2", "train"),
    }


def named_file(hand: ModuleType, context: Context, path: Path, **splits: str) -> Path:
    """A split file of patients by their ids here."""
    path.write_text("patient_id,split\n" + "".join(f"M{p},{s}\n" for p, s in splits.items()))
    context.store.replace_all(
        "links",
        [
            hand.link(
                "patient", p, "patient_id", link_key("patient_id", f"M{p}", key=context.vault.key)
            )
            for p in splits
        ],
    )
    return path


def test_copies_under_another_origin_never_lie_in_two_splits(
    hand: ModuleType, context: Context, tmp_path: Path
):
    offer(context, shifted_twins(hand))
    told = {"p_0": "train", "p_1": "test", "p_2": "train", "p_3": "train", "p_4": "train"}
    file = named_file(hand, context, tmp_path / "splits.csv", **told)
    run_split(context, PairConfig(split_file=file))
    kept = {("p_1", "test"), ("p_3", "train"), ("p_4", "train")}
    assert rows(context, "splits", "patient_id", "split") == kept
    assert rows(context, "quarantine", "item") == {("p_0",), ("p_2",)}


def test_a_late_copy_under_another_origin_takes_training_data_out(
    hand: ModuleType, context: Context, tmp_path: Path
):
    volumes = shifted_twins(hand)
    file = named_file(hand, context, tmp_path / "splits.csv", p_0="train", p_1="test")
    config = PairConfig(split_file=file)
    offer(context, volumes[:1])
    run_split(context, config)
    assert rows(context, "splits", "patient_id") == {("p_0",)}
    offer(context, volumes[:2])
    assert run_split(context, config) == 2
    assert rows(context, "splits", "patient_id") == {("p_1",)}


def test_verify_finds_copies_under_another_origin_in_two_splits(hand: ModuleType, context: Context):
    offer(context, shifted_twins(hand))

    def passed(*splits: str) -> bool:
        made = [
            dataclasses.replace(hand.sample(), sample_id=v, volume_id=v, patient_id=v, split=split)
            for v, split in zip(("v_0", "v_1", "v_2", "v_3"), splits, strict=True)
        ]
        context.store.replace_all("samples", made)
        return {one.name: one.passed for one in verify(context.store)}["each image is in one split"]

    assert passed("test", "test", "test", "train")
    assert not passed("train", "test", "test", "train")
    assert not passed("test", "test", "train", "train")


def test_twins_are_kept_by_setting_and_verify_tells(hand: ModuleType, context: Context):
    volumes = twin_volumes(hand)
    offer(context, volumes)
    run_split(context, PairConfig(duplicates="keep"))
    split_of = dict(rows(context, "splits", "patient_id", "split"))
    assert len(split_of) == 80

    def leak() -> Any:
        made = [
            dataclasses.replace(
                hand.sample(),
                sample_id=row.volume_id,
                volume_id=row.volume_id,
                patient_id=row.patient_id,
                split=split_of[row.patient_id],
            )
            for row in volumes
            if row.patient_id in split_of
        ]
        context.store.replace_all("samples", made)
        checks = {check.name: check for check in verify(context.store)}
        return checks["each image is in one split"]

    assert not leak().passed
    assert leak().examples
    run_split(context, PairConfig())
    split_of = dict(rows(context, "splits", "patient_id", "split"))
    assert len(split_of) < 80
    assert leak().passed


def test_external_file_may_put_twins_together(hand: ModuleType, context: Context, tmp_path: Path):
    offer(context, twin_volumes(hand, pairs=1))
    links = [
        hand.link("patient", f"p_{n}", "patient_id",
                  link_key("patient_id", f"MRN{n}", key=context.vault.key))
        for n in (0, 1)
    ]  # fmt: skip
    context.store.replace_all("links", links)
    file = tmp_path / "splits.csv"
    file.write_text("patient_id,split\nMRN0,train\nMRN1,test\n")
    run_split(context, PairConfig(split_file=file))
    assert rows(context, "splits", "patient_id", "split") == {("p_1", "test")}
    file.write_text("patient_id,split\nMRN0,train\nMRN1,train\n")
    assert run_split(context, PairConfig(split_file=file)) == 2
    assert rows(context, "splits", "patient_id", "split") == {("p_0", "train"), ("p_1", "train")}
    assert context.store.count("quarantine") == 0


def test_a_twin_that_arrives_remakes_its_group_only(hand: ModuleType, context: Context):
    volumes = [*shifted_twins(hand), hand.volume(5, "st_5", "p_5", pixels_sha256="same")]
    stage = split_stage(PairConfig())
    offer(context, volumes[:5])
    assert run(context, stage) == 5
    offer(context, volumes)
    assert due(context, stage) == {"p_0", "p_1", "p_2", "p_5"}
    run(context, stage)
    offer(context, [*volumes, hand.volume(6, "st_6", "p_5"), hand.volume(7, "st_7", "p_6")])
    assert due(context, stage) == {"p_6"}


def test_an_image_that_many_share_makes_one_group(hand: ModuleType, context: Context):
    offer(context, [hand.volume(n, f"st_{n}", f"p_{n}", content_sha256="x") for n in range(60)])
    run(context, split_stage(PairConfig()))
    splits = rows(context, "splits", "split")
    assert len(splits) == 1
    assert context.store.count("splits") + context.store.count("quarantine") == 60


def lines_of(context: Context) -> set[Any]:
    return rows(context, "inputs", "kind", "token", "source", "item", "fingerprint")


def test_lines_of_the_split_file_stand_in_inputs_and_go_with_it(
    hand: ModuleType, context: Context, tmp_path: Path
):
    offered = hand.offered("file", "f_1", "se_1")
    context.store.replace("inputs", ["f_1"], [offered], {"kind": "file"})
    others = lines_of(context)
    file = named_file(hand, context, tmp_path / "splits.csv", p_0="train", p_1="test")
    config = PairConfig(split_file=file)
    assert discover_split(context, config) == {"rows": 2}
    token = {n: link_key("patient_id", f"Mp_{n}", key=context.vault.key) for n in (0, 1)}
    first = ("split", token[0], "split_file", None, "train")
    second = ("split", token[1], "split_file", None, "test")
    assert lines_of(context) == {*others, first, second}
    version = context.store.version("inputs"), context.store.version("ledger")
    discover_split(context, config)
    assert (context.store.version("inputs"), context.store.version("ledger")) == version
    file.write_text("patient_id,split\nMp_1,validation\n")
    discover_split(context, config)
    assert lines_of(context) == {*others, (*second[:4], "validation")}
    assert discover_split(context, PairConfig()) == {}
    assert lines_of(context) == others
    assert context.store.count("ledger") == 0


def test_a_line_that_is_removed_or_changed_remakes_its_patient_and_twins(
    hand: ModuleType, context: Context, tmp_path: Path
):
    offer(context, shifted_twins(hand))
    told = {"p_0": "train", "p_1": "test", "p_2": "train", "p_3": "train", "p_4": "train"}
    config = PairConfig(split_file=named_file(hand, context, tmp_path / "splits.csv", **told))
    run_split(context, config)
    assert rows(context, "splits", "patient_id") == {("p_1",), ("p_3",), ("p_4",)}
    told["p_1"] = "train"
    named_file(hand, context, tmp_path / "splits.csv", **told)
    assert run_split(context, config) == 3
    assert rows(context, "splits", "patient_id", "split", "source") == {
        (p, "train", "file") for p in told
    }
    del told["p_4"]
    named_file(hand, context, tmp_path / "splits.csv", **told)
    assert run_split(context, config) == 1
    assert ("p_4", "train", "file") in rows(context, "splits", "patient_id", "split", "source")


def test_a_patient_of_two_ids_that_are_named_apart_is_held_out(
    hand: ModuleType, context: Context, tmp_path: Path
):
    offer(context, [hand.volume(1, "st_1", "p_1")])
    keys = [link_key("patient_id", f"M{n}", key=context.vault.key) for n in range(3)]
    links = [hand.link("patient", "p_1", "patient_id", key) for key in keys]
    context.store.replace_all("links", links)
    file = tmp_path / "splits.csv"
    file.write_text("patient_id,split\nM0,train\nM1,test\nM2,validation\n")
    run_split(context, PairConfig(split_file=file))
    assert rows(context, "splits", "split", "source") == {("test", "file")}


@pytest.mark.parametrize("damage", ["lost", "doubled", "changed"])
def test_damaged_lines_are_mended_and_move_nobody(
    hand: ModuleType, context: Context, tmp_path: Path, damage: str
):
    offer(context, [hand.volume(n, f"st_{n}", f"p_{n}") for n in range(2)])
    file = named_file(hand, context, tmp_path / "splits.csv", p_0="train", p_1="test")
    config = PairConfig(split_file=file)
    run_split(context, config)
    whole = lines_of(context)
    found = context.store.read("inputs").to_pylist()
    first, second = (type(hand.offered("split", "t", None))(**row) for row in found)
    other = {
        "lost": [second],
        "doubled": [first, first, second],
        "changed": [dataclasses.replace(first, fingerprint="validation"), second],
    }
    context.store.replace_all("inputs", other[damage])
    assert changed_sources(context, "discover_split", "split") == {"split_file"}
    assert run_split(context, config) == 0
    assert lines_of(context) == whole
    assert context.store.count("inputs") == 2
    assert changed_sources(context, "discover_split", "split") == set()


@pytest.mark.parametrize("damage", ["lost", "doubled", "changed"])
def test_damaged_splits_are_made_as_they_were(hand: ModuleType, context: Context, damage: str):
    offer(context, [hand.volume(n, f"st_{n}", f"p_{n}") for n in range(3)])
    stage = split_stage(PairConfig())
    run(context, stage)
    whole = sorted(map(str, context.store.read("splits").to_pylist()))
    first, *others = (Split(**row) for row in context.store.read("splits").to_pylist())
    moved = "test" if first.split == "train" else "train"
    other = {
        "lost": others,
        "doubled": [first, first, *others],
        "changed": [dataclasses.replace(first, split=moved), *others],
    }
    context.store.replace_all("splits", other[damage])
    assert run(context, stage) == 1
    assert sorted(map(str, context.store.read("splits").to_pylist())) == whole


def toy_ingest(volumes: list[Any]) -> Stage:
    """A stage that makes the given candidates."""
    by_series = {volume.series_id: volume for volume in volumes}
    listed = ", ".join(f"('{series}')" for series in by_series)

    def make(batch: Batch) -> Iterator[Outcome]:
        for one in batch.inputs:
            yield Outcome(one.item, {"candidates": [by_series[one.item]]})

    return Stage(
        name="ingest",
        version=1,
        settings={},
        tables=("candidates",),
        items=f"SELECT * FROM (VALUES {listed}) v(item)",
        make=make,
        batch_size=10,
    )


def test_images_that_are_lost_move_nobody_out_of_a_held_out_group(
    hand: ModuleType, context: Context, tmp_path: Path
):
    """Twins are known by their images: where these are damaged, nothing is decided."""
    volumes = shifted_twins(hand)[:2]
    offer(context, volumes)
    file = named_file(hand, context, tmp_path / "splits.csv", p_0="train", p_1="test")
    stage = split_stage(PairConfig(split_file=file))
    discover_split(context, PairConfig(split_file=file))
    ingest = toy_ingest(volumes)
    run(context, ingest)
    run(context, stage)
    assert rows(context, "splits", "patient_id") == {("p_1",)}
    context.store.replace_all("candidates", [])
    work = pending(context, stage, [ingest])
    assert (work.batches, work.obsolete) == ((), ())
    context.store.replace_all("volumes", [])
    assert pending(context, stage, [ingest]).obsolete == ()
