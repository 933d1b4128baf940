"""Cohen's kappa of two reviewers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fvlm_data.review.agreement import agreements, kappa
from tests.review.made import decision


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((20, 15, 5, 10), 0.4),  # (0.7 - 0.5) / (1 - 0.5)
        ((45, 15, 25, 15), (0.60 - 0.54) / (1 - 0.54)),
        ((25, 35, 5, 35), (0.60 - 0.46) / (1 - 0.46)),
        ((0, 0, 4, 4), -1.0),
        ((3, 4, 0, 0), 1.0),
        ((9, 0, 0, 0), None),
        ((0, 0, 0, 0), None),
    ],
)
def test_kappa_by_hand(counts: tuple[int, int, int, int], expected: float | None):
    told = kappa(*counts)
    assert told == (expected if expected is None else pytest.approx(expected))


@given(st.lists(st.integers(0, 50), min_size=4, max_size=4))
def test_kappa_knows_no_order_of_reviewers_and_of_verdicts(counts: list[int]):
    right, wrong, one, other = counts
    told = kappa(right, wrong, one, other)
    assert told == kappa(right, wrong, other, one) == kappa(wrong, right, one, other)
    assert told is None or -1 <= told <= 1
    assert told != 1 or one == other == 0


def test_two_reviewers_are_compared_by_kind_where_they_judged_one_version():
    told = agreements(
        [
            decision("study", "st_1", "wrong", "a"),
            decision("study", "st_1", "right", "a", time=1),  # a's last word
            decision("study", "st_1", "right", "b"),
            decision("study", "st_2", "wrong", "a"),
            decision("study", "st_2", "wrong", "b", version="2" * 64),
            decision("mask", "v_1:liver", "wrong", "a"),
            decision("mask", "v_1:liver", "wrong", "b"),
            decision("mask", "v_2:liver", "right", "a"),
            decision("mask", "v_2:liver", "wrong", "b"),
            decision("mask", "v_3:liver", "wrong", "c"),
        ]
    )
    assert [(one.first, one.second, one.kind, one.judged) for one in told] == [
        ("a", "b", "mask", 2),
        ("a", "b", "study", 1),
    ]
    assert (told[0].both_wrong, told[0].right_wrong, told[0].kappa) == (1, 1, 0.0)
    assert (told[1].both_right, told[1].kappa) == (1, None)
