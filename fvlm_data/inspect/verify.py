"""Conservation and consistency of a store, proved by counting and by content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import schemas
from fvlm_data.inspect import conservation, damage
from fvlm_data.shards.check import wrong_shards
from fvlm_data.shards.restricted import PATH, TABLE, agrees
from fvlm_data.shards.sets import SETS
from fvlm_data.store.discovered import DISCOVERIES
from fvlm_data.store.file_sums import FOLDER, drop_sums
from fvlm_data.store.reading import show
from fvlm_data.store.sql import identifier
from fvlm_data.store.unchanged import NOTES, drop_notes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from fvlm_data.store.declared import Stage
    from fvlm_data.store.tables import Store


@dataclass(frozen=True, slots=True)
class Check:
    """One proved or broken statement; `examples` are ids, tokens or paths that break it.

    `remedy` says how a person can mend a broken one, if at all.
    """

    name: str
    passed: bool
    counted: str
    examples: tuple[str, ...] = ()
    remedy: str = ""


def verify(store: Store, stages: Sequence[Stage] = (), *, deep: bool = False) -> list[Check]:
    """Count every input file, series, study and report, and look for what is not as it was left.

    `stages` are those of the store's configuration, whose rows and files are compared with what
    the ledger says; with `deep` every file is read. What is found broken by reading loses its
    entry in the ledger, so that the next run remakes it. If anything is broken, that run plans
    anew.

    Raises:
        StoreError: a table's log is missing or damaged.
    """
    connection = store.connect()
    try:
        checks = [
            # first: it makes the views that all other checks read
            *_readable(store, connection),
            *(_check(connection, one) for one in conservation.STATEMENTS),
            *(_check(connection, _unique(name)) for name in schemas.TABLES),
            *_files(store, connection, stages, deep=deep),
            *(_damaged(store, connection, stage) for stage in stages),
            _shards(store, connection, deep=deep),
            _restricted(store),
            *_discovered(connection, unclosed=bool(stages)),
        ]
    finally:
        connection.close()
    return checks if all(check.passed for check in checks) else [*checks, *_plans_dropped(store)]


def _plans_dropped(store: Store) -> list[Check]:
    """A broken statement where a store that cannot be written keeps what would hide the damage."""
    left, faults = [], set()
    for path, drop in ((NOTES, drop_notes), (FOLDER, drop_sums)):
        try:
            drop(store)
        except OSError as error:
            left.append(path)
            faults.add(type(error).__name__)
    if not left:
        return []
    named = " and ".join(left)
    told = f"{named} cannot be removed ({', '.join(sorted(faults))})"
    remedy = f"remove {named} from the store, so that the next run looks for damage"
    return [Check("the next run plans anew", False, told, tuple(left), remedy)]


def _readable(store: Store, connection: duckdb.DuckDBPyConnection) -> list[Check]:
    """Views of all tables, of the files that can be read."""
    lost = []
    for table in schemas.TABLES:
        scanned, unreadable = store.readable_scan(table)
        show(connection, table, scanned)
        lost += [f"tables/{table}/{path}" for path in unreadable]
    return [
        Check(
            "every file of the tables can be read",
            not lost,
            f"{len(lost)} unreadable",
            tuple(lost[: damage.EXAMPLES]),
            "`fvlm-data curate` takes them out and makes what they held anew",
        )
    ]


def _check(connection: duckdb.DuckDBPyConnection, statement: conservation.Statement) -> Check:
    counted = ", ".join(
        f"{connection.execute(query).fetchall()[0][0]} {what}"
        for what, query in statement.counts.items()
    )
    wrong = connection.execute(
        f"SELECT DISTINCT item FROM ({statement.wrong}) ORDER BY item LIMIT {damage.EXAMPLES}"
    ).fetchall()
    examples = tuple(str(item) for (item,) in wrong)
    return Check(statement.name, not examples, counted, examples, statement.remedy)


def _unique(table: str) -> conservation.Statement:
    keys = ", ".join(identifier(name) for name in schemas.TABLES[table].primary_key)
    return conservation.Statement(
        f"table {table} has one row a primary key",
        f"SELECT concat_ws(' ', {keys}) AS item FROM {identifier(table)} "
        f"GROUP BY {keys} HAVING count(*) > 1",
        {"rows": f"SELECT count(*) FROM {identifier(table)}"},
    )


def _damaged(store: Store, connection: duckdb.DuckDBPyConnection, stage: Stage) -> Check:
    broken, settled = damage.broken_items(store, connection, stage)
    return Check(
        f"rows and files of stage {stage.name} are those that it settled",
        not broken,
        f"{settled} items, {len(broken)} damaged",
        tuple(broken[: damage.EXAMPLES]),
        "`fvlm-data curate` makes them anew",
    )


def _shards(store: Store, connection: duckdb.DuckDBPyConnection, *, deep: bool) -> Check:
    found = [wrong_shards(store, connection, one, deep=deep) for one in SETS]
    named = sum(number for number, _ in found)
    wrong = sorted(path for _, paths in found for path in paths)
    return Check(
        "the index and files of each shard are those that the tables name",
        not wrong,
        f"{named} shards",
        tuple(wrong[: damage.EXAMPLES]),
        "`fvlm-data curate` writes them anew",
    )


def _restricted(store: Store) -> Check:
    """Whether readers of shards, who read no table, are told whom to leave out."""
    right = agrees(store)
    return Check(
        f"{PATH} names whom table restrictions names",
        right,
        f"{store.count(TABLE)} restrictions",
        () if right else (PATH,),
        "`fvlm-data shard` writes it anew; exports and training that were made meanwhile may hold "
        "samples that they may not",
    )


def _discovered(connection: duckdb.DuckDBPyConnection, *, unclosed: bool) -> list[Check]:
    checks = []
    for stage, kind in DISCOVERIES.items():
        changed = damage.changed_sources(connection, stage, kind, unclosed=unclosed)
        checks.append(
            Check(
                f"inputs of kind {kind} are those that discovery left",
                not changed,
                f"{len(changed)} sources differ",
                tuple(changed[: damage.EXAMPLES]),
                "`fvlm-data curate` looks at them anew",
            )
        )
    return checks


def _files(
    store: Store,
    connection: duckdb.DuckDBPyConnection,
    stages: Sequence[Stage],
    *,
    deep: bool,
) -> list[Check]:
    named, wrong = damage.wrong_sizes(store, connection)
    remedy = "`fvlm-data curate` makes them anew; volumes and masks whose sources are gone come "
    remedy += "from a backup only"
    checks = [
        Check(
            "every named file is there",
            not wrong,
            f"{named} files, by size",
            tuple(wrong[: damage.EXAMPLES]),
            remedy,
        )
    ]
    if deep:
        # files that are missing or of another size are known already, and need no reading
        changed = damage.wrong_contents(store, connection, set(wrong))
        damage.unsettle_files(store, connection, stages, changed)
        checks.append(
            Check(
                "every file holds what was written",
                not changed,
                f"{named} files read",
                tuple(changed[: damage.EXAMPLES]),
                remedy,
            )
        )
    return checks
