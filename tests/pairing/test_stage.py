from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fvlm_data.errors import InputError
from fvlm_data.identity.ids import link_key
from fvlm_data.inspect.verify import verify
from fvlm_data.pairing.config import PairConfig, SplitFractions
from fvlm_data.pairing.matching import match_all, match_items
from fvlm_data.pairing.split_stage import split_stage
from fvlm_data.pairing.splits import assign_split
from fvlm_data.pairing.stage import derive_waiting, pair_stage
from fvlm_data.store.stage import Context, Item, Stage, pending, retire, settle
from fvlm_data.store.tables import Store
from fvlm_data.vocabulary import Vocabulary
from schemas import LedgerRow, Link, Quarantined

EN = Vocabulary.load()


def run(context: Context, stage: Stage) -> int:
    """Settle what is to do; returns how many items that were."""
    work = pending(context, stage)
    retire(context, stage, work.obsolete)
    for batch in work.batches:
        settle(context, stage, batch)
    return sum(len(batch) for batch in work.batches)


def rows(context: Context, table: str, *columns: str) -> set[Any]:
    found = context.store.read(table, columns).to_pylist()
    return {tuple(row[column] for column in columns) for row in found}


def add_report(hand: ModuleType, context: Context, number: int, links: list[Any], **more: Any):
    report = f"r_{number}"
    told = more.pop("told", {})
    row = hand.report(number, **more)
    context.store.replace("reports", [report], [row])
    context.vault.remember_reports({report: {"report": row.text, **told}})
    said = hand.sentence(0, "findings", "Liver cyst.", report_id=report, liver="abnormal")
    context.store.replace("sentences", [report], [said])
    context.store.replace("findings", [report], [hand.finding(0, "cyst", report_id=report)])
    context.store.replace("links", [report], [hand.link("report", report, *one) for one in links])
    settled = LedgerRow(stage="reports", item=report, key="k", outcome="accepted", run_id="run")
    context.store.replace("ledger", [report], [settled], {"stage": "reports"})


@pytest.fixture
def two_studies(hand: ModuleType, context: Context) -> Context:
    context.store.replace_all(
        "volumes",
        [hand.volume(1, "st_1"), hand.volume(2, "st_1"), hand.volume(3, "st_2", "p_2")],
    )
    context.store.replace_all(
        "links",
        [
            hand.link("study", "st_1", "study_uid", "uid1", "se_1"),
            hand.link("study", "st_2", "study_uid", "uid2", "se_3"),
            hand.link("series", "se_2", "volume_name", "a_2"),
            hand.link("study", "st_1", "accession", "acc", "se_1"),
            hand.link("study", "st_2", "accession", "acc", "se_3"),
        ],
    )
    return context


def test_study_and_report_meet(hand: ModuleType, two_studies: Context):
    add_report(hand, two_studies, 1, [("study_uid", "uid1")])
    run(two_studies, pair_stage(PairConfig(), EN))
    assert rows(two_studies, "study_reports", "study_id", "report_id", "matched_by") == {
        ("st_1", "r_1", "study_uid")
    }
    texts = {row["anatomy"]: row for row in two_studies.store.read("anatomy_texts").to_pylist()}
    assert texts.keys() == {anatomy.id for anatomy in EN.anatomies}
    assert texts["liver"]["state"] == "abnormal"
    assert texts["liver"]["text"] == "Liver cyst."
    assert texts["spleen"]["state"] == "not_mentioned"


def test_report_of_two_studies_and_study_of_two_reports(hand: ModuleType, two_studies: Context):
    volumes = [hand.volume(1, "st_1"), hand.volume(2, "st_1"), hand.volume(3, "st_2")]
    two_studies.store.replace_all("volumes", volumes)
    add_report(hand, two_studies, 1, [("accession", "acc")])
    add_report(hand, two_studies, 2, [("volume_name", "a_2")])
    run(two_studies, pair_stage(PairConfig(), EN))
    assert rows(two_studies, "study_reports", "study_id", "report_id") == {
        ("st_1", "r_1"),
        ("st_1", "r_2"),
        ("st_2", "r_1"),
    }


