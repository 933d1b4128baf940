"""Queries over tables: views at one version, a stage's own relations, its reads as SQL."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import duckdb

import schemas
from fvlm_data.errors import MachineError, StoreError
from fvlm_data.hashing import content_key
from fvlm_data.identity.ids import ID_DIGITS
from fvlm_data.memory import lacks_memory
from fvlm_data.store.content import Counted
from fvlm_data.store.reading import UNREADABLE, show
from fvlm_data.store.sql import columns_sql, identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fvlm_data.store.content import SumsOf
    from fvlm_data.store.declared import Context, Read, Stage
    from fvlm_data.store.reading import Part

READ = "_read_"
"""Prefix of the table that holds the rows of a read."""

WRONG_QUERY = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)
Done = TypeVar("Done")


def with_readable_tables(
    context: Context, tables: Collection[str], work: Callable[[], Done], *, mend: bool
) -> Done:
    """Do `work`; if a table's file cannot be read, take such files out and do it again.

    A concurrent compaction may remove the files of the version that is being read; the tables
    then have a newer version, and the work is repeated on that one.

    Raises:
        StoreError: a table cannot be read, and taking files out does not help.
    """
    # without a look at the logs, which hardly any plan needs: an older version than the one that
    # was read only means to do it once more
    versions = [context.store.seen_version(table) for table in sorted(tables)]
    try:
        return work()
    # a fault of our SQL is a duckdb.Error too, and must not be taken for a damaged file
    except WRONG_QUERY:
        raise
    except UNREADABLE as error:
        if lacks_memory(error):
            raise _short_of_memory(context, error) from error
        if versions != [context.store.version(table) for table in sorted(tables)]:
            return with_readable_tables(context, tables, work, mend=mend)
        dropped = sum(context.store.drop_unreadable(table) for table in tables) if mend else 0
        if not dropped:
            names = ", ".join(sorted(tables))
            raise StoreError(
                f"store {context.store.url}: one of the tables {names} cannot be read "
                f"({type(error).__name__}); `fvlm-data curate` makes what is lost anew, "
                "`fvlm-data verify` tells what that is"
            ) from error
    return work()


def _short_of_memory(context: Context, error: Exception) -> MachineError:
    return MachineError(
        f"store {context.store.url}: memory did not suffice to read its tables "
        f"({type(error).__name__}); raise execution.memory_mb, or name a disk with more room in "
        "execution.spill, and run again"
    )


def open_tables(
    context: Context, connection: duckdb.DuckDBPyConnection, tables: Collection[str]
) -> dict[str, list[Part]]:
    """Make views of the tables, fixed at their newest versions for the whole plan.

    Returns the files of each.
    """
    files = {table: context.store.files_of(table) for table in sorted(tables)}
    for table, parts in files.items():
        show(connection, table, context.store.scan_files(table, parts))
    return files


def open_views(context: Context, connection: duckdb.DuckDBPyConnection, stage: Stage) -> None:
    """Make the stage's own relations, and the macro keyed_id(prefix, part, part) that they use."""
    if any("keyed_id(" in query for query in (stage.items, *stage.views.values())):
        make_keyed_id(connection, context.vault.key)
    for name, query in stage.views.items():
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS {query}")


def make_keyed_id(connection: duckdb.DuckDBPyConnection, secret: bytes) -> None:
    """The macro keyed_id: `identity.keyed_id` in SQL, HMAC-SHA-256 (RFC 2104).

    Its pads are kept in a table rather than as literals, because DuckDB quotes queries in its
    error messages and the pads give away the key.
    """
    # SHA-256 works on blocks of 64 bytes; the vault's key has 32, so it is padded and not hashed
    # first
    key = secret.ljust(64, b"\0")
    # ipad and opad of RFC 2104, section 2
    pads = [bytes(byte ^ pad for byte in key) for pad in (0x36, 0x5C)]
    connection.execute(
        "CREATE TEMP TABLE _pads AS SELECT ?::BLOB AS within, ?::BLOB AS around", pads
    )
    connection.execute(
        # DuckDB's sha256 returns hexadecimal text: the inner digest has to be turned back into
        # bytes. chr(31) is the separator that identity.ids joins parts with
        "CREATE TEMP MACRO keyed_id(prefix, one, two) AS prefix || '_' || left(sha256("
        "(SELECT around FROM _pads) || unhex(sha256((SELECT within FROM _pads) || "
        f"encode(concat_ws(chr(31), prefix, one, two))))), {ID_DIGITS})"
    )


