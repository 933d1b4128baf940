"""What a run learned from: other samples, and other pairs of the same, are told."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from fvlm_train.data.content import differing, sample_digests

ROWS = pa.table(
    {
        "sample_id": ["a", "b", "c"],
        "study_id": ["st_a", "st_b", "st_c"],
        "texts": [["one"], ["two"], ["three"]],
        "shard": ["s1", "s1", "s2"],
    }
)
APART = {("st_a", "liver"): frozenset({"st_b"}), ("st_b", "liver"): frozenset({"st_a"})}


def test_pairs_that_review_holds_apart_are_other_data():
    plain, held = sample_digests(ROWS), sample_digests(ROWS, APART)
    assert differing(plain, held) == (2, 2)
    assert differing(held, sample_digests(ROWS, dict(reversed(APART.items())))) == (0, 0)
    assert differing(plain, sample_digests(ROWS, {})) == (0, 0)


@given(st.permutations(range(3)))
def test_neither_order_nor_place_of_samples_is(order: list[int]):
    moved = ROWS.take(order).set_column(3, "shard", pa.array(["x", "y", "z"]))
    assert sample_digests(moved, APART).equal(sample_digests(ROWS, APART))
