"""Change over time: what two reports of a patient say of a finding, and what label they give."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fvlm_data.export.change.linked import study_pairs
from fvlm_data.export.change.row import TABLE
from schemas import StudyReport
from tests.core.hand_store import sample
from tests.export.exporting import exported
from tests.export.over_time import Visit, made_store, table_of, visit

DOCS = Path(__file__).resolve().parents[2] / "docs" / "export.md"
JUNE, JULY, AUGUST = "2020-06-01", "2020-07-01", "2020-08-01"


def changes(folder: Path, *visits: Visit, **more: Any) -> list[dict[str, Any]]:
    store = made_store(folder, *visits, **more)
    return table_of("change", store, folder, "pairs_over_time.parquet")


def two(folder: Path, prior: str, current: str) -> list[dict[str, Any]]:
    """Rows of two studies of one report each."""
    return changes(folder, visit("st_a", JUNE, prior), visit("st_b", JULY, current))


EFFUSION = "There is a pleural effusion."
NO_EFFUSION = "No pleural effusion."
CYST = "There is a cyst in the liver."


WORDS: list[Any] = [
        (NO_EFFUSION, EFFUSION, "new", "presence", []),
        (EFFUSION, NO_EFFUSION, "resolved", "presence", []),
        (EFFUSION, EFFUSION, None, None, []),
        (NO_EFFUSION, NO_EFFUSION, None, None, []),
        (CYST, EFFUSION, None, None, []),
        (EFFUSION, "The pleural effusion has increased.", "larger", "words", []),
        (EFFUSION, "The pleural effusion has decreased.", "smaller", "words", []),
        (EFFUSION, "No increase in the pleural effusion.", "unchanged", "words", []),
        (EFFUSION, "The pleural effusion has resolved.", "resolved", "words", []),
        (NO_EFFUSION, "New pleural effusion.", "new", "words", []),
        # "no new" does not deny the old one
        (EFFUSION, "No new pleural effusion.", None, None, []),
        ("There is a possible pleural effusion.", EFFUSION, None, None, []),
        (EFFUSION, "New pleural effusion.", None, None, ["word_against_presence"]),
        (NO_EFFUSION, "Stable pleural effusion.", None, None, ["word_against_presence"]),
        (EFFUSION, "The pleural effusion has increased. IMPRESSION: Stable pleural effusion.",
         None, None, ["words_differ"]),
]  # fmt: skip
SIZES: list[Any] = [
        # two units, in one report and in two
        (CYST, "The liver cyst measures 2.1 cm, previously 18 mm.", "larger", [], []),
        ("Liver cyst of 3 cm.", "Liver cyst of 18 mm.", "smaller", [], []),
        ("Liver cyst of 2 cm.", "Liver cyst of 20 mm.", "unchanged", [], []),
        # what measuring may differ says nothing
        ("Liver cyst of 2 cm.", "Liver cyst of 21 mm.", None, [], []),
        # smaller than 5 mm is no size of today
        (CYST, "Liver cyst less than 5 mm, previously 12 mm.", None, [], []),
        # of two cysts one is not told from the other
        ("Liver cyst of 2 cm. Another liver cyst of 9 mm.", "Liver cyst of 30 mm.", None, [],
         ["several_sizes"]),
        (CYST, "Liver cyst 21 mm, previously 18 mm, unchanged.", None, ["word_against_sizes"], []),
        ("Liver cyst of 30 mm.", "The cyst of 20 mm in the liver has grown.", None,
         ["word_against_sizes"], []),
        ("No liver cyst.", "The liver cyst measures 21 mm, previously 18 mm.", None,
         ["sizes_against_presence"], []),
        # the earlier size is told otherwise by the report of its own day
        ("Liver cyst of 10 mm.", "The liver cyst measures 21 mm, previously 18 mm.", "larger", [],
         ["prior_sizes_differ"]),
]  # fmt: skip
SIDES: list[Any] = [
        ("Left pleural effusion. No right pleural effusion.", "Bilateral pleural effusions.",
         {"left": ("present", "present", None), "right": ("absent", "present", "new")}),
        ("Bilateral pleural effusions.", NO_EFFUSION,
         {"left": ("present", "absent", "resolved"), "right": ("present", "absent", "resolved")}),
        ("Bilateral pleural effusions.",
         "The left pleural effusion has increased. The right pleural effusion has decreased.",
         {"left": ("present", "present", "larger"), "right": ("present", "present", "smaller")}),
        # a report that names no side says nothing of one
        ("Left pleural effusion.", "The pleural effusion has increased.",
         {"left": ("present", "side_not_told", None), None: ("present", "present", "larger")}),
        ("No left pleural effusion.", EFFUSION,
         {"left": ("absent", "side_not_told", None), None: ("not_mentioned", "present", None)}),
        ("Left pleural effusion.", "Right pleural effusion.",
         {"left": ("present", "not_mentioned", None), "right": ("not_mentioned", "present", None)}),
        # a free lobe does not deny the lung
        ("No nodule in the right upper lobe.", "Nodule of 8 mm in the right lower lobe.",
         {"right": ("not_mentioned", "present", None)}),
]  # fmt: skip


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Rows of two studies of one report each, by what the two say; a patient a case."""
    texts = sorted({(prior, current) for prior, current, *_ in (*WORDS, *SIZES, *SIDES)})
    visits = [
        visit(f"st_{number:03}_{which}", date, text, patient=f"p_{number:03}")
        for number, pair in enumerate(texts)
        for which, date, text in zip("ab", (JUNE, JULY), pair, strict=True)
    ]
    rows = changes(tmp_path_factory.mktemp("cases"), *visits)
    told: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        told["|".join(texts[int(row["patient_id"].removeprefix("p_"))])].append(row)
    return told