def read_sql(stage: Stage, read: Read, table: str, items: str = "_items") -> str:
    """SQL of a read: column item, then its columns; `table` stands for its table.

    Rows of earlier reads are in `_read_<name>`, the items in `items`.
    """
    if "item" in read.columns:  # the item that a row is read for has this name
        raise ValueError(f"stage {stage.name}: read {read.name} may not read a column called item")
    wanted, by = wanted_sql(stage, read, items), identifier(read.by)
    if read.limit is None:
        conditions = [f"({read.where})"] if read.where else []
        if read.rather:
            best = " AND ".join([*conditions, f"({read.rather})"])
            others = f"t.{by} NOT IN (SELECT t.{by} FROM {table} t WHERE {best})"
            conditions.append(f"({read.rather} OR {others})")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return (
            f"SELECT s.item, {columns_sql(read.columns, 't')} "
            f"FROM ({wanted}) s JOIN {table} t ON t.{by} = s.on_value{where}"
        )
    also = f" AND ({read.where})" if read.where else ""
    return (
        f"SELECT s.item, {columns_sql(read.columns, 'd')} FROM ({wanted}) s JOIN (SELECT * FROM "
        f"(SELECT DISTINCT t.{by} AS _by, {columns_sql(read.columns, 't')} FROM {table} t "
        f"WHERE t.{by} IN (SELECT on_value FROM ({wanted})){also}) "
        f"QUALIFY count(*) OVER (PARTITION BY _by) <= {read.limit}) d ON d._by = s.on_value"
    )


def wanted_sql(stage: Stage, read: Read, items: str = "_items") -> str:
    """SQL of columns item and on_value: by which values the rows of a read are found."""
    source, column = items, read.on
    if "." in read.on:
        name, column = read.on.split(".", 1)
        source = f"{READ}{name}"
    elif read.on != "item" and read.on not in stage.refs:
        raise ValueError(f"stage {stage.name}: read {read.name} is on {read.on}, not known")
    # DISTINCT: two rows of an earlier read may point to the same value
    return f"SELECT DISTINCT item, {identifier(column)} AS on_value FROM {source}"


def read_sums(stage: Stage, read: Read, sums_of: SumsOf) -> str | None:
    """SQL of columns value, n, low, high: sums of a read's rows by value of `by`.

    A value may have several rows, which add up. None where there are no such sums: where equal rows
    count once, where the rows are those of a relation of the stage, and where another table says
    which of them count.
    """
    if read.limit is not None or read.table in stage.views or tables_named(read.where):
        return None
    counted = Counted(read.table, read.by, read.decides, read.where)
    if not read.rather:
        return sums_of(counted)
    both = " AND ".join(f"({one})" for one in (read.where, read.rather) if one)
    return (
        f"WITH best AS MATERIALIZED ({sums_of(replace(counted, where=both))}) "
        f"FROM best UNION ALL SELECT * FROM ({sums_of(counted)}) "
        "WHERE value NOT IN (SELECT value FROM best)"
    )


def columns_joined_on(stage: Stage, read: Read) -> tuple[str, ...]:
    """Columns of a read by which later ones find their rows."""
    joined = (other.on.split(".", 1) for other in stage.reads if "." in other.on)
    return tuple(dict.fromkeys(column for name, column in joined if name == read.name))


def tables_named(query: str) -> set[str]:
    """Tables of the store that an SQL text names."""
    # any word of the text counts: a table too many errs on the safe side
    return set(re.findall(r"\w+", query)) & schemas.TABLES.keys()


def constant_key(stage: Stage) -> str:
    """The part of a stage's keys that does not depend on any input."""
    return content_key(stage.name, stage.version, dict(stage.settings))
