"""A row a study: what was known before the image, what it shows, and what came of it."""

from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fvlm_data.export.outcome.label import Label, label
from fvlm_data.export.outcome.windowed import Value, windowed
from fvlm_data.store.tables import Store
from schemas import RadiomicsValue
from tests.core import hand_store
from tests.export.exporting import exported, refused
from tests.export.over_time import made_store, visit

DAY = dt.date(2020, 6, 10)
SPLITS = {"p_1": "train", "p_2": "test"}


def value(name: str, number: float, on: str | None, kind: str = "laboratory") -> Value:
    return Value(kind, name, number, on)


def test_the_last_value_before_the_day_counts():
    found = windowed(
        [
            value("crp", 9, "2020-06-09T07:00"),
            value("crp", 8, "2020-06-08"),
            value("crp", 7, "2020-06-09"),
            value("crp", 6, "2020-06-02"),  # eight days before
            value("crp", 5, "2020-06-10"),
            value("crp", 4, "2020-06-10T00:05"),
            value("crp", 3, "2020-06-11"),
            value("urea", 3, "2020-06-03"),  # seven days before: the first that counts
            value("steroid", 0, "2020-06-09", "medication"),
            value("steroid", 1, "2020-06-08", "medication"),
            value("sex_male", 1, None, "demographic"),
            value("death", 1, "2020-06-01", "outcome"),
        ],
        DAY,
        7,
    )
    assert found.features == {
        ("laboratory", "crp"): 9,
        ("laboratory", "urea"): 3,
        ("medication", "steroid"): 1,
        ("demographic", "sex_male"): 1,
    }
    assert found.left_out == {
        ("crp", "before_the_window"): 1,
        ("crp", "on_the_day_of_the_image"): 2,
        ("crp", "after_the_image"): 1,
    }


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-40, 40), st.integers(0, 23), st.floats(0, 9))),
    st.integers(1, 30),
)
def test_no_value_of_the_day_or_after_reaches_a_feature(told: Any, window_days: int):
    """Whatever is added from then on, the features are the same; each value is accounted for."""
    values = [
        value("crp", number, f"{DAY + dt.timedelta(away)}T{hour:02}:00")
        for away, hour, number in told
    ]
    before = [one for one in values if (one.observed_on or "") < DAY.isoformat()]
    found = windowed(values, DAY, window_days)
    assert found.features == windowed(before, DAY, window_days).features
    inside = sum(1 for away, _, _ in told if -window_days <= away < 0)
    assert sum(found.left_out.values()) == len(told) - inside
    assert bool(found.features) == bool(inside)


def test_an_image_without_a_date_has_constants_only():
    found = windowed([value("crp", 1, "2020-06-09"), value("sex_male", 1, None, "demographic")],
                     None, 7)  # fmt: skip
    assert found.features == {("demographic", "sex_male"): 1}
    assert found.left_out == {("crp", "no_image_date"): 1}


def died(*told: tuple[float, str | None]) -> list[Value]:
    return [value("death", number, on, "outcome") for number, on in told]


@pytest.mark.parametrize(
    ("told", "horizon", "expected"),
    [
        ([], 0, Label(None, why="outcome_not_known")),
        ([(1, "2020-06-20")], 0, Label(1, 10)),
        ([(1, "2020-06-20")], 10, Label(1, 10)),
        ([(1, "2020-06-20")], 9, Label(0, 10)),
        ([(1, "2020-07-20"), (1, "2020-06-11T03:00")], 30, Label(1, 1)),
        ([(1, "2020-06-09")], 0, Label(None, why="outcome_before_image")),
        ([(1, "2020-06-09"), (1, "2020-06-20")], 0, Label(None, why="outcome_before_image")),
        ([(1, "2020-06-10T23:00")], 0, Label(None, why="outcome_on_the_day_of_the_image")),
        ([(0, None)], 30, Label(0)),
        ([(0, "2020-07-10")], 30, Label(0)),
        ([(0, "2020-07-09")], 30, Label(None, why="followed_too_short")),
        ([(0, "2020-07-09")], 0, Label(0)),
        ([(0, "2020-06-01")], 0, Label(None, why="outcome_not_known")),
        ([(0, "2020-06-15"), (1, "2020-06-20")], 0, Label(1, 10)),
        ([(0, None), (1, "2020-06-20")], 0, Label(None, why="outcome_contradicted")),
    ],
)
def test_what_is_an_outcome_of_the_image(told: Any, horizon: int, expected: Label):
    assert label(died(*told), DAY, horizon) == expected