Cases = dict[str, list[dict[str, Any]]]


@pytest.mark.parametrize(("prior", "current", "change", "stated_by", "conflicts"), WORDS)
def test_words_and_presence(
    cases: Cases,
    prior: str,
    current: str,
    change: str | None,
    stated_by: str | None,
    conflicts: list[str],
):
    (row,) = [r for r in cases[f"{prior}|{current}"] if r["finding"] == "pleural_effusion"]
    assert (row["change"], row["stated_by"], row["conflicts"]) == (change, stated_by, conflicts)


@pytest.mark.parametrize(("prior", "current", "change", "conflicts", "remarks"), SIZES)
def test_sizes(
    cases: Cases,
    prior: str,
    current: str,
    change: str | None,
    conflicts: list[str],
    remarks: list[str],
):
    (row,) = [r for r in cases[f"{prior}|{current}"] if r["finding"] == "liver_cyst"]
    assert (row["change"], row["conflicts"], row["remarks"]) == (change, conflicts, remarks)
    assert row["stated_by"] == ("sizes" if change else None)


@pytest.mark.parametrize(("prior", "current", "sides"), SIDES)
def test_sides(cases: Cases, prior: str, current: str, sides: dict[str | None, tuple[Any, ...]]):
    told = {
        r["laterality"]: (r["prior_state"], r["state"], r["change"])
        for r in cases[f"{prior}|{current}"]
    }
    assert told == sides


def test_sizes_stand_in_mm_with_what_each_report_says(tmp_path: Path):
    (row,) = two(
        tmp_path, "Liver cyst of 1.9 cm.", "The liver cyst measures 2.1 cm, previously 18 mm."
    )
    told = row["size_mm"], row["prior_size_mm"], row["prior_report_size_mm"], row["days"]
    assert told == (21.0, 18.0, 19.0, 30)
    assert row["sources"] == [f"r_st_b_0:10:{10 + 49}"]


def test_several_reports_of_a_study_are_one(tmp_path: Path):
    made = changes(
        tmp_path,
        visit("st_a", JUNE, NO_EFFUSION, CYST, "There is a pleural effusion, increased."),
        visit("st_b", JULY, "Liver unremarkable.", NO_EFFUSION),
    )
    rows = {row["finding"]: row for row in made}
    # one report denies what another states: neither is chosen
    assert rows["pleural_effusion"]["prior_state"] == "contradicted"
    assert rows["pleural_effusion"]["change"] is None
    assert rows["liver_cyst"]["prior_state"] == "present"
    assert rows["liver_cyst"]["prior_sources"] == ["r_st_a_1:10:39"]


def test_a_report_of_both_studies_tells_no_change(tmp_path: Path):
    store = made_store(tmp_path, visit("st_a", JUNE, "Stable liver cyst of 2 cm."),
                       visit("st_b", JULY))  # fmt: skip
    (joined,) = store.read("study_reports").to_pylist()
    store.replace("study_reports", ["st_b"], [StudyReport(**{**joined, "study_id": "st_b"})])
    (row,) = table_of("change", store, tmp_path, "pairs_over_time.parquet")
    assert (row["change"], row["conflicts"]) == (None, ["one_report_of_both"])


