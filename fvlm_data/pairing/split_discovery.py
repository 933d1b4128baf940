"""Discovery `discover_split`: the lines of the split file, as rows of table `inputs`.

A line's token is the link key of the patient that it names, and its fingerprint is the split.
Table `links` says which patient that is, so a line may be here before its patient's images are.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import schemas
from fvlm_data.errors import InputError
from fvlm_data.pairing.splits import NAMED_BY, read_split_file
from fvlm_data.store.content import compared
from fvlm_data.store.discovered import close_sources, open_source
from fvlm_data.store.queries import open_tables, with_readable_tables
from fvlm_data.store.sql import columns_sql
from schemas import Input

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from fvlm_data.pairing.config import PairConfig
    from fvlm_data.store.declared import Context

DISCOVERY = "discover_split"
KIND = "split"
SOURCE = "split_file"
READ_TABLES = ("inputs", "links", "volumes")


def discover_split(context: Context, config: PairConfig) -> Counter[str]:
    """Make table `inputs` hold the lines of `pair.split_file` and no others; returns their number.

    The rows are compared line by line, so that damaged rows are found just as changed lines are.
    Nothing is written if nothing differs.

    Raises:
        InputError: the file cannot be read, or it names nobody of the store.
        StoreError: a table is missing, or cannot be written.
    """
    path = config.split_file
    named = read_split_file(path, context.vault.key) if path is not None else {}
    gone = context.vault.forgotten(named)
    wanted = {token: _line(token, split) for token, split in named.items() if token not in gone}

    def work() -> list[str]:
        connection = context.store.connect()
        try:
            open_tables(context, connection, READ_TABLES)
            _make_lines(connection, list(wanted.values()))
            if path is not None and not (gone and not wanted):
                _refuse_strangers(connection, path)
            return _changed(connection)
        finally:
            connection.close()

    changed = with_readable_tables(context, READ_TABLES, work, mend=True)
    if changed:
        open_source(context, DISCOVERY, SOURCE)
        rows = [wanted[token] for token in changed if token in wanted]
        context.store.replace("inputs", changed, rows, {"kind": KIND})
    close_sources(context, DISCOVERY, KIND, {SOURCE})
    return _counts(wanted)


def _make_lines(connection: duckdb.DuckDBPyConnection, lines: list[Input]) -> None:
    """The table `_lines`, of the same columns as `inputs`."""
    connection.execute("CREATE TEMP TABLE _lines AS SELECT * FROM inputs LIMIT 0")
    # most often there is no split file: Arrow, for naught, would import pandas
    if lines:
        connection.register("_wanted", schemas.TABLES["inputs"].to_arrow(lines))
        connection.execute("INSERT INTO _lines BY NAME SELECT * FROM _wanted")


def _line(token: str, split: str) -> Input:
    return Input(
        kind=KIND,
        token=token,
        source=SOURCE,
        item=None,
        fingerprint=split,
        size_bytes=0,
        modified_ns=0,
    )


def _changed(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Tokens whose rows are not exactly those of the file: new, other, gone, or there twice."""
    columns = columns_sql(compared("inputs"))
    wanted = f"SELECT {columns} FROM _lines"
    there = f"SELECT {columns} FROM inputs WHERE kind = '{KIND}'"
    found = connection.execute(
        # ALL: a row that is there twice differs from one that is there once
        f"SELECT DISTINCT token FROM (({wanted} EXCEPT ALL {there}) UNION ALL "
        f"({there} EXCEPT ALL {wanted})) ORDER BY token"
    ).fetchall()
    return [token for (token,) in found]


def _refuse_strangers(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Refuse a file that names none of the patients, most often for lost leading zeros.

    Volumes count, not ids: of files without headers nobody may have an id, and the split would
    be another one without a word.
    """
    lines, patients, found = connection.execute(
        "SELECT (SELECT count(*) FROM _lines), (SELECT count(DISTINCT patient_id) FROM volumes), "
        "(SELECT count(*) FROM links WHERE owner_kind IN ('patient', 'study', 'series') "
        "AND value_hash IN (SELECT token FROM _lines))"
    ).fetchall()[0]
    if patients and not found:
        raise InputError(
            f"split file {path}: names {lines} patients or scans, none of the store's {patients} "
            "patients; expected ids as in the headers (PatientID, leading zeros kept), or of "
            f"files without any {', '.join(NAMED_BY[1:])} as its column; mend the file or leave "
            "pair.split_file out"
        )


def _counts(named: Mapping[str, Input]) -> Counter[str]:
    return Counter({"rows": len(named)} if named else {})