def test_batch_reads_only_what_its_items_need_and_matches_the_same(
    hand: ModuleType, two_studies: Context, monkeypatch: pytest.MonkeyPatch
):
    add_report(hand, two_studies, 1, [("accession", "acc")])
    add_report(hand, two_studies, 2, [("volume_name", "a_2")])
    add_report(hand, two_studies, 3, [("study_uid", "uid2")], told={"about addendum": "1"})
    add_report(hand, two_studies, 4, [("study_uid", "uid2")])
    add_report(hand, two_studies, 5, [("study_uid", "uid2"), ("volume_name", "a_2")])
    every = match_all(two_studies, EN)
    assert every.by_study == {
        "st_1": [("r_2", "volume_name")],
        "st_2": [("r_4", "study_uid"), ("r_3", "study_uid")],
    }
    assert set(every.conflicts) == {"r_1", "r_5"}

    read = Store.read

    def narrow(store: Store, table: str, columns: Any = None, where: Any = None) -> Any:
        assert where, f"table {table} is read whole"
        return read(store, table, columns, where)

    monkeypatch.setattr(Store, "read", narrow)
    for study, reports in every.by_study.items():
        assert match_items(two_studies, EN, [study]).by_study[study] == reports
    assert match_items(two_studies, EN, ["r_5"]).conflicts == {"r_5": every.conflicts["r_5"]}
    run_batch = pair_stage(PairConfig(), EN).run
    outcomes = list(run_batch(two_studies, [Item("st_2", "k"), Item("r_1", "k")]))
    assert [one.item for one in outcomes] == ["st_2", "r_1"]
    assert [len(one.rows.get("study_reports", ())) for one in outcomes] == [2, 0]


def test_study_whose_report_has_just_left_is_tried_again(two_studies: Context):
    (outcome,) = pair_stage(PairConfig(), EN).run(two_studies, [Item("st_1", "k")])
    assert outcome.retry
    assert [reject.reason for reject in outcome.rejects] == ["inputs_gone"]


def test_addendum_comes_last(hand: ModuleType, two_studies: Context):
    add_report(hand, two_studies, 1, [("study_uid", "uid1")], text="ADDENDUM: none.")
    add_report(hand, two_studies, 2, [("study_uid", "uid1")])
    run(two_studies, pair_stage(PairConfig(), EN))
    assert rows(two_studies, "study_reports", "report_id", "order") == {("r_2", 0), ("r_1", 1)}


def test_reports_stand_in_the_order_of_their_time(hand: ModuleType, two_studies: Context):
    for number, issued, addendum in (
        (1, "20210306", "1"),
        (2, "20210305", "1"),
        (3, "20210307", ""),
    ):
        told = {"about issued": issued, "about addendum": addendum}
        add_report(hand, two_studies, number, [("study_uid", "uid1")], told=told)
    run(two_studies, pair_stage(PairConfig(), EN))
    assert rows(two_studies, "study_reports", "report_id", "order") == {
        ("r_3", 0),
        ("r_2", 1),
        ("r_1", 2),
    }


def test_accession_of_two_patients_is_set_aside_unless_the_patient_is_told(
    hand: ModuleType, two_studies: Context
):
    patient = hand.link("patient", "p_2", "patient_id", "doe", "se_3")
    two_studies.store.replace("links", ["se_3"], [*_links_of(two_studies, "se_3"), patient])
    add_report(hand, two_studies, 1, [("accession", "acc")])
    add_report(hand, two_studies, 2, [("accession", "acc"), ("patient_id", "doe")])
    add_report(hand, two_studies, 3, [("study_uid", "uid1"), ("patient_id", "doe")])
    run(two_studies, pair_stage(PairConfig(), EN))
    assert rows(two_studies, "study_reports", "study_id", "report_id") == {("st_2", "r_2")}
    assert rows(two_studies, "quarantine", "item", "reason") == {
        ("r_1", "ambiguous_links"),
        ("r_3", "conflicting_links"),
    }


def _links_of(context: Context, stated_by: str) -> list[Link]:
    rows_there = context.store.read_items("links", "stated_by", [stated_by])
    return [Link(**row) for row in rows_there]


def test_second_run_has_nothing_to_do_and_a_late_report_only_its_study(
    hand: ModuleType, two_studies: Context
):
    add_report(hand, two_studies, 1, [("study_uid", "uid1")])
    stage = pair_stage(PairConfig(), EN)
    assert run(two_studies, stage) == 1
    assert run(two_studies, stage) == 0
    add_report(hand, two_studies, 2, [("study_uid", "uid2")])
    assert [item.id for batch in pending(two_studies, stage).batches for item in batch] == ["st_2"]
    run(two_studies, stage)
    add_report(hand, two_studies, 3, [("study_uid", "uid1")])
    assert [item.id for batch in pending(two_studies, stage).batches for item in batch] == ["st_1"]


