"""The lists of the first page, column by column: studies, what was set aside, what waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.qc.columns import categories, numbers, sets, texts
from fvlm_data.qc.thumbnails import ANATOMIES
from fvlm_data.segment.organ_volumes import OF_VOLUME, named_classes
from fvlm_data.store.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Collection

    from fvlm_data.qc.columns import Column
    from fvlm_data.store.tables import Store
    from fvlm_data.vocabulary import Vocabulary

LISTED_STUDIES = 20_000
LISTED_ROWS = 20_000
"""Rows that the page carries; the figures above the lists count all."""

FIRST_VOLUMES = f"""
first_volumes AS (
    SELECT *, count(*) OVER (PARTITION BY study_id) AS volumes
    FROM (
        SELECT volume_id, study_id, series_id, patient_id, orientation, shape, spacing_mm, hu_max,
            kernel, manufacturer, age_years, sex
        FROM volumes
    )
    QUALIFY row_number() OVER (PARTITION BY study_id ORDER BY volume_id) = 1
    ORDER BY study_id LIMIT {LISTED_STUDIES}
)
"""
"""A study is listed with its first volume."""

STUDIES = f"""
WITH {FIRST_VOLUMES},
placed AS (
    SELECT *,
        strpos(orientation, 'S') + strpos(orientation, 'I') AS up,
        strpos(orientation, 'R') + strpos(orientation, 'L') AS across
    FROM first_volumes
),
said AS (
    SELECT study_id, count(*) AS reports FROM study_reports GROUP BY study_id
),
taken AS (
    SELECT study_id, count(*) AS samples FROM samples GROUP BY study_id
),
ingested AS (
    -- a run is named by its time
    SELECT item AS series_id,
        regexp_replace(run_id, '^(\\d{{4}})(\\d\\d)(\\d\\d)T.*$', '\\1-\\2-\\3') AS night
    FROM ledger WHERE stage = 'ingest'
)
SELECT study_id, night, split, sex, age_years, manufacturer, kernel, body_region, phase,
    shape[up], spacing_mm[up], spacing_mm[across], hu_max, volumes,
    coalesce(reports, 0), coalesce(samples, 0), coalesce(flags, []),
    dense_rank() OVER (ORDER BY patient_id)
FROM placed
LEFT JOIN volume_checks USING (volume_id)
LEFT JOIN splits USING (patient_id)
LEFT JOIN ingested USING (series_id)
LEFT JOIN said USING (study_id)
LEFT JOIN taken USING (study_id)
ORDER BY study_id
"""

LABELS = f"""
WITH {FIRST_VOLUMES}
SELECT study_id, list(anatomy || '|' || label ORDER BY anatomy, label)
FROM (SELECT study_id, anatomy, unnest(labels) AS label FROM anatomy_texts)
WHERE study_id IN (SELECT study_id FROM first_volumes)
GROUP BY study_id
"""

SIZES = f"""
WITH {FIRST_VOLUMES},
measured AS (
    SELECT * FROM masks WHERE volume_id IN (SELECT volume_id FROM first_volumes)
),
{OF_VOLUME}
SELECT study_id, anatomy, ml FROM of_volume JOIN first_volumes USING (volume_id)
"""

SET_ASIDE = f"""
SELECT kind, stage, reason, item, detail FROM quarantine
ORDER BY kind, stage, reason, item, detail LIMIT {LISTED_ROWS}
"""

WAITING = f"""
SELECT owner_kind, waits_for, owner_id FROM waiting
ORDER BY owner_kind, waits_for, owner_id LIMIT {LISTED_ROWS}
"""


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of the page: its columns, and how many rows the store has of which these are some."""

    columns: list[Column]
    listed: int
    rows: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All lists of the page; `paged` has the place in `studies` of those with a page."""

    studies: Listing
    paged: list[int]
    set_aside: Listing
    waiting: Listing


def read_catalogue(store: Store, vocabulary: Vocabulary, paged: Collection[str]) -> Catalogue:
    """Read the lists; `paged` are the studies with pages of their own.

    Raises:
        StoreError: a table cannot be read.
    """
    tables = Relations(store)
    studies = tables.rows(STUDIES)
    place = {row[0]: number for number, row in enumerate(studies)}
    every = tables.rows("SELECT count(DISTINCT study_id) FROM volumes")[0][0]
    columns = [*_study_columns(studies), _labels(tables, place), *_sizes(tables, place, vocabulary)]
    return Catalogue(
        Listing(columns, len(studies), every),
        sorted(place[study] for study in paged if study in place),
        _listing(tables, SET_ASIDE, "quarantine", ("kind", "stage", "reason"), ("item", "detail")),
        _listing(tables, WAITING, "waiting", ("what waits", "for"), ("id",)),
    )


def _study_columns(rows: list[tuple[Any, ...]]) -> list[Column]:
    by_column = list(zip(*rows, strict=True)) if rows else [()] * 18
    study, night, split, sex, age, manufacturer, kernel, region, phase = by_column[:9]
    slices, apart, pixel, most, volumes, reports, samples, flags, patient = by_column[9:]
    return [
        texts("study", study),
        categories("ingested", night),
        categories("split", split),
        categories("sex", sex),
        numbers("age", age, "years"),
        categories("manufacturer", manufacturer),
        categories("kernel", kernel),
        categories("region", region),
        categories("phase", phase),
        numbers("slices", slices),
        numbers("slice distance", apart, "mm"),
        numbers("pixel", pixel, "mm"),
        numbers("greatest HU", most, "HU"),
        numbers("volumes", volumes),
        numbers("reports", reports),
        numbers("samples", samples),
        sets("flags", flags),
        numbers("patient", patient),
    ]


def _labels(tables: Relations, place: dict[str, int]) -> Column:
    """What is said of each study: anatomy|finding, present or uncertain, with what it implies."""
    found: list[list[str]] = [[] for _ in place]
    for study, labels in tables.rows(LABELS):
        found[place[study]] = labels
    return sets("findings", found)


def _sizes(tables: Relations, place: dict[str, int], vocabulary: Vocabulary) -> list[Column]:
    """Size in ml of each anatomy that any first volume shows."""
    systems = tables.rows("SELECT DISTINCT class_system FROM masks ORDER BY 1")
    classes = named_classes([system for (system,) in systems], vocabulary)
    if not classes["names"]:
        return []
    found: dict[str, list[float | None]] = {}
    for study, anatomy, ml in tables.rows(SIZES, classes):
        found.setdefault(anatomy, [None] * len(place))[place[study]] = ml
    return [numbers(f"{one} size", found[one], "ml") for one in ANATOMIES if one in found]


def _listing(
    tables: Relations, query: str, table: str, coded: tuple[str, ...], told: tuple[str, ...]
) -> Listing:
    """A list whose first columns are codes and whose last are texts."""
    rows = tables.rows(query)
    by_column = list(zip(*rows, strict=True)) if rows else [()] * (len(coded) + len(told))
    columns = [categories(name, values) for name, values in zip(coded, by_column, strict=False)]
    columns += [texts(name, v) for name, v in zip(told, by_column[len(coded) :], strict=True)]
    every = tables.rows(f"SELECT count(*) FROM {table}")[0][0]
    return Listing(columns, len(rows), every)
