"""Pairs of studies that review holds to differ in an anatomy."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fvlm_data.store.tables import Store

COLUMNS = ["study_id", "other_study_id", "anatomy"]


def pairs_apart(store: Store) -> dict[tuple[str, str], frozenset[str]]:
    """By study and anatomy the studies that are no partners of it there, from either side.

    Raises:
        StoreError: the table cannot be read.
    """
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in store.read("review_effects", COLUMNS, [("kind", "=", "pair")]).to_pylist():
        found[row["study_id"], row["anatomy"]].add(row["other_study_id"])
        found[row["other_study_id"], row["anatomy"]].add(row["study_id"])
    return {of: frozenset(others) for of, others in found.items()}
