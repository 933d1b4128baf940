"""The version of what can be judged: a hash of its content, as the tables hold it now."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from fvlm_data.hashing import content_key
from fvlm_data.store.queries import open_tables, with_readable_tables

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    import duckdb

    from fvlm_data.review.subjects import Subject
    from fvlm_data.store.declared import Context
    from fvlm_data.vocabulary import Vocabulary

TABLES = ("volumes", "masks", "reports", "study_reports", "anatomy_texts", "inputs")


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
            open_tables(context, connection, TABLES)
            return _versions(connection, subjects, vocabulary)
        finally:
            connection.close()

    return with_readable_tables(context, TABLES, work, mend=mend)


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
    rows = connection.execute(
        "SELECT study_id, volume_id, content_sha256, TRUE FROM volumes WHERE study_id IN "
        "(SELECT unnest($ids)) UNION ALL SELECT s.study_id, s.report_id, r.document_sha256, FALSE "
        "FROM study_reports s JOIN reports r USING (report_id) WHERE s.study_id IN "
        "(SELECT unnest($ids))",
        {"ids": list(by_id)},
    ).fetchall()
    imaged = {study for study, _, _, is_image in rows if is_image}
    hashed = _hashed((study, rest) for study, *rest in rows)
    return {by_id[study]: told for study, told in hashed.items() if study in imaged}


def _of_masks(
    connection: duckdb.DuckDBPyConnection, subjects: Iterable[Subject], vocabulary: Vocabulary
) -> dict[Subject, str | None]:
    wanted: dict[str, list[Subject]] = defaultdict(list)
    for one in subjects:
        wanted[one.parts[0]].append(one)
    rows = connection.execute(
        "SELECT volume_id, task, class_system, class_name, class_value, content_sha256 FROM masks "
        "WHERE volume_id IN (SELECT unnest($ids))",
        {"ids": list(wanted)},
    ).fetchall()
    makes = {system: vocabulary.classes_of(system) for system in {row[2] for row in rows}}
    made: dict[Subject, str | None] = {}
    made |= _hashed(
        (one, [task, system, name, *rest])
        for volume, task, system, name, *rest in rows
        for one in wanted[volume]
        if name in makes[system].get(one.parts[1], ())
    )
    return made


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
            made[one] = content_key(said[first, anatomy], said[second, anatomy])
    return made


def _hashed(rows: Iterable[tuple[Any, list[Any]]]) -> Mapping[Any, str]:
    """One hash by the first value, of the others in whatever order."""
    found: dict[Any, list[list[Any]]] = defaultdict(list)
    for of, rest in rows:
        found[of].append(rest)
    return {of: content_key(sorted(some)) for of, some in found.items()}
