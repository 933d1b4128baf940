"""The figures of the quality page, read from the tables of a store."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.quarantine import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

VOLUMES_MEASURED = 2000
"""Distributions are taken over so many volumes; ids are random, so the first are a sample."""

PERCENTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True, slots=True)
class SetAside:
    """Things set aside for one reason, with the sentence of one of them."""

    kind: str
    stage: str
    reason: str
    count: int
    example: str


@dataclass(frozen=True, slots=True)
class Spread:
    """Volume in ml of an anatomy: number of volumes and the PERCENTILES."""

    anatomy: str
    volumes: int
    percentiles_ml: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """All counts of the page; `states` counts studies by anatomy, then state."""

    images: tuple[tuple[str, int], ...]
    reports: tuple[tuple[str, int], ...]
    set_aside: tuple[SetAside, ...]
    waiting: tuple[tuple[str, str, int], ...]
    states: Mapping[str, Mapping[str, int]]
    spreads: tuple[Spread, ...]
    splits: tuple[tuple[str, int, int], ...]
    regions: tuple[tuple[str, int], ...]
    contrasts: tuple[tuple[str, int], ...]
    flags: tuple[tuple[str, int], ...]


def read_figures(store: Store, vocabulary: Vocabulary) -> Figures:
    """Count what the store holds."""
    volumes = store.read("volumes", ["volume_id", "series_id", "study_id"])
    pairs = store.read("study_reports", ["study_id", "report_id"])
    imaged = _distinct(volumes, "study_id")
    series = store.read("inputs", ["item"], [("kind", "=", "file")])
    samples = store.read("samples", ["split", "patient_id"]).to_pylist()
    checks = store.read("volume_checks", ["body_region", "contrast", "flags"]).to_pylist()
    ml = _volumes_ml(store, sorted(volumes["volume_id"].to_pylist()), vocabulary)
    return Figures(
        images=(
            ("files", series.num_rows),
            ("series", len(_distinct(series, "item"))),
            ("volumes", volumes.num_rows),
            ("studies", len(imaged)),
            ("studies with a report", len(imaged & _distinct(pairs, "study_id"))),
            ("samples", len(samples)),
        ),
        reports=(
            ("rows offered", store.read("inputs", ["kind"], [("kind", "=", "report")]).num_rows),
            ("reports", store.count("reports")),
            ("reports joined to a study", len(_distinct(pairs, "report_id"))),
        ),
        set_aside=_set_aside(store),
        waiting=_waiting(store),
        states=_states(store),
        spreads=tuple(
            _spread(anatomy, ml[anatomy]) for anatomy in vocabulary.imaged if ml[anatomy]
        ),
        splits=_splits(samples),
        regions=_ranking(row["body_region"] for row in checks),
        contrasts=_ranking(row["contrast"] for row in checks),
        flags=_ranking(flag for row in checks for flag in row["flags"]),
    )


def _distinct(table: Any, column: str) -> set[str]:
    return {value for value in table[column].unique().to_pylist() if value is not None}


def _set_aside(store: Store) -> tuple[SetAside, ...]:
    rows = store.read("quarantine", ["kind", "stage", "reason", "detail"])
    groups = rows.group_by(["kind", "stage", "reason"])
    counted = groups.aggregate([("detail", "count"), ("detail", "min")]).to_pylist()
    found = (
        SetAside(row["kind"], row["stage"], row["reason"], row["detail_count"], row["detail_min"])
        for row in counted
    )
    return tuple(sorted(found, key=lambda s: (KINDS.index(s.kind), -s.count, s.stage, s.reason)))


def _waiting(store: Store) -> tuple[tuple[str, str, int], ...]:
    rows = store.read("waiting", ["owner_kind", "waits_for"]).to_pylist()
    counts = Counter((row["owner_kind"], row["waits_for"]) for row in rows)
    return tuple((kind, what, count) for (kind, what), count in sorted(counts.items()))


def _states(store: Store) -> dict[str, dict[str, int]]:
    rows = store.read("anatomy_texts", ["anatomy", "state"])
    counted = rows.group_by(["anatomy", "state"]).aggregate([([], "count_all")]).to_pylist()
    states: dict[str, dict[str, int]] = defaultdict(dict)
    for row in counted:
        states[row["anatomy"]][row["state"]] = row["count_all"]
    return dict(sorted(states.items()))


def _volumes_ml(
    store: Store, volume_ids: Sequence[str], vocabulary: Vocabulary
) -> defaultdict[str, list[float]]:
    """Volume of each anatomy, by anatomy, over the first volumes."""
    ml: defaultdict[str, list[float]] = defaultdict(list)
    if not volume_ids:
        return ml
    last = volume_ids[:VOLUMES_MEASURED][-1]
    columns = ["volume_id", "task", "class_system", "class_name", "volume_ml"]
    rows = store.read("masks", columns, [("volume_id", "<=", last)]).to_pylist()
    anatomies: dict[str, dict[str, list[str]]] = {}
    for system in {row["class_system"] for row in rows}:
        anatomies[system] = defaultdict(list)
        for anatomy, names in vocabulary.classes_of(system).items():
            for name in names:
                anatomies[system][name].append(anatomy)
    sums: defaultdict[tuple[str, str, str], float] = defaultdict(float)
    for row in rows:
        for anatomy in anatomies[row["class_system"]].get(row["class_name"], ()):
            sums[row["volume_id"], row["task"], anatomy] += row["volume_ml"]
    greatest: defaultdict[tuple[str, str], float] = defaultdict(float)
    for (volume, _, anatomy), value in sums.items():
        greatest[volume, anatomy] = max(value, greatest[volume, anatomy])
    for (_, anatomy), value in sorted(greatest.items()):
        ml[anatomy].append(value)
    return ml


def _spread(anatomy: str, ml: Sequence[float]) -> Spread:
    return Spread(anatomy, len(ml), tuple(float(v) for v in np.percentile(ml, PERCENTILES)))


def _splits(samples: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, int, int], ...]:
    patients: defaultdict[str, set[str]] = defaultdict(set)
    for row in samples:
        patients[row["split"]].add(row["patient_id"])
    counts = Counter(row["split"] for row in samples)
    return tuple((split, counts[split], len(patients[split])) for split in sorted(counts))


def _ranking(values: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(values).items(), key=lambda pair: (-pair[1], pair[0])))
