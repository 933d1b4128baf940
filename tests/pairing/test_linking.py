from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvlm_data.pairing.linking import Joined, join_reports

SERIES = {"se1": "st1", "se2": "st1", "se3": "st2"}


def link(owner: str, kind: str, value: str) -> dict[str, str]:
    kinds = {"st": "study", "se": "series", "r": "report", "p": "patient"}
    owner_kind = kinds[owner.rstrip("0123456789")]
    return {"owner_kind": owner_kind, "owner_id": owner, "kind": kind, "value_hash": value}


LINKS = [
    link("st1", "study_uid", "uid1"),
    link("st2", "study_uid", "uid2"),
    link("st1", "accession", "acc"),
    link("st2", "accession", "acc"),
    link("se1", "volume_name", "a_1"),
    link("se2", "volume_name", "a_2"),
    link("se3", "volume_name", "b_1"),
    link("p1", "patient_id", "doe"),
]


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ([("study_uid", "uid1")], Joined({"st1": "study_uid"})),
        ([("accession", "acc")], Joined({"st1": "accession", "st2": "accession"})),
        ([("volume_name", "a_2")], Joined({"st1": "volume_name"})),
        ([("volume_name", "a_1"), ("volume_name", "a_2")], Joined({"st1": "volume_name"})),
        (
            [("accession", "acc"), ("study_uid", "uid1")],
            Joined({"st1": "study_uid", "st2": "accession"}),
        ),
        ([("study_uid", "unknown"), ("volume_name", "b_1")], Joined({"st2": "volume_name"})),
        (
            [("study_uid", "uid1"), ("volume_name", "b_1")],
            Joined({}, ("study_uid", "volume_name")),
        ),
        ([("study_uid", "unknown")], Joined({})),
        ([("patient_id", "doe")], Joined({}, patients=frozenset({"p1"}))),
        ([("accession", "uid1")], Joined({})),
    ],
    ids=[
        "study",
        "accession of two studies",
        "series stands for its study",
        "two series of one study",
        "strongest kind is named",
        "unknown value is no conflict",
        "conflict",
        "nothing found",
        "patient alone joins nothing",
        "value of another kind",
    ],
)
def test_report_joins_studies(report: list[tuple[str, str]], expected: Joined):
    links = [*LINKS, *(link("r1", kind, value) for kind, value in report)]
    assert join_reports(links, SERIES) == {"r1": expected}


def test_study_has_many_reports_and_a_report_many_studies():
    reports = [link("r1", "study_uid", "uid1"), link("r2", "study_uid", "uid1")]
    reports += [link("r3", "accession", "acc")]
    joined = join_reports([*LINKS, *reports], SERIES)
    assert {report: set(j.studies) for report, j in joined.items()} == {
        "r1": {"st1"},
        "r2": {"st1"},
        "r3": {"st1", "st2"},
    }


def test_series_without_a_volume_joins_nothing():
    links = [link("se9", "volume_name", "c_1"), link("r1", "volume_name", "c_1")]
    assert join_reports(links, SERIES) == {"r1": Joined({})}


NAMES = st.sampled_from(["x", "y", "z"])
KINDS = st.sampled_from(["study_uid", "volume_name", "accession", "patient_id"])
OWNERS = st.sampled_from(["st1", "st2", "se1", "se3", "r1", "r2", "r3", "p1"])


@given(st.lists(st.builds(link, OWNERS, KINDS, NAMES), max_size=20), st.randoms())
def test_order_of_links_changes_nothing(links: list[Any], order: random.Random):
    shuffled = [*links, *links]
    order.shuffle(shuffled)
    assert join_reports(shuffled, SERIES) == join_reports(links, SERIES)


@given(st.lists(st.builds(link, OWNERS, KINDS, NAMES), max_size=20))
def test_every_report_joins_studies_or_is_in_conflict(links: list[Any]):
    joined = join_reports(links, SERIES)
    assert joined.keys() == {entry["owner_id"] for entry in links if entry["owner_id"][0] == "r"}
    for one in joined.values():
        assert not (one.conflict and one.studies)
        assert set(one.studies) <= {"st1", "st2"}
