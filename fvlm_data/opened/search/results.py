"""What a query finds: counts, a page of studies with the sentences that say it, an export."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import InputError
from fvlm_data.opened.search.parser import parse
from fvlm_data.opened.search.sql import sentences_said, study_conditions
from fvlm_data.opened.studies import STUDIES

if TYPE_CHECKING:
    import pyarrow as pa

    from fvlm_data.store.relations import Relations
    from fvlm_data.vocabulary import Vocabulary

FORM = "fvlm-search 1"
SENTENCES_SHOWN = 3
"""Of a study that is listed."""

SEARCH = """
WITH found AS MATERIALIZED (SELECT * FROM ({studies}) WHERE {held}),
said AS MATERIALIZED (
    SELECT DISTINCT study_id, report_id, sentence FROM ({said})
    WHERE study_id IN (SELECT study_id FROM found)
),
page AS MATERIALIZED (SELECT * FROM found ORDER BY study_id LIMIT $limit OFFSET $offset),
shown AS (
    SELECT study_id, list({{'section': section, 'text': text}} ORDER BY report_id, sentence) AS said
    FROM (
        SELECT s.study_id, t.report_id, t.sentence, t.section, t.text
        FROM said s JOIN sentences t ON t.report_id = s.report_id AND t.sentence = s.sentence
        WHERE s.study_id IN (SELECT study_id FROM page)
        QUALIFY row_number() OVER (
            PARTITION BY s.study_id ORDER BY t.report_id, t.sentence
        ) <= {sentences}
    )
    GROUP BY study_id
)
SELECT
    (SELECT count(*) FROM found),
    (SELECT count(DISTINCT patient_id) FROM found),
    (SELECT count(*) FROM said),
    (
        SELECT list(
            {{'study_id': study_id, 'split': split, 'age_years': age_years, 'sex': sex,
              'manufacturer': manufacturer, 'volumes': volumes, 'said': said}}
            ORDER BY study_id
        )
        FROM page LEFT JOIN shown USING (study_id)
    )
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """A study that was found; `said` are its first sentences that fulfil a term, by section."""

    study_id: str
    split: str | None
    age_years: float | None
    sex: str | None
    manufacturer: str | None
    volumes: int
    said: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Counts of all that was found, and the studies from place `offset` on, by id.

    `query` is the query as it was understood. `sentences` counts those that fulfil a term.
    """

    query: str
    studies: int
    patients: int
    sentences: int
    offset: int
    hits: tuple[Hit, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def search(
    relations: Relations, vocabulary: Vocabulary, text: str, *, limit: int = 50, offset: int = 0
) -> Found:
    """Studies of which a query holds, from place `offset` at most `limit`; one SQL query.

    Raises:
        InputError: a word of the query is not known.
        StoreError: a table is missing or damaged.
    """
    query = parse(text, vocabulary)
    asked = SEARCH.format(
        studies=STUDIES,
        held=" AND ".join(study_conditions(query, vocabulary)),
        said=sentences_said(query, vocabulary),
        sentences=SENTENCES_SHOWN,
    )
    places = {"limit": limit, "offset": offset}
    ((studies, patients, sentences, rows),) = relations.newest_rows(asked, places)
    hits = tuple(_hit(row) for row in rows or ())
    return Found(str(query), studies, patients, sentences, offset, hits)


def _hit(row: dict[str, Any]) -> Hit:
    said = tuple((one["section"], one["text"]) for one in row["said"] or ())
    return Hit(**{**row, "said": said})


def exported(relations: Relations, vocabulary: Vocabulary, text: str, suffix: str) -> bytes:
    """Ids of all studies that a query finds, with the query, as csv, json or parquet.

    Raises:
        InputError: a word of the query or the suffix is not known.
        StoreError: a table is missing or damaged.
    """
    query = parse(text, vocabulary)
    if suffix not in ("csv", "json", "parquet"):
        raise InputError(f"search: export as {suffix or 'nothing'}: expected csv, json or parquet")
    held = " AND ".join(study_conditions(query, vocabulary))
    ids = relations.arrow(f"SELECT study_id FROM ({STUDIES}) WHERE {held} ORDER BY study_id")
    told = {"form": FORM, "query": str(query), "studies": ids.num_rows}
    if suffix == "parquet":
        return _parquet(ids, told)
    if suffix == "json":
        told["study_ids"] = ids["study_id"].to_pylist()
        return (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode()
    return _csv(ids["study_id"].to_pylist(), str(query))


def _parquet(ids: pa.Table, told: dict[str, Any]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(ids.replace_schema_metadata({b"fvlm": json.dumps(told).encode()}), sink)
    return bytes(sink.getvalue())


def _csv(ids: list[str], query: str) -> bytes:
    """A column of ids, and the query beside each: no reader needs to know of a comment."""
    import csv
    import io

    sink = io.StringIO(newline="")
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(("study_id", "query"))
    writer.writerows((one, query) for one in ids)
    return sink.getvalue().encode()
