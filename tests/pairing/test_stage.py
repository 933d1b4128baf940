from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType, ModuleType
from typing import Any

import pytest

import schemas
from fvlm_data.pairing.config import PairConfig, SignatureConfig, SplitFractions
from fvlm_data.pairing.stage import pair_stage
from fvlm_data.pairing.waiting import derive_waiting
from fvlm_data.reports.rows import told_of_report
from fvlm_data.reports.versions.original_reports import unpacked
from fvlm_data.store.commits import retire, settle
from fvlm_data.store.declared import Context, Stage
from fvlm_data.store.planning import pending
from fvlm_data.vocabulary import Vocabulary
from schemas import Quarantined, ReportMatch, VolumeCheck, Waiting

EN = Vocabulary.load()


def run(context: Context, stage: Stage) -> int:
    """Settle what is to do; returns how many items that were."""
    work = pending(context, stage)
    retire(context, stage, [*work.obsolete, *work.mended])
    for batch in work.batches:
        settle(context, stage, batch)
    return sum(len(batch) for batch in work.batches)


def due(context: Context, stage: Stage) -> list[str]:
    return [item.id for batch in pending(context, stage).batches for item in batch]


def rows(context: Context, table: str, *columns: str) -> set[Any]:
    found = context.store.read(table, columns).to_pylist()
    return {tuple(row[column] for column in columns) for row in found}


def add_report(
    hand: ModuleType,
    context: Context,
    number: int,
    studies: Mapping[str, str],
    *,
    links: Sequence[tuple[str, str]] = (),
    told: Mapping[str, str] = MappingProxyType({}),
    text: str = "",
) -> None:
    """A report of studies, each with the kind of link that joins them, parsed and kept."""
    report = f"r_{number}"
    store = context.store
    row = hand.report(number, text) if text else hand.report(number)
    original = unpacked({"report": row.text, **told})
    known = told_of_report(original, {"p_1"}, context.vault.key, EN)
    store.replace("reports", [report], [dataclasses.replace(row, **known)])
    said = hand.sentence(0, "findings", "Liver cyst.", report_id=report, liver="abnormal")
    store.replace("sentences", [report], [said])
    store.replace("findings", [report], [hand.finding(0, "cyst", report_id=report)])
    store.replace("links", [report], [hand.link("report", report, *one) for one in links])
    offered = hand.offered("report", f"{report}.0", report)
    store.replace("inputs", [offered.token], [offered], {"kind": "report"})
    match_report(context, report, studies)


def match_report(context: Context, report: str, studies: Mapping[str, str]) -> None:
    """What stage `match` writes of a report."""
    joined = [
        ReportMatch(report_id=report, owner_kind="study", owner_id=study, matched_by=kind)
        for study, kind in studies.items()
    ]
    whom = ReportMatch(report_id=report, owner_kind="patient", owner_id="p_1", matched_by="")
    context.store.replace("report_matches", [report], [*joined, whom])


UID = {"st_1": "study_uid"}


@pytest.fixture
def two_studies(hand: ModuleType, context: Context) -> Context:
    context.store.replace_all(
        "volumes",
        [hand.volume(1, "st_1"), hand.volume(2, "st_1"), hand.volume(3, "st_2", "p_2")],
    )
    return context


def test_study_and_report_meet(hand: ModuleType, two_studies: Context):
    add_report(hand, two_studies, 1, UID)
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
    add_report(hand, two_studies, 1, {"st_1": "accession", "st_2": "accession"})
    add_report(hand, two_studies, 2, {"st_1": "volume_name"})
    run(two_studies, pair_stage(PairConfig(), EN))
    assert rows(two_studies, "study_reports", "study_id", "report_id", "matched_by") == {
        ("st_1", "r_1", "accession"),
        ("st_1", "r_2", "volume_name"),
        ("st_2", "r_1", "accession"),
    }


def test_report_that_is_set_aside_gives_a_study_nothing(hand: ModuleType, two_studies: Context):
    match_report(two_studies, "r_9", UID)
    stage = pair_stage(PairConfig(), EN)
    assert run(two_studies, stage) == 0
    add_report(hand, two_studies, 1, UID)
    assert run(two_studies, stage) == 1
    assert rows(two_studies, "study_reports", "report_id") == {("r_1",)}


