"""Which rows of the tables go, and which items of others rested on them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

import schemas
from fvlm_data.forget.listing import listed
from fvlm_data.store.content import owned
from fvlm_data.store.discovered import DISCOVERIES
from fvlm_data.store.queries import open_tables, with_readable_tables
from fvlm_data.store.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from fvlm_data.forget.extent import Extent
    from fvlm_data.store.declared import Context, Stage

ID = "(p|st|se|v|r|sa|f|sh|im)_[0-9a-f]{20}"
WORDS = frozenset({"text", "texts", "sections", "sentences", "parts", "sha256", "content_sha256"})
"""Columns of long texts and hashes, in which no id of another item stands."""

OWNED_BY = {
    "inputs": ("token", "item"),
    "candidates": ("volume_id", "series_id"),
    "volumes": ("volume_id", "series_id"),
    "volume_checks": ("volume_id",),
    "links": ("owner_id", "stated_by", "value_hash"),
    "identity_marks": ("owner_id", "series_id"),
    "quarantine": ("item",),
    "waiting": ("owner_id",),
    "masks": ("volume_id",),
    "report_matches": ("report_id",),
    "report_versions": ("report_id",),
    "corrections": ("report_id",),
    "reports": ("report_id",),
    "sentences": ("report_id",),
    "findings": ("report_id",),
    "study_reports": ("study_id",),
    "anatomy_texts": ("study_id",),
    "cross_checks": ("study_id",),
    "splits": ("patient_id",),
    "samples": ("sample_id",),
    "unlabelled_samples": ("sample_id",),
    "measures": ("item",),
    "radiomics": ("volume_id",),
    "clinical": ("patient_id",),
    "decisions": ("study_id", "volume_id", "report_id", "other_study_id"),
    "review_effects": ("study_id", "volume_id", "report_id", "other_study_id"),
    "restrictions": ("owner_id",),
    "files": ("item",),
    "ledger": ("item",),
}
"""By table the columns one of which says whose a row is."""


@dataclass(slots=True)
class Rows:
    """What is to go of the tables.

    `replaced` holds by table the values of its `replaced_by` column whose rows go; `counts` their
    numbers; `paths` the files of the store that these rows name. `sources` are the sources, by
    discovery, of which rows go; `affected` the items of others, by stage, whose rows name
    something that goes or are made of its text.
    """

    replaced: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    sources: dict[str, list[str]] = field(default_factory=dict)
    affected: dict[str, list[str]] = field(default_factory=dict)


def find_rows(context: Context, extent: Extent, stages: Sequence[Stage]) -> Rows:
    """The rows of an extent, and what rests on them.

    Raises:
        StoreError: a table cannot be read.
    """
    return with_readable_tables(
        context, schemas.TABLES, lambda: _find(context, extent, stages), mend=False
    )


def _find(context: Context, extent: Extent, stages: Sequence[Stage]) -> Rows:
    connection = context.store.connect()
    try:
        open_tables(context, connection, schemas.TABLES)
        listed(connection, "_gone", extent.ids)
        listed(connection, "_reports", extent.reports)
        listed(connection, "_studies", extent.studies)
        rows = Rows()
        for table in schemas.TABLES:
            replaced = identifier(schemas.TABLES[table].replaced_by)
            found = connection.execute(
                f"SELECT {replaced}, count(*) FROM {identifier(table)} WHERE {_is_gone(table)} "
                "GROUP BY 1 ORDER BY 1"
            ).fetchall()
            if found:
                rows.replaced[table] = [value for value, _ in found]
                rows.counts[table] = sum(number for _, number in found)
        rows.paths = [
            path
            for (path,) in connection.execute(
                f"SELECT path FROM files WHERE {_is_gone('files')} ORDER BY path"
            ).fetchall()
        ]
        for stage, kind in DISCOVERIES.items():
            touched = connection.execute(
                f"SELECT DISTINCT source FROM inputs WHERE kind = '{kind}' AND "
                f"({_is_gone('inputs')}) ORDER BY source"
            ).fetchall()
            if touched:
                rows.sources[stage] = [source for (source,) in touched]
        rows.affected = _affected(connection, stages)
        return rows
    finally:
        connection.close()


def _is_gone(table: str) -> str:
    """SQL condition of the rows that are of what goes."""
    columns = OWNED_BY[table]
    conditions = [f"{identifier(column)} IN (FROM _gone)" for column in columns]
    return " OR ".join(f"coalesce({one}, FALSE)" for one in conditions)


def _affected(
    connection: duckdb.DuckDBPyConnection, stages: Sequence[Stage]
) -> dict[str, list[str]]:
    """Items of others by stage: those that name what goes, and studies that share a report."""
    found: dict[str, set[str]] = defaultdict(set)
    for table in schemas.TABLES:
        for stage, condition in _stages_of(table, stages):
            for query in _naming(table, condition):
                found[stage] |= {item for (item,) in connection.execute(query).fetchall()}
    shared = connection.execute(
        "SELECT study_id FROM study_reports WHERE report_id IN (FROM _reports) AND study_id NOT "
        "IN (FROM _studies)"
    ).fetchall()
    found["pair"] |= {study for (study,) in shared}
    if found["pair"]:
        # their samples hold the report's words
        listed(connection, "_sharing", found["pair"])
        samples = connection.execute(
            "SELECT sample_id FROM samples WHERE study_id IN (FROM _sharing)"
        ).fetchall()
        found["shard"] |= {sample for (sample,) in samples}
    return {stage: sorted(items) for stage, items in sorted(found.items()) if items}


def _stages_of(table: str, stages: Sequence[Stage]) -> Iterator[tuple[str, str]]:
    """The stages that have rows in a table, each with the SQL condition of these."""
    for stage in stages:
        for name, also in owned(stage):
            if name == table and table not in ("links", "files"):
                held = [f"{identifier(key)} = '{value}'" for key, value in also.items()]
                yield stage.name, " AND ".join(held) or "TRUE"


def _naming(table: str, condition: str) -> Iterator[str]:
    """SQL of the items with rows of others that name something which goes."""
    definition = schemas.TABLES[table]
    item = identifier(definition.replaced_by)
    mine = f"FROM {identifier(table)} WHERE ({condition}) AND NOT ({_is_gone(table)})"
    for column in definition.schema:
        if column.name in (*WORDS, definition.replaced_by):
            continue
        name = identifier(column.name)
        if pa.types.is_string(column.type):
            values = f"list_append(regexp_extract_all({name}, '{ID}'), {name})"
        elif pa.types.is_list(column.type) and pa.types.is_string(column.type.value_type):
            values = (
                f"list_concat({name}, flatten(list_transform({name}, lambda x: "
                f"regexp_extract_all(x, '{ID}'))))"
            )
        else:
            continue
        yield (
            f"SELECT DISTINCT item FROM (SELECT {item} AS item, unnest({values}) AS id {mine}) "
            "WHERE id IN (FROM _gone)"
        )
