"""Writing to a Delta Lake table: which rows a commit replaces, and why one failed."""

from __future__ import annotations

import os
import random
import shutil
import time
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

import schemas
from fvlm_data.errors import MachineError, StoreError
from fvlm_data.memory import NO_SPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

COMMIT_ATTEMPTS = 30
FAILED_ATTEMPTS = 2

Written = TypeVar("Written")


def check_owners(table: str, rows: pa.Table, expected: Mapping[str, Sequence[str]]) -> None:
    """Refuse rows of other items: the replacement would not delete their older versions.

    Raises:
        SchemaError: a row has a value of `expected`'s columns that is not listed there.
    """
    for column, values in expected.items():
        strangers = pc.invert(pc.is_in(rows.column(column), pa.array(values, pa.string())))
        if pc.any(strangers).as_py():
            raise schemas.SchemaError(
                f"table {table}: a row's {column} is none of those that the commit replaces"
            )


def rows_of(column: str, items: Sequence[str], also: Mapping[str, str]) -> str:
    """SQL of the rows of `items` (sorted) with the given column values.

    The range is stated beside the list: the writer skips files by their minimum and maximum, and
    a long list of random ids alone never lets it.
    """
    listed = ", ".join(_quoted(item) for item in items)
    conditions = [f"{name} = {_quoted(value)}" for name, value in also.items()]
    if len(items) > 1:
        conditions.append(f"{column} >= {_quoted(items[0])} AND {column} <= {_quoted(items[-1])}")
    return " AND ".join([*conditions, f"{column} IN ({listed})"])


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def by_key(table: str, rows: Iterable[Mapping[str, Any]]) -> dict[tuple[Any, ...], Any]:
    """Rows by their primary key, to be compared whatever their order."""
    key = schemas.TABLES[table].primary_key
    return {tuple(row[column] for column in key): dict(row) for row in rows}


def write_error(url: str, what: str, error: Exception) -> StoreError:
    """The error for something that could not be written, with what to do."""
    if isinstance(error, shutil.Error):  # a copied tree: one (source, target, reason) a file
        found = sorted({str(reason).split(": ")[0] for _, _, reason in error.args[0]})
        why = "; ".join(found)
    elif isinstance(error, OSError) and error.errno:
        why = os.strerror(error.errno)
    else:
        why = str(error)
    first_line = why.strip().splitlines()[0] if why.strip() else type(error).__name__
    kind = MachineError if _may_pass(error, why) else StoreError
    return kind(
        f"store {url}: {what} cannot be written: {first_line}; free space or mend the place, "
        "then run again: finished work is kept"
    )


def _may_pass(error: Exception, why: str) -> bool:
    """Whether the place may be written again in a while, without another setting."""
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    # the library of the tables, and that of copied trees, tell of the disk in words
    full = any(os.strerror(number) in why for number in NO_SPACE)
    return full or (isinstance(error, OSError) and error.errno in NO_SPACE)


def table_unreadable(url: str, table: str, error: Exception) -> StoreError:
    """The error for a table that cannot be read, with what to do."""
    return StoreError(
        f"store {url}: table {table} cannot be read ({type(error).__name__}); the next run makes "
        "what it lacks anew, `fvlm-data verify` tells what that is; if it stays, restore "
        f"tables/{table} from a backup"
    )


def retried(url: str, table: str, write: Callable[[], Written]) -> Written:
    """Do a commit, and retry it when another writer got in between.

    Raises:
        StoreError: the table cannot be written, or changes under every attempt.
    """
    for attempt in range(COMMIT_ATTEMPTS):
        try:
            return write()
        except CommitFailedError:
            # jitter, so that writers which collided once do not collide again; the pause stops
            # growing at 2 s
            time.sleep(random.uniform(0.02, 0.1) * min(2**attempt, 20))
        except (DeltaError, OSError) as error:
            # not only a conflict passes: this writer may have been so slow that the log's entries
            # which tell whether there is one have been removed
            if attempt < FAILED_ATTEMPTS:
                continue
            raise write_error(url, f"table {table}", error) from error
    raise StoreError(
        f"store {url}: table {table} changed under {COMMIT_ATTEMPTS} attempts to write it; too "
        "many writers at once, run again"
    )


def append(delta: DeltaTable, rows: pa.Table) -> None:
    """Add rows to a table in one commit."""
    # column descriptions are stored metadata; an older store has other wording and keeps it
    bare = rows.cast(pa.schema([field.remove_metadata() for field in rows.schema]))
    write_deltalake(delta, bare, mode="append")