def test_batches_of_one_study_give_what_one_batch_gives(hand: ModuleType, two_studies: Context):
    add_report(hand, two_studies, 1, {"st_1": "accession", "st_2": "accession"})
    add_report(hand, two_studies, 3, {"st_2": "study_uid"}, told={"about addendum": "1"})
    add_report(hand, two_studies, 4, {"st_2": "study_uid"})
    tables = ("study_reports", "anatomy_texts", "cross_checks", "quarantine")

    def made(batch_size: int) -> list[list[str]]:
        stage = dataclasses.replace(pair_stage(PairConfig(), EN), batch_size=batch_size)
        retire(two_studies, stage, ["st_1", "st_2"])
        assert run(two_studies, stage) == 2
        return [sorted(map(str, two_studies.store.read(one).to_pylist())) for one in tables]

    assert made(1) == made(2)
    order = rows(two_studies, "study_reports", "study_id", "report_id", "order")
    assert {("st_2", "r_1", 0), ("st_2", "r_4", 1), ("st_2", "r_3", 2)} < order


def test_study_whose_report_has_just_left_is_tried_again(hand: ModuleType, two_studies: Context):
    add_report(hand, two_studies, 1, UID)
    stage = pair_stage(PairConfig(), EN)
    work = pending(two_studies, stage)
    two_studies.store.replace("reports", ["r_1"], [])
    counts = settle(two_studies, stage, work.batches[0])
    assert counts["fault:inputs_gone"] == 1
    assert two_studies.store.count("ledger") == 0
    add_report(hand, two_studies, 1, UID)
    assert due(two_studies, stage) == ["st_1"]


def test_addendum_comes_last(hand: ModuleType, two_studies: Context):
    add_report(hand, two_studies, 1, UID, text="ADDENDUM: none.")
    add_report(hand, two_studies, 2, UID)
    run(two_studies, pair_stage(PairConfig(), EN))
    assert rows(two_studies, "study_reports", "report_id", "order") == {("r_2", 0), ("r_1", 1)}


def test_reports_stand_in_the_order_of_their_time(hand: ModuleType, two_studies: Context):
    for number, issued, addendum in (
        (1, "20210306", "1"),
        (2, "20210305", "1"),
        (3, "20210307", ""),
    ):
        told = {"about issued": issued, "about addendum": addendum}
        add_report(hand, two_studies, number, UID, told=told)
    run(two_studies, pair_stage(PairConfig(), EN))
    assert rows(two_studies, "study_reports", "report_id", "order") == {
        ("r_3", 0),
        ("r_2", 1),
        ("r_1", 2),
    }


def test_another_time_of_a_report_orders_them_anew(hand: ModuleType, two_studies: Context):
    stage = pair_stage(PairConfig(), EN)
    for issued, order in (("20210301", ["r_1", "r_2"]), ("20210308", ["r_2", "r_1"])):
        add_report(hand, two_studies, 1, UID, told={"about issued": issued})
        add_report(hand, two_studies, 2, UID, told={"about issued": "20210305"})
        assert run(two_studies, stage) == 1
        assert rows(two_studies, "study_reports", "report_id", "order") == {
            (report, place) for place, report in enumerate(order)
        }


def test_reports_of_one_request_that_may_be_versions_are_told(
    hand: ModuleType, two_studies: Context
):
    stage = pair_stage(PairConfig(), EN)
    request = [("accession", "acc")]
    add_report(hand, two_studies, 1, UID, links=request)
    add_report(hand, two_studies, 2, UID, links=request)
    run(two_studies, stage)
    (check,) = two_studies.store.read("cross_checks").to_pylist()
    assert (check["check"], check["said"]) == ("unclear_versions", "r_1 r_2")
    assert check["sources"] == ["r_1:0:11", "r_2:0:11"]
    add_report(hand, two_studies, 2, UID, links=[("accession", "other")])
    assert run(two_studies, stage) == 1
    assert two_studies.store.count("cross_checks") == 0


def test_second_run_has_nothing_to_do_and_a_late_report_only_its_study(
    hand: ModuleType, two_studies: Context
):
    add_report(hand, two_studies, 1, UID)
    stage = pair_stage(PairConfig(), EN)
    assert run(two_studies, stage) == 1
    assert run(two_studies, stage) == 0
    add_report(hand, two_studies, 2, {"st_2": "study_uid"})
    assert due(two_studies, stage) == ["st_2"]
    run(two_studies, stage)
    add_report(hand, two_studies, 3, UID)
    assert due(two_studies, stage) == ["st_1"]


