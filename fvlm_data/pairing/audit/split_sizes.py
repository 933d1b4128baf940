"""How many patients, volumes and samples each split holds, and what decided it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.splits import SPLITS

if TYPE_CHECKING:
    from fvlm_data.store.tables import Store


@dataclass(frozen=True, slots=True)
class SplitSize:
    """One split: patients (of them, those named by the split file), volumes and samples."""

    split: str
    patients: int
    from_file: int
    volumes: int
    samples: int


def split_sizes(store: Store) -> tuple[SplitSize, ...]:
    """All splits, training first; patients who were left out are in none."""
    rows = store.read("splits", ["patient_id", "split", "source"]).to_pylist()
    split_of = {row["patient_id"]: row["split"] for row in rows}
    patients = Counter(split_of.values())
    named = Counter(row["split"] for row in rows if row["source"] == "file")
    owners = store.read("volumes", ["patient_id"])["patient_id"].to_pylist()
    volumes = Counter(split_of.get(patient) for patient in owners)
    samples = Counter(store.read("samples", ["split"])["split"].to_pylist())
    return tuple(
        SplitSize(one, patients[one], named[one], volumes[one], samples[one]) for one in SPLITS
    )
