"""The figures of the quality page, read from the tables of a store."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fvlm_data.qc.false_negatives import Alike, read_alike
from fvlm_data.segment.organ_volumes import OF_VOLUME, named_classes
from fvlm_data.store.relations import Relations
from schemas.quarantine import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

VOLUMES_MEASURED = 2000
"""Distributions are taken over so many volumes; ids are random, so the first are a sample."""

PERCENTILES = (5, 25, 50, 75, 95)

STUDIES_WITH_A_REPORT = """
SELECT count(DISTINCT study_id) FROM study_reports
WHERE study_id IN (SELECT study_id FROM volumes)
"""

MEASURED = """
measured AS (
    SELECT * FROM masks
    WHERE volume_id IN (SELECT volume_id FROM volumes ORDER BY volume_id LIMIT $volumes)
)
"""

SPREADS = f"""
WITH {MEASURED}, {OF_VOLUME}
SELECT anatomy, count(*), quantile_cont(ml, $shares) FROM of_volume GROUP BY anatomy
"""


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
    alike: tuple[Alike, ...]


def read_figures(store: Store, vocabulary: Vocabulary) -> Figures:
    """Count what the store holds.

    Raises:
        StoreError: a table cannot be read.
    """
    tables = Relations(store)
    volumes, studies = tables.rows("SELECT count(*), count(DISTINCT study_id) FROM volumes")[0]
    files, series = tables.rows(
        "SELECT count(*), count(DISTINCT item) FROM inputs WHERE kind = 'file'"
    )[0]
    splits = tables.rows(
        "SELECT split, count(*), count(DISTINCT patient_id) FROM samples GROUP BY 1 ORDER BY 1"
    )
    return Figures(
        images=(
            ("files", files),
            ("series", series),
            ("volumes", volumes),
            ("studies", studies),
            ("studies with a report", _count(tables, STUDIES_WITH_A_REPORT)),
            ("samples", sum(samples for _, samples, _ in splits)),
        ),
        reports=(
            ("rows offered", _count(tables, "SELECT count(*) FROM inputs WHERE kind = 'report'")),
            ("reports", _count(tables, "SELECT count(*) FROM reports")),
            (
                "reports joined to a study",
                _count(tables, "SELECT count(DISTINCT report_id) FROM study_reports"),
            ),
        ),
        set_aside=_set_aside(tables),
        waiting=tuple(
            tables.rows(
                "SELECT owner_kind, waits_for, count(*) FROM waiting GROUP BY 1, 2 ORDER BY 1, 2"
            )
        ),
        states=_states(tables),
        spreads=_spreads(tables, vocabulary),
        splits=tuple(splits),
        regions=_ranking(tables, "SELECT body_region AS value FROM volume_checks"),
        contrasts=_ranking(tables, "SELECT contrast AS value FROM volume_checks"),
        flags=_ranking(tables, "SELECT unnest(flags) AS value FROM volume_checks"),
        alike=read_alike(tables),
    )


def _count(tables: Relations, query: str) -> int:
    return int(tables.rows(query)[0][0])


def _set_aside(tables: Relations) -> tuple[SetAside, ...]:
    rows = tables.rows(
        "SELECT kind, stage, reason, count(*), min(detail) FROM quarantine GROUP BY ALL"
    )
    found = (SetAside(*row) for row in rows)
    return tuple(sorted(found, key=lambda s: (KINDS.index(s.kind), -s.count, s.stage, s.reason)))


def _states(tables: Relations) -> dict[str, dict[str, int]]:
    states: dict[str, dict[str, int]] = defaultdict(dict)
    for anatomy, state, count in tables.rows(
        "SELECT anatomy, state, count(*) FROM anatomy_texts GROUP BY 1, 2 ORDER BY 1, 2"
    ):
        states[anatomy][state] = count
    return dict(states)


def _spreads(tables: Relations, vocabulary: Vocabulary) -> tuple[Spread, ...]:
    systems = tables.rows(
        f"WITH {MEASURED} SELECT DISTINCT class_system FROM measured ORDER BY 1",
        {"volumes": VOLUMES_MEASURED},
    )
    classes = named_classes([system for (system,) in systems], vocabulary)
    if not classes["names"]:
        return ()
    rows = tables.rows(
        SPREADS,
        {
            "volumes": VOLUMES_MEASURED,
            **classes,
            "shares": [percent / 100 for percent in PERCENTILES],
        },
    )
    found = (Spread(anatomy, count, tuple(ml)) for anatomy, count, ml in rows)
    return tuple(sorted(found, key=lambda spread: vocabulary.imaged.index(spread.anatomy)))


def _ranking(tables: Relations, values: str) -> tuple[tuple[str, int], ...]:
    return tuple(
        tables.rows(f"SELECT value, count(*) AS n FROM ({values}) GROUP BY 1 ORDER BY n DESC, 1")
    )