def test_a_study_without_report_between(tmp_path: Path):
    rows = changes(
        tmp_path,
        visit("st_a", JUNE, "Liver cyst of 10 mm. " + NO_EFFUSION),
        visit("st_b", JULY),
        visit("st_c", AUGUST, "The cyst of 15 mm in the liver has grown. " + EFFUSION),
    )
    told = {
        (r["prior_study_id"], r["finding"]):
        (r["studies_between"], r["prior_state"], r["change"], r["stated_by"]) for r in rows
    }  # fmt: skip
    assert told == {
        # words are of the study before, whatever its report says
        ("st_b", "liver_cyst"): (0, "no_report", "larger", "words"),
        ("st_b", "pleural_effusion"): (0, "no_report", None, None),
        ("st_a", "liver_cyst"): (1, "present", "larger", "sizes"),
        ("st_a", "pleural_effusion"): (1, "absent", "new", "presence"),
    }


def test_studies_of_one_day_have_no_order(tmp_path: Path):
    rows = changes(
        tmp_path,
        visit("st_a", JUNE, NO_EFFUSION),
        visit("st_b", JULY, EFFUSION),
        visit("st_c", JULY, CYST),
    )
    pairs = {(r["prior_study_id"], r["study_id"]) for r in rows}
    assert pairs == {("st_a", "st_b"), ("st_a", "st_c")}
    assert all(r["remarks"] == ["same_day_studies"] for r in rows)


def test_a_study_without_date_is_in_no_pair_and_counted(tmp_path: Path):
    rows = changes(
        tmp_path,
        visit("st_a", JUNE, NO_EFFUSION),
        visit("st_b", None, EFFUSION),
        visit("st_c", JULY, EFFUSION),
    )
    assert [(r["prior_study_id"], r["study_id"], r["remarks"]) for r in rows] == [
        ("st_a", "st_c", ["undated_study"])
    ]
    counted = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert counted["studies without date"] == 1
    assert counted["rows"] == counted["new by presence"] == 1


def test_patients_and_their_splits_stay_apart(tmp_path: Path):
    first = replace(sample(), study_id="st_a", split="test")
    rows = changes(
        tmp_path,
        visit("st_a", JUNE, NO_EFFUSION),
        visit("st_b", JULY, EFFUSION),
        visit("st_c", JUNE, NO_EFFUSION, patient="p_2"),
        visit("st_d", JULY, EFFUSION, patient="p_2"),
        visit("st_e", JULY, EFFUSION, patient="p_3"),
        splits={"p_1": "test", "p_2": "train"},
        samples=[first, replace(first, sample_id="sa_0")],
    )
    assert [(r["patient_id"], r["split"], r["prior_study_id"], r["study_id"]) for r in rows] == [
        ("p_1", "test", "st_a", "st_b"),
        ("p_2", "train", "st_c", "st_d"),
    ]
    assert (rows[0]["prior_sample_ids"], rows[0]["sample_ids"]) == (["sa_0", "sa_1"], [])


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from("abcdefg"), st.sampled_from([None, JUNE, JULY, AUGUST])),
    st.sets(st.sampled_from("abcdefg")),
)
def test_pairs_go_forward_in_time(date_of: dict[str, str | None], reported: set[str]):
    pairs = list(study_pairs(date_of, reported))
    assert len({(one.prior, one.current) for one in pairs}) == len(pairs)
    dates = sorted({told for told in date_of.values() if told})
    for one in pairs:
        then, now = date_of[one.prior], date_of[one.current]
        assert then is not None
        assert now is not None
        assert then < now
        assert one.days > 0
        assert one.current in reported
        assert one.between or dates.index(now) - dates.index(then) == 1
    later = {s for s in reported & date_of.keys() if date_of[s] and date_of[s] != dates[0]}
    assert later == {one.current for one in pairs}


def test_the_command_gives_the_documented_columns_and_equal_bytes(tmp_path: Path):
    store = made_store(tmp_path, visit("st_a", JUNE, NO_EFFUSION), visit("st_b", JULY, EFFUSION))
    files = [
        exported("change", tmp_path / name, store.url) / "pairs_over_time.parquet" for name in "ab"
    ]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert pq.read_schema(files[0]).names == list(TABLE.columns)
    page = DOCS.read_text(encoding="utf-8")
    assert [name for name in TABLE.columns if f"`{name}`" not in page] == []
