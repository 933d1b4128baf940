"""Near copies are found as by comparing all volumes with all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fvlm_data.pairing.near_copies import LARGEST_DISTANCE_HU, NEAR
from fvlm_data.store.reading import connect

BLOCKS = 64


def near(blocks: np.ndarray[Any, Any], patients: list[str]) -> set[tuple[str, str]]:
    connection = connect()
    candidates = pa.table(
        {
            "patient_id": patients,
            "pixels_sha256": [str(number) for number in range(len(patients))],
            "block_means_hu": pa.array(blocks.tolist(), pa.list_(pa.float64())),
        }
    )
    connection.register("candidates", candidates)
    found = connection.execute(NEAR).fetchall()
    assert len(found) == len(set(found))
    return set(found)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 0.9, 0.999, 1.001, 1.1, 3.0]))
def test_pairs_are_those_of_comparing_all_with_all(seed: int, share: float):
    """Copies at `share` of the largest distance, in the directions that part cells soonest."""
    generator = np.random.default_rng(seed)
    base = generator.normal(-400, 200, (6, 1)) + generator.normal(0, 150, (6, BLOCKS))
    signs = np.ones((6, BLOCKS))
    signs[1, 32:] = signs[2, 16:48] = signs[3, 1::2] = -1
    signs[4:] = generator.normal(size=(2, BLOCKS))
    moved = signs / np.linalg.norm(signs, axis=1, keepdims=True) * LARGEST_DISTANCE_HU * share
    blocks = np.concatenate([base, base + moved])
    patients = [f"p{number}" for number in range(len(blocks))]
    expected = {
        (min(patients[a], patients[b]), max(patients[a], patients[b]))
        for a in range(len(blocks))
        for b in range(a)
        if np.linalg.norm(blocks[a] - blocks[b]) <= LARGEST_DISTANCE_HU
    }
    assert near(blocks, patients) == expected
    assert len(expected) >= (6 if share < 1 else 0)


@pytest.mark.parametrize(("pixels", "patient"), [("0", "b"), ("1", "a")])
def test_equal_pixels_and_one_patient_are_no_near_copies(pixels: str, patient: str):
    """The same pixels are found by their hash; a patient may be scanned twice in one place."""
    connection = connect()
    row = "SELECT '{}' AS patient_id, '{}' AS pixels_sha256, list_value({}) AS block_means_hu"
    blocks = ", ".join(["10.0"] * BLOCKS)
    connection.execute(
        f"CREATE TEMP TABLE candidates AS {row.format('a', '0', blocks)} UNION ALL "
        f"{row.format(patient, pixels, blocks)}"
    )
    assert connection.execute(NEAR).fetchall() == []