def changed(context: Context, table: str, **values: Any) -> None:
    """All rows of a table with other values."""
    row = schemas.TABLES[table].row
    found = context.store.read(table).to_pylist()
    lists = [{k: tuple(v) if isinstance(v, list) else v for k, v in one.items()} for one in found]
    context.store.replace_all(table, [row(**{**one, **values}) for one in lists])


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("masks", {"backend_version": "2", "path": "masks/y", "content_sha256": "1" * 64}),
        ("reports", {"source_files": ("reports/elsewhere",)}),
        ("findings", {"severity": "mild", "size_mm": 12.0, "location": "left lobe"}),
        ("volumes", {"content_sha256": "1" * 64, "path": "volumes/y", "sex": "F"}),
        ("volume_checks", {"contrast": "enhanced", "flags": ("odd",)}),
        ("inputs", {"source": "elsewhere", "size_bytes": 7}),
    ],
)
def test_what_pair_does_not_read_remakes_nothing(
    hand: ModuleType, two_studies: Context, table: str, values: dict[str, Any]
):
    add_report(hand, two_studies, 1, UID)
    fill_images(hand, two_studies)
    stage = pair_stage(PairConfig(), EN)
    assert run(two_studies, stage) == 1
    changed(two_studies, table, **values)
    assert due(two_studies, stage) == []


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("masks", {"volume_ml": 300.0}),
        ("sentences", {"start": 5}),
        ("findings", {"status": "uncertain"}),
        ("volumes", {"age_years": 4.0}),
        ("volume_checks", {"body_region": "chest"}),
        ("report_matches", {"matched_by": "accession"}),
    ],
)
def test_what_pair_reads_remakes_the_study(
    hand: ModuleType, two_studies: Context, table: str, values: dict[str, Any]
):
    add_report(hand, two_studies, 1, UID)
    fill_images(hand, two_studies)
    stage = pair_stage(PairConfig(), EN)
    run(two_studies, stage)
    changed(two_studies, table, **values)
    assert due(two_studies, stage) == ["st_1"]


def fill_images(hand: ModuleType, context: Context) -> None:
    check = VolumeCheck(volume_id="v_1", body_region="abdomen", contrast="unknown", flags=())
    context.store.replace_all("masks", [hand.mask("v_1", "masks/x")])
    context.store.replace_all("volume_checks", [check])


def test_fields_of_the_signature_decide_where_they_are_asked_for(
    hand: ModuleType, two_studies: Context
):
    add_report(hand, two_studies, 1, UID)
    stage = pair_stage(PairConfig(signature=SignatureConfig(severity=True)), EN)
    run(two_studies, stage)
    changed(two_studies, "findings", location="left lobe")
    assert due(two_studies, stage) == []
    changed(two_studies, "findings", severity="severe")
    assert run(two_studies, stage) == 1
    found = rows(two_studies, "anatomy_texts", "anatomy", "signature")
    changed(two_studies, "findings", severity="mild")
    run(two_studies, stage)
    assert rows(two_studies, "anatomy_texts", "anatomy", "signature") != found


def test_new_setting_does_all_studies_again_but_split_settings_none(
    hand: ModuleType, two_studies: Context
):
    add_report(hand, two_studies, 1, UID)
    run(two_studies, pair_stage(PairConfig(), EN))
    other = PairConfig(split=SplitFractions(train=1.0, validation=0.0, test=0.0))
    assert run(two_studies, pair_stage(other, EN)) == 0
    assert run(two_studies, pair_stage(PairConfig(normal="reference"), EN)) == 1


def test_report_that_leaves_takes_its_texts_along(hand: ModuleType, two_studies: Context):
    add_report(hand, two_studies, 1, UID)
    stage = pair_stage(PairConfig(), EN)
    run(two_studies, stage)
    for table in ("reports", "sentences", "findings", "links"):
        two_studies.store.replace(table, ["r_1"], [])
    run(two_studies, stage)
    assert two_studies.store.count("anatomy_texts") == 0
    assert two_studies.store.count("study_reports") == 0
    assert two_studies.store.count("ledger") == 0


