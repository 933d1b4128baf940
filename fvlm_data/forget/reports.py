"""Whose a report is, also of one that no table names any more."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations, product
from typing import TYPE_CHECKING

from fvlm_data.forget.listing import listed
from fvlm_data.reports.offered import report_id_of, text_columns
from fvlm_data.reports.versions.original_reports import remembered

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import duckdb

    from fvlm_data.store.declared import Context

Links = frozenset[tuple[str, str]]
"""Kinds and keyed hashes of the original ids that a report names."""

OF_ONE_KIND = 2
"""Values of one kind that a report names at most: its number with and without the issuer."""

REPORTS = """
WITH own AS (
    SELECT owner_id AS report_id, kind, value_hash FROM links WHERE owner_kind = 'report'
), joined AS (
    SELECT report_id, bool_or(owner_id IN (FROM _studies)) AS mine FROM (
        SELECT report_id, owner_id FROM report_matches WHERE owner_kind = 'study'
        UNION SELECT report_id, study_id FROM study_reports
    ) GROUP BY report_id
), named AS (
    SELECT report_id, bool_or(value_hash IN (SELECT value_hash FROM links WHERE owner_kind =
        'patient' AND owner_id IN (FROM _patients)) OR value_hash IN (FROM _hashes)) AS mine
    FROM own WHERE kind = 'patient_id' GROUP BY report_id
), others AS (
    SELECT DISTINCT value_hash FROM links WHERE owner_kind <> 'report'
    AND owner_id NOT IN (FROM _studies) AND owner_id NOT IN (FROM _patients)
    AND stated_by NOT IN (FROM _series)
), said AS (
    SELECT report_id, bool_or(value_hash IN (FROM _hashes) AND value_hash NOT IN (FROM others))
        AS mine FROM own WHERE kind <> 'patient_id' GROUP BY report_id
), about AS (
    SELECT report_id, bool_or(owner_id IN (FROM _patients)) AS mine FROM report_matches
    WHERE owner_kind = 'patient' GROUP BY report_id
)
SELECT report_id FROM (SELECT DISTINCT report_id FROM own)
LEFT JOIN joined USING (report_id) LEFT JOIN named USING (report_id)
LEFT JOIN said USING (report_id) LEFT JOIN about USING (report_id)
WHERE CASE WHEN joined.mine IS NOT NULL THEN joined.mine
    WHEN coalesce(said.mine, FALSE) THEN TRUE
    WHEN named.mine IS NOT NULL THEN named.mine
    ELSE coalesce(about.mine, FALSE) END
"""
"""Reports that are joined to a study to go; of the others, those that name it, then by the
patient's number; one that tells neither goes with any patient whom it may be about."""


def reports_of(
    connection: duckdb.DuckDBPyConnection,
    studies: Collection[str],
    patients: Collection[str],
    hashes: Collection[str],
) -> set[str]:
    """Reports of studies and patients, over views of the tables."""
    for name, ids in (("_studies", studies), ("_patients", patients), ("_hashes", hashes)):
        listed(connection, name, ids)
    return {report for (report,) in connection.execute(REPORTS).fetchall()}


def retired_reports(
    context: Context,
    connection: duckdb.DuckDBPyConnection,
    studies: Collection[str],
    patients: Collection[str],
    reports: Collection[str],
) -> set[str]:
    """Those of the reports that their source no longer offers that were of these studies.

    No table says whose they were. But an id is made of what its report names and says: the vault
    has the words, and the names are those of the study or of the report that took its place.
    """
    rows = connection.execute(
        "SELECT regexp_replace(token, '\\.[0-9]+$', '') FROM inputs "
        "WHERE kind = 'report' AND item IS NULL"
    ).fetchall()
    originals = remembered(context.vault, sorted({report for (report,) in rows}))
    if not originals:
        return set()
    named = {*_of_reports(connection, reports), *_of_studies(connection, studies, patients)}
    key = context.vault.key
    found = set()
    for report, original in originals.items():
        columns = text_columns(original.columns)
        if any(report_id_of(key, links, columns) == report for links in named):
            found.add(report)
    return found


def _of_reports(connection: duckdb.DuckDBPyConnection, reports: Collection[str]) -> Iterator[Links]:
    """What each of the reports names."""
    links: dict[str, set[tuple[str, str]]] = defaultdict(set)
    rows = connection.execute(
        "SELECT owner_id, kind, value_hash FROM links WHERE owner_kind = 'report' "
        "AND owner_id IN (SELECT unnest(?::VARCHAR[]))",
        [sorted(reports)],
    ).fetchall()
    for report, kind, value in rows:
        links[report].add((kind, value))
    yield from map(frozenset, links.values())


def _of_studies(
    connection: duckdb.DuckDBPyConnection, studies: Collection[str], patients: Collection[str]
) -> Iterator[Links]:
    """What a report of each study may name: some or none of each kind of its ids."""
    rows = connection.execute(
        "SELECT DISTINCT s.owner_id, k.kind, k.value_hash FROM links s "
        "JOIN links k ON k.stated_by = s.stated_by "
        "WHERE s.owner_kind = 'study' AND s.owner_id IN (SELECT unnest(?::VARCHAR[])) "
        "AND k.kind <> 'series_uid' "
        "AND (k.owner_kind <> 'patient' OR k.owner_id IN (SELECT unnest(?::VARCHAR[])))",
        [sorted(studies), sorted(patients)],
    ).fetchall()
    by_study: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for study, kind, value in rows:
        by_study[study][kind].add(value)
    for kinds in by_study.values():
        choices = [list(_some(kind, sorted(values))) for kind, values in sorted(kinds.items())]
        for chosen in product(*choices):
            links = frozenset().union(*chosen)
            if links:
                yield links


def _some(kind: str, values: list[str]) -> Iterator[Links]:
    most = 1 if kind == "volume_name" else OF_ONE_KIND
    for number in range(most + 1):
        for chosen in combinations(values, number):
            yield frozenset((kind, value) for value in chosen)