def test_new_setting_does_all_studies_again_but_split_settings_none(
    hand: ModuleType, two_studies: Context
):
    add_report(hand, two_studies, 1, [("study_uid", "uid1")])
    run(two_studies, pair_stage(PairConfig(), EN))
    other = PairConfig(split=SplitFractions(train=1.0, validation=0.0, test=0.0))
    assert run(two_studies, pair_stage(other, EN)) == 0
    assert run(two_studies, pair_stage(PairConfig(normal="reference"), EN)) == 1


def test_report_in_conflict_is_set_aside_until_it_is_mended(hand: ModuleType, two_studies: Context):
    add_report(hand, two_studies, 1, [("study_uid", "uid2"), ("volume_name", "a_2")])
    stage = pair_stage(PairConfig(), EN)
    run(two_studies, stage)
    aside = two_studies.store.read("quarantine").to_pylist()
    assert [(row["item"], row["reason"]) for row in aside] == [("r_1", "conflicting_links")]
    assert "its study_uid and its volume_name name different studies" in aside[0]["detail"]
    assert two_studies.store.count("study_reports") == 0
    derive_waiting(two_studies)
    assert ("report", "r_1") not in rows(two_studies, "waiting", "owner_kind", "owner_id")
    add_report(hand, two_studies, 1, [("volume_name", "a_2")])
    run(two_studies, stage)
    assert two_studies.store.count("quarantine") == 0
    assert rows(two_studies, "study_reports", "study_id", "report_id") == {("st_1", "r_1")}


def test_report_that_leaves_takes_its_texts_along(hand: ModuleType, two_studies: Context):
    add_report(hand, two_studies, 1, [("study_uid", "uid1")])
    stage = pair_stage(PairConfig(), EN)
    run(two_studies, stage)
    for table in ("reports", "sentences", "findings", "links"):
        two_studies.store.replace(table, ["r_1"], [])
    run(two_studies, stage)
    assert two_studies.store.count("anatomy_texts") == 0
    assert two_studies.store.count("study_reports") == 0


def test_waiting_follows_the_tables(hand: ModuleType, two_studies: Context):
    def waits() -> set[Any]:
        return rows(two_studies, "waiting", "owner_kind", "owner_id", "waits_for", "since_run")

    derive_waiting(two_studies)
    assert waits() == {("study", "st_1", "report", "run"), ("study", "st_2", "report", "run")}
    add_report(hand, two_studies, 1, [("study_uid", "uid1")])
    add_report(hand, two_studies, 2, [("study_uid", "elsewhere")])
    run(two_studies, pair_stage(PairConfig(), EN))
    later = Context(two_studies.store, two_studies.vault, "later")
    assert derive_waiting(later) == 3
    assert waits() == {
        ("study", "st_1", "mask", "later"),
        ("study", "st_2", "report", "run"),
        ("report", "r_2", "study", "later"),
    }
    two_studies.store.replace_all("masks", [hand.mask("v_2", "masks/x")])
    derive_waiting(later)
    assert waits() == {("study", "st_2", "report", "run"), ("report", "r_2", "study", "later")}


def test_study_whose_volumes_are_all_set_aside_waits_for_no_mask(
    hand: ModuleType, two_studies: Context
):
    add_report(hand, two_studies, 1, [("study_uid", "uid1")])
    run(two_studies, pair_stage(PairConfig(), EN))
    for number, left in ((1, True), (2, False)):
        fault = Quarantined(
            kind="fault",
            stage="segment:total",
            item=f"v_{number}",
            reason="r",
            detail="d",
            source_files=(),
        )
        two_studies.store.replace("quarantine", [fault.item], [fault], {"stage": fault.stage})
        derive_waiting(two_studies)
        waiting = rows(two_studies, "waiting", "owner_id", "waits_for")
        assert (("st_1", "mask") in waiting) == left


def test_waiting_is_not_written_anew_where_nothing_changed(two_studies: Context):
    derive_waiting(two_studies)
    before = two_studies.store.files("tables/waiting")
    derive_waiting(Context(two_studies.store, two_studies.vault, "later"))
    assert two_studies.store.files("tables/waiting") == before