def waits(context: Context) -> set[Any]:
    return rows(context, "waiting", "owner_kind", "owner_id", "waits_for", "since_run")


def test_waiting_follows_the_tables(hand: ModuleType, two_studies: Context):
    derive_waiting(two_studies)
    assert waits(two_studies) == {
        ("study", "st_1", "report", "run"),
        ("study", "st_2", "report", "run"),
    }
    add_report(hand, two_studies, 1, UID)
    add_report(hand, two_studies, 2, {})
    run(two_studies, pair_stage(PairConfig(), EN))
    later = Context(two_studies.store, two_studies.vault, "later")
    assert derive_waiting(later) == 3
    assert waits(two_studies) == {
        ("study", "st_1", "mask", "later"),
        ("study", "st_2", "report", "run"),
        ("report", "r_2", "study", "later"),
    }
    two_studies.store.replace_all("masks", [hand.mask("v_2", "masks/x")])
    derive_waiting(later)
    assert waits(two_studies) == {
        ("study", "st_2", "report", "run"),
        ("report", "r_2", "study", "later"),
    }


@pytest.mark.parametrize(("stage", "item"), [("match", "r_2"), ("pair", "st_2")])
def test_what_matching_or_pairing_sets_aside_does_not_wait(
    hand: ModuleType, two_studies: Context, stage: str, item: str
):
    add_report(hand, two_studies, 2, {})
    derive_waiting(two_studies)
    assert item in {owner for _, owner, _, _ in waits(two_studies)}
    set_aside(two_studies, stage, item)
    derive_waiting(two_studies)
    assert item not in {owner for _, owner, _, _ in waits(two_studies)}
    assert ("study", "st_1", "report", "run") in waits(two_studies)


def set_aside(context: Context, stage: str, item: str) -> None:
    fault = Quarantined(
        kind="fault", stage=stage, item=item, reason="r", detail="d", source_files=()
    )
    context.store.replace("quarantine", [item], [fault], {"stage": stage})


def test_study_whose_volumes_are_all_set_aside_waits_for_no_mask(
    hand: ModuleType, two_studies: Context
):
    add_report(hand, two_studies, 1, UID)
    run(two_studies, pair_stage(PairConfig(), EN))
    for number, left in ((1, True), (2, False)):
        set_aside(two_studies, "segment:total", f"v_{number}")
        derive_waiting(two_studies)
        waiting = rows(two_studies, "waiting", "owner_id", "waits_for")
        assert (("st_1", "mask") in waiting) == left


def test_waiting_is_not_written_anew_where_nothing_changed(two_studies: Context):
    derive_waiting(two_studies)
    before = two_studies.store.files("tables/waiting")
    assert derive_waiting(Context(two_studies.store, two_studies.vault, "later")) == 2
    assert two_studies.store.files("tables/waiting") == before


@pytest.mark.parametrize("damage", ["lost", "doubled", "changed", "strange"])
def test_damaged_row_of_waiting_is_made_anew(two_studies: Context, damage: str):
    derive_waiting(two_studies)
    whole = waits(two_studies)
    first, second = (Waiting(**row) for row in two_studies.store.read("waiting").to_pylist())
    other = {
        "lost": [second],
        "doubled": [first, first, second],
        "changed": [dataclasses.replace(first, waits_for="mask"), second],
        "strange": [first, second, dataclasses.replace(first, owner_id="st_3")],
    }
    two_studies.store.replace_all("waiting", other[damage])
    assert derive_waiting(two_studies) == 2
    assert two_studies.store.count("waiting") == 2
    assert waits(two_studies) == whole


def test_waiting_is_written_in_parts_where_much_changed(
    hand: ModuleType, context: Context, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fvlm_data.pairing.waiting.OWNERS_A_COMMIT", 3)
    context.store.replace_all("volumes", [hand.volume(n, f"st_{n}") for n in range(8)])
    assert derive_waiting(context) == 8
    assert waits(context) == {("study", f"st_{n}", "report", "run") for n in range(8)}
    context.store.replace_all("volumes", [hand.volume(n, f"st_{n}") for n in range(4, 8)])
    assert derive_waiting(context) == 4
    assert waits(context) == {("study", f"st_{n}", "report", "run") for n in range(4, 8)}
