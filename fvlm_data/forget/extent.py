"""All that is of the patients and studies to be forgotten, found in the tables and the vault."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import schemas
from fvlm_data.forget.listing import listed
from fvlm_data.forget.places import files_beside
from fvlm_data.forget.reports import reports_of, retired_reports
from fvlm_data.forget.targets import OF_A_PATIENT
from fvlm_data.identity.ids import link_key
from fvlm_data.segment.mask_content import stem
from fvlm_data.store.queries import open_tables, with_readable_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

    from fvlm_data.forget.targets import Target
    from fvlm_data.store.declared import Context

PARTS = ("patients", "studies", "series", "volumes", "reports", "samples", "files", "hashes")


@dataclass(slots=True)
class Extent:
    """Ids by what they are of; `files` are tokens of all inputs, `hashes` those of original ids.

    `patients` are only those who go as a whole. `hashes` are of no other patient, study or report,
    `shared` those that are.
    `erased` are what the vault loses as well and what may come again: files that held reports of
    these patients alone, patients of whom no study is left.
    """

    patients: set[str] = field(default_factory=set)
    studies: set[str] = field(default_factory=set)
    series: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    reports: set[str] = field(default_factory=set)
    samples: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    hashes: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)

    @property
    def ids(self) -> set[str]:
        """All ids, tokens and hashes under which something is to go."""
        return set().union(*(getattr(self, name) for name in PARTS))


def find_extent(context: Context, targets: Sequence[Target]) -> Extent:
    """What is of the targets, all together.

    Raises:
        StoreError: a table or the vault cannot be read.
    """
    return with_readable_tables(
        context, schemas.TABLES, lambda: _find(context, targets), mend=False
    )


def _find(context: Context, targets: Sequence[Target]) -> Extent:
    connection = context.store.connect()
    try:
        open_tables(context, connection, schemas.TABLES)
        extent = Extent()
        for target in targets:
            whole = target.what == OF_A_PATIENT
            (extent.patients if whole else extent.studies).update(target.ids)
            extent.hashes.update(target.hashes)
        unknown = {one for target in targets if not target.ids for one in target.hashes}
        add_named(connection, extent)
        extent.erased |= _left_without_study(connection)
        extent.reports |= retired_reports(
            context, connection, extent.studies, extent.patients, extent.reports
        )
        _inputs(context, connection, extent)
        _shared_hashes(connection, extent, unknown)
        return extent
    finally:
        connection.close()


def add_named(connection: duckdb.DuckDBPyConnection, extent: Extent) -> None:
    """Add to patients, studies and hashes what the tables, which are open views, tell to be theirs.

    Files, and reports that no table names any more, are not among it: the vault knows of those.
    """
    _images(connection, extent)
    _own_hashes(connection, extent)
    extent.reports |= reports_of(connection, extent.studies, extent.patients, extent.hashes)


def _images(connection: duckdb.DuckDBPyConnection, extent: Extent) -> None:
    """Studies, series, volumes and samples; of a series that was refused only its marks tell."""
    listed(connection, "_patients", extent.patients)
    listed(connection, "_studies", extent.studies)
    listed(connection, "_hashes", extent.hashes)
    extent.studies |= _ids(
        connection,
        "SELECT study_id FROM candidates WHERE patient_id IN (FROM _patients) UNION "
        "SELECT study_id FROM volumes WHERE patient_id IN (FROM _patients) UNION "
        "SELECT k.owner_id FROM links k JOIN links p ON p.stated_by = k.stated_by "
        "WHERE k.owner_kind = 'study' AND p.owner_kind = 'patient' "
        "AND p.owner_id IN (FROM _patients)",
    )
    listed(connection, "_studies", extent.studies)
    extent.hashes |= _ids(
        connection,
        "SELECT value_hash FROM links WHERE owner_kind = 'patient' AND owner_id IN (FROM "
        "_patients) UNION SELECT value_hash FROM links WHERE owner_kind = 'study' AND kind = "
        "'study_uid' AND owner_id IN (FROM _studies)",
    )
    listed(connection, "_hashes", extent.hashes)
    extent.series |= _ids(
        connection,
        "SELECT series_id FROM candidates WHERE study_id IN (FROM _studies) UNION "
        "SELECT series_id FROM volumes WHERE study_id IN (FROM _studies) UNION "
        "SELECT stated_by FROM links WHERE owner_id IN (FROM _studies) UNION "
        "SELECT series_id FROM identity_marks WHERE owner_id IN (FROM _patients) UNION "
        "SELECT series_id FROM identity_marks WHERE owner_id IN (FROM _hashes)",
    )
    listed(connection, "_series", extent.series)
    extent.volumes |= _ids(
        connection,
        "SELECT volume_id FROM candidates WHERE series_id IN (FROM _series) UNION "
        "SELECT volume_id FROM volumes WHERE series_id IN (FROM _series)",
    )
    listed(connection, "_volumes", extent.volumes)
    extent.samples |= _ids(
        connection,
        " UNION ".join(
            f"SELECT sample_id FROM {table} WHERE study_id IN (FROM _studies) OR volume_id IN "
            "(FROM _volumes)"
            for table in ("samples", "unlabelled_samples")
        ),
    )


def _left_without_study(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Patients of whom nothing is left when their study goes; another one may come."""
    return _ids(
        connection,
        "SELECT patient_id FROM candidates WHERE study_id IN (FROM _studies) EXCEPT "
        "SELECT patient_id FROM candidates WHERE study_id NOT IN (FROM _studies) EXCEPT "
        "SELECT owner_id FROM identity_marks WHERE series_id NOT IN (FROM _series) EXCEPT "
        "FROM _patients",
    )