def test_splits_stay_under_growth_and_new_shares(hand: ModuleType, context: Context):
    volumes = [hand.volume(n, f"st_{n}", f"p_{n}") for n in range(60)]
    context.store.replace_all("volumes", volumes[:30])
    run(context, split_stage(PairConfig()))
    before = rows(context, "splits", "patient_id", "split")
    assert len(before) == 30
    context.store.replace_all("volumes", volumes)
    assert run(context, split_stage(PairConfig())) == 30
    everybody = PairConfig(split=SplitFractions(train=0.0, validation=0.0, test=1.0))
    run(context, split_stage(everybody))
    after = rows(context, "splits", "patient_id", "split")
    assert before <= after
    assert len(after) == 60


def test_growth_in_steps_gives_the_splits_of_one_go(hand: ModuleType, context: Context):
    volumes = [hand.volume(n, f"st_{n}", f"p_{n}") for n in range(40)]
    context.store.replace_all("volumes", volumes)
    run(context, split_stage(PairConfig()))
    at_once = rows(context, "splits", "patient_id", "split", "source")
    for table in ("splits", "ledger"):
        context.store.replace_all(table, [])
    for size in (40, 7, 23, 40):
        context.store.replace_all("volumes", volumes[-size:])
        run(context, split_stage(PairConfig()))
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
    run(context, split_stage(PairConfig()))
    file = tmp_path / "splits.csv"
    file.write_text("patient_id,split\n" + "".join(f"mrn{n},test\n" for n in range(10)))
    named = PairConfig(split_file=file)
    assert run(context, split_stage(named)) == 10
    wanted = {(f"p_{n}", "test", "file") for n in range(10)}
    assert wanted <= rows(context, "splits", "patient_id", "split", "source")
    run(context, split_stage(PairConfig()))
    assert wanted <= rows(context, "splits", "patient_id", "split", "source")


def test_split_file_that_names_nobody_of_the_store_stops_the_run(
    hand: ModuleType, context: Context, tmp_path: Path
):
    context.store.replace_all("volumes", [hand.volume(1, "st_1", "p_1")])
    key = link_key("patient_id", "00123", key=context.vault.key)
    context.store.replace_all("links", [hand.link("patient", "p_1", "patient_id", key)])
    file = tmp_path / "splits.csv"
    file.write_text("patient_id,split\n123,test\n124,train\n")
    with pytest.raises(InputError, match="names 2 patients, none of the store's 1; expected ids"):
        run(context, split_stage(PairConfig(split_file=file)))
    assert context.store.count("splits") == 0
    context.store.replace_all("links", [])  # a store whose images come later
    context.store.replace_all("volumes", [])
    assert run(context, split_stage(PairConfig(split_file=file))) == 0


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
    run(context, split_stage(PairConfig(split=halves)))
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
    run(context, split_stage(PairConfig(split_file=file)))
    kept = {("p_1", "test"), ("p_3", "train"), ("p_4", "train")}
    assert rows(context, "splits", "patient_id", "split") == kept
    assert rows(context, "quarantine", "item") == {("p_0",), ("p_2",)}


def test_a_late_copy_under_another_origin_takes_training_data_out(
    hand: ModuleType, context: Context, tmp_path: Path
):
    volumes = shifted_twins(hand)
    file = named_file(hand, context, tmp_path / "splits.csv", p_0="train", p_1="test")
    stage = split_stage(PairConfig(split_file=file))
    offer(context, volumes[:1])
    run(context, stage)
    assert rows(context, "splits", "patient_id") == {("p_0",)}
    offer(context, volumes[:2])
    assert run(context, stage) == 2
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
    run(context, split_stage(PairConfig(duplicates="keep")))
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
    run(context, split_stage(PairConfig()))
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
    run(context, split_stage(PairConfig(split_file=file)))
    assert rows(context, "splits", "patient_id", "split") == {("p_1", "test")}
    file.write_text("patient_id,split\nMRN0,train\nMRN1,train\n")
    assert run(context, split_stage(PairConfig(split_file=file))) == 2
    assert rows(context, "splits", "patient_id", "split") == {("p_0", "train"), ("p_1", "train")}
    assert context.store.count("quarantine") == 0
