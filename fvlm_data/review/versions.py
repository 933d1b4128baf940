"""The version of what can be judged: a hash of its content, as the tables hold it now."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from fvlm_data.hashing import content_key
from fvlm_data.store.queries import with_readable_tables
from fvlm_data.store.reading import show

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import duckdb

    from fvlm_data.review.subjects import Subject
    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary

MASK_COLUMNS = ("task", "class_system", "class_name", "class_value", "content_sha256")
TABLES = ("volumes", "masks", "reports", "study_reports", "anatomy_texts", "inputs")

FOUND_BY = {
    "volumes": ("study_id", ("study_id",)),
    "masks": ("volume_id", ("volume_id",)),
    "anatomy_texts": ("study_id", ("study_id", "other_study_id")),
}
"""Of the great tables the column by which rows are looked for, and the parts of a subject that give
its values."""


def study_version(images: Iterable[Mapping[str, Any]], reports: Iterable[Mapping[str, Any]]) -> str:
    """Version of a study, by rows of its volumes and reports."""
    parts = [[row["volume_id"], row["content_sha256"], True] for row in images]
    parts += [[row["report_id"], row["document_sha256"], False] for row in reports]
    return content_key(sorted(parts))


def mask_version(rows: Iterable[Mapping[str, Any]]) -> str:
    """Version of an anatomy's mask, by those rows of table `masks` whose classes make it."""
    return content_key(sorted([row[name] for name in MASK_COLUMNS] for row in rows))


def pair_version(one: Sequence[Any], other: Sequence[Any]) -> str:
    """Version of a pair, by text, state and signature of both studies, ordered by their ids."""
    return content_key(list(one), list(other))


def versions_of(
    context: Context, subjects: Collection[Subject], vocabulary: Vocabulary, *, mend: bool = False
) -> dict[Subject, str | None]:
    """The version of each subject now, of those that are there.

    - study: its images and the texts of its reports,
    - mask: the label maps, and the classes of them that make the anatomy,
    - sentence and finding: the scrubbed text of the report, whatever it is read as; None while a
      report is known and not read,
    - pair: what is said of the anatomy in both studies.

    None of these changes with what review makes of it.

    Raises:
        StoreError: a table cannot be read; with `mend` its unreadable files are taken out.
    """
    if not subjects:
        return {}

    def work() -> dict[Subject, str | None]:
        connection = context.store.connect()
        try:
            for table in TABLES:
                among = _among(table, subjects)
                show(connection, table, context.store.scan(table, among=among))
            return _versions(connection, subjects, vocabulary)
        finally:
            connection.close()

    return with_readable_tables(context, TABLES, work, mend=mend)


def _among(table: str, subjects: Collection[Subject]) -> dict[str, list[str]]:
    """Values by which files of the great tables are passed over; none where all may matter."""
    if table not in FOUND_BY:
        return {}
    column, names = FOUND_BY[table]
    return {
        column: sorted({value for one in subjects for name in names if (value := one.part(name))})
    }


def _versions(
    connection: duckdb.DuckDBPyConnection, subjects: Collection[Subject], vocabulary: Vocabulary
) -> dict[Subject, str | None]:
    of_kind: dict[str, list[Subject]] = defaultdict(list)
    for one in subjects:
        of_kind[one.kind].append(one)
    texts = [*of_kind["sentence"], *of_kind["finding"]]
    made: dict[Subject, str | None] = {}
    if of_kind["study"]:
        made |= _of_studies(connection, of_kind["study"])
    if of_kind["mask"]:
        made |= _of_masks(connection, of_kind["mask"], vocabulary)
    if texts:
        made |= _of_texts(connection, texts)
    if of_kind["pair"]:
        made |= _of_pairs(connection, of_kind["pair"])
    return made


def _of_studies(
    connection: duckdb.DuckDBPyConnection, subjects: Iterable[Subject]
) -> dict[Subject, str | None]:
    by_id = {one.parts[0]: one for one in subjects}
    images = _by(
        connection,
        "SELECT study_id, volume_id, content_sha256 FROM volumes WHERE study_id IN "
        "(SELECT unnest($ids))",
        by_id,
    )
    reports = _by(
        connection,
        "SELECT s.study_id, r.report_id, r.document_sha256 FROM study_reports s JOIN reports r "
        "USING (report_id) WHERE s.study_id IN (SELECT unnest($ids))",
        by_id,
    )
    return {
        by_id[study]: study_version(some, reports.get(study, ())) for study, some in images.items()
    }


def _of_masks(
    connection: duckdb.DuckDBPyConnection, subjects: Iterable[Subject], vocabulary: Vocabulary
) -> dict[Subject, str | None]:
    wanted: dict[str, list[Subject]] = defaultdict(list)
    for one in subjects:
        wanted[one.parts[0]].append(one)
    rows = _by(
        connection,
        f"SELECT volume_id, {', '.join(MASK_COLUMNS)} FROM masks WHERE volume_id IN "
        "(SELECT unnest($ids))",
        wanted,
    )
    made: dict[Subject, str | None] = {}
    for volume, some in rows.items():
        for one in wanted[volume]:
            mine = [row for row in some if makes(row, one.parts[1], vocabulary)]
            if mine:
                made[one] = mask_version(mine)
    return made


def makes(row: Mapping[str, Any], anatomy: str, vocabulary: Vocabulary) -> bool:
    """Whether the class of a row of table `masks` is part of an anatomy."""
    return row["class_name"] in vocabulary.classes_of(row["class_system"]).get(anatomy, ())


def _of_texts(
    connection: duckdb.DuckDBPyConnection, subjects: Iterable[Subject]
) -> dict[Subject, str | None]:
    subjects = list(subjects)
    ids = {"ids": sorted({one.parts[0] for one in subjects})}
    known: dict[str, str | None] = {
        report: None
        for (report,) in connection.execute(
            "SELECT DISTINCT item FROM inputs WHERE kind = 'report' AND item IN "
            "(SELECT unnest($ids))",
            ids,
        ).fetchall()
    }
    rows = connection.execute(
        "SELECT report_id, document_sha256 FROM reports WHERE report_id IN (SELECT unnest($ids))",
        ids,
    ).fetchall()
    known |= {report: told or None for report, told in rows}
    return {one: known[one.parts[0]] for one in subjects if one.parts[0] in known}


def _of_pairs(
    connection: duckdb.DuckDBPyConnection, subjects: Iterable[Subject]
) -> dict[Subject, str | None]:
    wanted = list(subjects)
    rows = connection.execute(
        "SELECT study_id, anatomy, text, state, signature FROM anatomy_texts "
        "WHERE study_id IN (SELECT unnest($ids))",
        {"ids": sorted({study for one in wanted for study in one.parts[:2]})},
    ).fetchall()
    said = {(study, anatomy): rest for study, anatomy, *rest in rows}
    made: dict[Subject, str | None] = {}
    for one in wanted:
        first, second, anatomy = one.parts
        if (first, anatomy) in said and (second, anatomy) in said:
            made[one] = pair_version(said[first, anatomy], said[second, anatomy])
    return made


def _by(
    connection: duckdb.DuckDBPyConnection, query: str, ids: Iterable[str]
) -> dict[str, list[dict[str, Any]]]:
    """Rows of a query over `$ids` by its first column."""
    rows = connection.execute(query, {"ids": list(ids)})
    names = [one[0] for one in rows.description or ()]
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows.fetchall():
        found[row[0]].append(dict(zip(names, row, strict=True)))
    return dict(found)
