from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fvlm_data.errors import InputError
from fvlm_data.identity.ids import link_key
from fvlm_data.pairing.config import SplitFractions
from fvlm_data.pairing.split_stage import TWINS
from fvlm_data.pairing.splits import assign_split, protector, read_split_file
from fvlm_data.store.reading import connect
from schemas import Split

KEY = bytes(range(32))
FRACTIONS = SplitFractions()
PATIENTS = [f"p_{number}" for number in range(10_000)]


def test_shares_are_about_right_over_many_patients():
    counts = Counter(assign_split(KEY, patient, FRACTIONS).split for patient in PATIENTS)
    assert abs(counts["train"] - 8000) < 150
    assert abs(counts["validation"] - 1000) < 120
    assert abs(counts["test"] - 1000) < 120


def test_share_of_zero_takes_nobody():
    fractions = SplitFractions(train=0.5, validation=0.0, test=0.5)
    splits = {assign_split(KEY, patient, fractions).split for patient in PATIENTS}
    assert splits == {"train", "test"}


def test_split_depends_on_the_patient_and_the_key_alone():
    one = [assign_split(KEY, patient, FRACTIONS) for patient in PATIENTS[:100]]
    assert one == [assign_split(KEY, patient, FRACTIONS) for patient in PATIENTS[:100]]
    other = [assign_split(bytes(32), patient, FRACTIONS) for patient in PATIENTS[:100]]
    assert one != other


def test_patient_never_moves():
    known = Split(patient_id="p_1", split="test", source="hash")
    everybody = SplitFractions(train=1.0, validation=0.0, test=0.0)
    assert assign_split(KEY, "p_1", everybody, known=known) == known


def test_external_file_wins():
    known = Split(patient_id="p_1", split="test", source="hash")
    made = assign_split(KEY, "p_1", FRACTIONS, named="validation", known=known)
    assert (made.split, made.source) == ("validation", "file")


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.2), (1.2, -0.1, -0.1), (0.0, 0.0, 0.0)])
def test_impossible_shares_are_refused(shares: tuple[float, float, float]):
    with pytest.raises(ValidationError, match=r"expected 1|greater than or equal|less than or"):
        SplitFractions(train=shares[0], validation=shares[1], test=shares[2])


def written(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    file = tmp_path / "splits.csv"
    file.write_text(text, encoding=encoding)
    return file


def test_split_file_is_read_by_link_key(tmp_path: Path):
    file = written(tmp_path, "patient_id,split\n 007 ,test\nabc,train\nABC,train\n", "utf-8-sig")
    assert read_split_file(file, KEY) == {
        link_key("patient_id", "007", key=KEY): "test",
        link_key("patient_id", "abc", key=KEY): "train",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("patient,split\nDOE,test\n", "line 2: expected columns patient_id and split"),
        ("patient_id,split\nDOE,train\n,test\n", "line 3: expected columns"),
        ("patient_id,split\nDOE\n", "line 2: expected columns"),
        ("patient_id,split\nDOE,dev\n", "line 2: expected in column split one of train, valid"),
        ("patient_id,split\nDOE,test\ndoe,train\n", "line 3: the patient stands twice"),
    ],
)
def test_bad_split_file_is_told_with_its_line_and_without_the_patient(
    tmp_path: Path, text: str, told: str
):
    with pytest.raises(InputError, match=told) as caught:
        read_split_file(written(tmp_path, text), KEY)
    assert "DOE" not in str(caught.value).upper()


def test_missing_or_undecodable_split_file(tmp_path: Path):
    with pytest.raises(InputError, match=r"cannot be read \(FileNotFoundError\); expected a UTF-8"):
        read_split_file(tmp_path / "none.csv", KEY)
    with pytest.raises(InputError, match=r"cannot be read \(UnicodeDecodeError\)"):
        read_split_file(written(tmp_path, "patient_id,split\nM\xfcller,test\n", "latin-1"), KEY)


ENGINE = connect()


def twins(images: list[tuple[str, str]]) -> dict[str, set[str]]:
    """Patients with their twins, by what the stage asks of table candidates."""
    rows = [f"SELECT '{patient}', '{image}', NULL, NULL" for patient, image in images]
    ENGINE.execute(
        "CREATE OR REPLACE TEMP TABLE candidates "
        "(patient_id VARCHAR, content_sha256 VARCHAR, pixels_sha256 VARCHAR, "
        "block_means_hu DOUBLE[])"
    )
    if rows:
        ENGINE.execute(f"INSERT INTO candidates {' UNION ALL '.join(rows)}")
    found: dict[str, set[str]] = {}
    for patient, twin in ENGINE.execute(TWINS).fetchall():
        assert twin not in found.setdefault(patient, set())
        found[patient].add(twin)
    return found


def test_twins_are_connected_through_others():
    images = [("a", "1"), ("b", "1"), ("b", "2"), ("c", "2"), ("d", "3"), ("d", "4"), ("e", "5")]
    assert twins(images) == {"a": {"b", "c"}, "b": {"a", "c"}, "c": {"a", "b"}}


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("1234567")), max_size=20),
    st.randoms(),
)
def test_groups_are_those_of_a_plain_search_in_any_order(
    images: list[tuple[str, str]], order: random.Random
):
    groups = {patient: {patient} for patient, _ in images}
    for _ in groups:
        for patient, content in images:
            for other, same in images:
                if same == content:
                    groups[patient] |= groups[other]
    shuffled = list(images)
    order.shuffle(shuffled)
    assert twins(shuffled) == {p: group - {p} for p, group in groups.items() if len(group) > 1}


@pytest.mark.parametrize(
    ("own", "others", "left_out_for"),
    [
        ("train", ["train"], None),
        ("train", ["validation"], "p_1"),
        ("train", ["validation", "test"], "p_2"),
        ("validation", ["test"], "p_1"),
        ("validation", ["train"], None),
        ("test", ["validation", "train", "test"], None),
    ],
)
def test_held_out_data_wins(own: str, others: list[str], left_out_for: str | None):
    mine = Split(patient_id="p_0", split=own, source="hash")
    group = [
        Split(patient_id=f"p_{number}", split=split, source="hash")
        for number, split in enumerate([own, *others])
    ]
    best = protector(mine, group)
    assert (best.patient_id if best else None) == left_out_for