def test_an_outcome_needs_a_day():
    assert label(died((1, "2020-06-20")), None, 0).why == "no_image_date"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two patients; the first has two studies, and clinical values around the first of them."""
    made = made_store(
        tmp_path,
        visit("st_a", "2020-06-10", "There is a pleural effusion."),
        visit("st_b", "2020-07-10", "No pleural effusion. There is a cyst in the liver."),
        visit("st_c", "2020-06-01", patient="p_2"),
        splits=SPLITS,
    )
    rows = [
        ("p_1", "laboratory", "crp", 5.0, "2020-06-09"),
        ("p_1", "laboratory", "crp", 500.0, "2020-06-11"),  # planted: it is from after the image
        ("p_1", "laboratory", "crp", 600.0, "2020-06-10T01:00"),
        ("p_1", "outcome", "death", 1.0, "2020-07-20"),
        ("p_1", "outcome", "icu", 0.0, None),
        ("p_2", "outcome", "death", 0.0, None),
    ]
    made.replace_all(
        "clinical",
        [
            hand_store.clinical(patient, number, kind, name, one, on)
            for number, (patient, kind, name, one, on) in enumerate(rows)
        ],
    )
    made.replace_all(
        "radiomics",
        [
            RadiomicsValue(
                volume_id=volume, region_kind="anatomy", region="lung", family="bands",
                feature="ground_glass", value=share, unit="1",
            )
            for volume, share in (("v_0", 0.25), ("v_2", None))
        ],
    )  # fmt: skip
    return made


def table(folder: Path) -> dict[str, dict[str, Any]]:
    rows = pq.read_table(folder / "studies.parquet").to_pylist()
    return {row["study_id"]: row for row in rows}


def test_a_row_a_study(store: Store, tmp_path: Path):
    folder = exported("outcome", tmp_path / "out", store.url)
    found = table(folder)
    assert {study: row["outcome"] for study, row in found.items()} == {
        "st_a": 1, "st_b": 1, "st_c": 0,
    }  # fmt: skip
    assert found["st_a"]["outcome_days"] == 40
    assert found["st_a"]["image:anatomy:lung:bands:ground_glass"] == 0.25
    assert found["st_c"]["image:anatomy:lung:bands:ground_glass"] is None
    assert [found["st_a"][name] for name in ("patient_id", "split", "acquired_on")] == [
        "p_1", "train", "2020-06-10",
    ]  # fmt: skip
    said = {s: (r["finding:pleural_effusion"], r["finding:liver_cyst"]) for s, r in found.items()}
    assert said == {"st_a": (1, 0), "st_b": (0, 1), "st_c": (None, None)}
    told = json.loads((folder / "columns.json").read_text())
    assert told["clinical:laboratory:crp"] == {"part": "clinical", "unit": "1", "studies": 1}
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["studies"], summary["outcome 1"], summary["outcome 0"]) == (3, 2, 1)


def test_a_planted_value_from_after_the_image_is_in_no_feature_and_is_listed(
    store: Store, tmp_path: Path
):
    folder = exported("outcome", tmp_path / "out", store.url)
    found = table(folder)
    assert found["st_a"]["clinical:laboratory:crp"] == 5.0
    assert found["st_b"]["clinical:laboratory:crp"] is None  # a month later: before the window
    with (folder / "left_out.csv").open() as handle:
        rows = [tuple(row.values()) for row in csv.DictReader(handle)]
    assert rows == [
        ("st_a", "crp", "after_the_image", "1"),
        ("st_a", "crp", "on_the_day_of_the_image", "1"),
        ("st_b", "crp", "before_the_window", "3"),
    ]
    numbers = pq.read_table(folder / "studies.parquet").to_pandas().select_dtypes("number")
    assert not numbers.isin([500.0, 600.0]).to_numpy().any()
    wider = table(exported("outcome", tmp_path / "wide", store.url, "--window-days", "40"))
    assert wider["st_a"]["clinical:laboratory:crp"] == 5.0
    assert wider["st_b"]["clinical:laboratory:crp"] == 500.0  # before the second image


def test_a_horizon_and_another_outcome(store: Store, tmp_path: Path):
    soon = table(exported("outcome", tmp_path / "a", store.url, "--horizon-days", "30"))
    assert {study: row["outcome"] for study, row in soon.items()} == {
        "st_a": 0, "st_b": 1, "st_c": 0,
    }  # fmt: skip
    other = table(exported("outcome", tmp_path / "b", store.url, "--outcome", "icu"))
    assert {study: row["outcome_reason"] for study, row in other.items()} == {
        "st_a": "", "st_b": "", "st_c": "outcome_not_known",
    }  # fmt: skip
    sentence = refused("outcome", tmp_path / "c", store.url, "--outcome", "deth")
    assert "outcome 'deth': not in table clinical; expected one of death, icu" in sentence


def test_the_same_store_gives_the_same_bytes(store: Store, tmp_path: Path):
    names = ("studies.parquet", "columns.json", "left_out.csv", "summary.json")
    one, other = (exported("outcome", tmp_path / name, store.url) for name in "ab")
    assert [(one / name).read_bytes() for name in names] == [
        (other / name).read_bytes() for name in names
    ]


def test_of_several_volumes_that_of_the_most_slices_is_measured(store: Store, tmp_path: Path):
    thick = hand_store.volume(0, "st_a", acquired_on="2020-06-10")
    thin = hand_store.volume(9, "st_a", acquired_on="2020-06-11", shape=(2, 2, 7))
    store.replace("volumes", ["st_a"], [thick, thin])
    found = table(exported("outcome", tmp_path / "out", store.url))
    assert found["st_a"]["image:anatomy:lung:bands:ground_glass"] is None
    # the day is that of the first
    assert found["st_a"]["acquired_on"] == "2020-06-10"