def _own_hashes(connection: duckdb.DuckDBPyConnection, extent: Extent) -> None:
    """Hashes of the original ids of studies and series, and of whole patients."""
    extent.hashes |= _ids(
        connection,
        "SELECT value_hash FROM links WHERE owner_id IN (FROM _studies) OR owner_id IN (FROM "
        "_series) OR owner_id IN (FROM _patients) UNION "
        # of refused series and files: what they were called, which only marks still tell
        "SELECT owner_id FROM identity_marks WHERE series_id IN (FROM _series) AND NOT "
        "starts_with(owner_id, 'p_')",
    )


def _inputs(context: Context, connection: duckdb.DuckDBPyConnection, extent: Extent) -> None:
    """Tokens of files, mapping rows, masks, report rows and lines of the split file."""
    listed(connection, "_reports", extent.reports)
    listed(connection, "_hashes", extent.hashes)
    listed(connection, "_items", extent.series | extent.volumes | extent.reports)
    extent.files |= _ids(
        connection,
        "SELECT token FROM inputs WHERE item IN (FROM _items) OR token IN (FROM _series) UNION "
        "SELECT token FROM inputs WHERE kind = 'split' AND token IN (FROM _hashes) UNION "
        "SELECT token FROM inputs WHERE kind = 'clinical' AND item IN (FROM _hashes) UNION "
        # repeats of a report, and what was changed in its source, have no item
        "SELECT token FROM inputs WHERE kind = 'report' AND item IS NULL "
        "AND regexp_replace(token, '\\.[0-9]+$', '') IN (FROM _reports)",
    )
    listed(connection, "_files", extent.files)
    # files that were set aside and told their series or study, or have a slice's folder and name,
    # and none of another patient's
    extent.files |= _ids(
        connection,
        "WITH mine AS (SELECT * FROM inputs WHERE kind = 'file' AND token IN (FROM _files)), "
        "others AS (SELECT * FROM inputs WHERE kind = 'file' AND item IS NOT NULL AND token NOT "
        "IN (FROM _files)) SELECT token FROM inputs i WHERE kind = 'file' AND item IS NULL AND ("
        + " OR ".join(_alike(column) for column in ("study", "series", "alike"))
        + ")",
    )
    extent.files |= files_beside(context, connection, extent.files)
    extent.files |= _ownerless_masks(context, connection, extent.hashes)
    extent.files |= _mask_files(connection, extent.files)
    listed(connection, "_files", extent.files)
    extent.erased |= _ids(
        connection,
        "SELECT source FROM inputs WHERE kind = 'report' GROUP BY source "
        "HAVING bool_and(token IN (FROM _files))",
    )


def _alike(column: str) -> str:
    return (
        f"({column} IN (SELECT {column} FROM mine WHERE {column} IS NOT NULL) AND {column} NOT IN "
        f"(SELECT {column} FROM others WHERE {column} IS NOT NULL)"
        + (" AND study IS NULL AND series IS NULL)" if column == "alike" else ")")
    )


def _mask_files(connection: duckdb.DuckDBPyConnection, files: set[str]) -> set[str]:
    """Tokens of the files of masks, of which a row's token is made; none that others share."""
    rows = connection.execute("SELECT token, source FROM inputs WHERE kind = 'mask'").fetchall()
    of_file = {token: token.rpartition(f".{source.partition(':')[2]}")[0] for token, source in rows}
    others = {file for token, file in of_file.items() if token not in files}
    return {file for token, file in of_file.items() if token in files} - others


def _ownerless_masks(
    context: Context, connection: duckdb.DuckDBPyConnection, hashes: set[str]
) -> set[str]:
    """Tokens of masks that wait for a volume and are called as one of the series to go."""
    tokens = _ids(connection, "SELECT token FROM inputs WHERE kind = 'mask' AND item IS NULL")
    names = {token: stem(path) for token, path in context.vault.file_paths(tokens).items()}
    key = context.vault.key
    return {
        token
        for token, name in names.items()
        if name.strip()
        and not hashes.isdisjoint(link_key(k, name, key=key) for k in ("series_uid", "volume_name"))
    }


def _shared_hashes(
    connection: duckdb.DuckDBPyConnection, extent: Extent, unknown: Iterable[str]
) -> None:
    """Leave out hashes that somebody else goes by too, but those given of who is not there."""
    listed(connection, "_hashes", extent.hashes)
    listed(connection, "_owners", extent.patients | extent.studies | extent.series | extent.reports)
    shared = _ids(
        connection,
        "SELECT value_hash FROM links WHERE value_hash IN (FROM _hashes) AND owner_id NOT IN "
        "(FROM _owners) UNION SELECT owner_id FROM identity_marks WHERE owner_id IN (FROM _hashes) "
        "AND series_id NOT IN (FROM _series)",
    )
    extent.shared = shared - set(unknown)
    extent.hashes -= extent.shared


def _ids(connection: duckdb.DuckDBPyConnection, query: str) -> set[str]:
    return {one for (one,) in connection.execute(query).fetchall() if one}
