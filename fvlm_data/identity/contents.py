"""Where the vault's encrypted rows lie: a SQLite file in its folder, or a PostgreSQL server.

PostgreSQL, for workers on several machines, is named by a file `database` beside the key: one
libpq URL or connection string. SQLite locks by the file system, which network ones get wrong.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from fvlm_data.errors import StoreError
from fvlm_data.extras import needs_extra

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

SQLITE = "vault.sqlite"
SERVER = "database"
"""File in the vault's folder that names a PostgreSQL server."""

TABLES = ("files", "patients", "reports", "forgotten", "notes")
CONNECT_S = 30

WITHHELD = (
    "the vault is kept from this process, since its stage says that it needs none, and it was "
    "asked all the same; have the stage say `needs_vault`"
)


class Connection(Protocol):
    """One transaction, in SQL that both engines understand; `?` stands for a parameter."""

    def execute(self, query: str, parameters: Sequence[Any] = ..., /) -> Any:
        """A cursor."""

    def executemany(self, query: str, parameters: Iterable[Sequence[Any]], /) -> Any:
        """A cursor, whose `rowcount` is the number of changed rows of all."""


class Contents(Protocol):
    """What the vault needs of an engine."""

    def create(self) -> None:
        """Make the place ready; PostgreSQL waits for the first connection."""

    def connection(
        self, *, alone: bool = False, one_moment: bool = False
    ) -> Any:  # a context manager of Connection
        """A transaction, kept if the block ends well.

        `alone`: no other one with `alone` goes on beside it. `one_moment`: all reads see the state
        of the first.
        """

    def rewrite(self) -> None:
        """Leave no byte of deleted rows in the tables' files."""


def contents_of(folder: Path, key: bytes) -> Contents:
    """The engine of the vault in a folder."""
    return Postgres(folder, key) if (folder / SERVER).is_file() else Sqlite(folder)


def has_contents(folder: Path) -> bool:
    """Whether the vault of a folder holds anything to open; opening it would make an empty one."""
    return (folder / SERVER).is_file() or (folder / SQLITE).is_file()


class Withheld:
    """The contents of a vault that is kept from this process: every look-up is refused."""

    def create(self) -> None:
        """There is nothing to make."""

    def connection(self, *, alone: bool = False, one_moment: bool = False) -> Any:
        """As `Contents.connection`.

        Raises:
            StoreError: always.
        """
        raise StoreError(WITHHELD)

    def rewrite(self) -> None:
        """There is nothing to rewrite."""


def _table(name: str, blob: str) -> str:
    return f"CREATE TABLE IF NOT EXISTS {name} (id TEXT PRIMARY KEY, value {blob})"


class Sqlite:
    """A file in the vault's folder (0600)."""

    def __init__(self, folder: Path) -> None:
        """Nothing is opened yet."""
        self._folder = folder
        self._file = folder / SQLITE

    def create(self) -> None:
        """Make file and tables."""
        # created here since SQLite would give the file the umask's permissions
        descriptor = os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600)
        os.close(descriptor)
        with self.connection() as connection:
            for name in TABLES:
                connection.execute(_table(name, "BLOB"))

    @contextmanager
    def connection(
        self, *, alone: bool = False, one_moment: bool = False
    ) -> Iterator[sqlite3.Connection]:
        """As `Contents.connection`."""
        try:
            with closing(sqlite3.connect(self._file, timeout=60)) as connection, connection:
                if alone or one_moment:
                    connection.execute("BEGIN IMMEDIATE" if alone else "BEGIN")
                yield connection
        except sqlite3.Error as error:
            raise StoreError(
                f"vault {self._folder}: cannot be read or written ({error}); free space or mend "
                "the folder, then run again: finished work is kept"
            ) from error

    def rewrite(self) -> None:
        """As `Contents.rewrite`."""
        with self.connection() as connection:
            connection.commit()
            connection.execute("VACUUM")


class Postgres:
    """A schema of a PostgreSQL database, called after the vault's key: many vaults may share one.

    The address is read from the file at each connection, and is no part of this object, of an error
    or of a pickle. Passwords may stand in it, or where libpq looks: PGPASSWORD, PGPASSFILE.
    """

    def __init__(self, folder: Path, key: bytes) -> None:
        """Nothing is connected yet: who needs the key alone opens no connection."""
        self._folder = folder
        self._schema = f"vault_{hmac.new(key, b'vault schema', hashlib.sha256).hexdigest()[:20]}"
        self._made = False

    def create(self) -> None:
        """Done with the first connection."""

    @contextmanager
    def connection(self, *, alone: bool = False, one_moment: bool = False) -> Iterator[Connection]:
        """As `Contents.connection`."""
        with self._server() as server:
            if not self._made:
                self._make(server)
            with server.transaction():
                if one_moment:
                    server.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                if alone:
                    self._lock(server)
                yield _Translated(server)

    def rewrite(self) -> None:
        """As `Contents.rewrite`; the server's write-ahead log and its backups are its keeper's."""
        with self._server() as server:
            for name in TABLES:
                # outside a transaction, as the server demands
                server.execute(f"VACUUM FULL {name}")

    @contextmanager
    def _server(self) -> Iterator[Any]:
        with needs_extra("postgres", f"vault {self._folder}: its file {SERVER}"):
            import psycopg

        try:
            address = (self._folder / SERVER).read_text(encoding="utf-8").strip()
            with psycopg.connect(
                address, autocommit=True, connect_timeout=CONNECT_S, application_name="fvlm"
            ) as server:
                server.execute(f"SET search_path TO {self._schema}")
                yield server
        except (psycopg.Error, OSError, UnicodeError) as error:
            state = getattr(error, "sqlstate", None)
            told = f"{type(error).__name__}{f', SQLSTATE {state}' if state else ''}"
            # without its message and cause, which may quote the address
            raise StoreError(
                f"vault {self._folder}: its PostgreSQL cannot be read or written ({told}); see to "
                f"the server and to the address in the file {SERVER}, then run again: finished "
                "work is kept"
            ) from None

    def _make(self, server: Any) -> None:
        with server.transaction():
            # two that make one schema at once end in an error, even with IF NOT EXISTS
            self._lock(server)
            server.execute(f"CREATE SCHEMA IF NOT EXISTS {self._schema}")
            for name in TABLES:
                # ordered by bytes, as SQLite does
                server.execute(_table(name, "BYTEA").replace("TEXT", 'TEXT COLLATE "C"'))
        self._made = True

    def _lock(self, server: Any) -> None:
        server.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (self._schema,))


class _Translated:
    """A server's connection that takes `?` for a parameter; no query has one in a literal."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def execute(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        if not parameters:  # then psycopg leaves percent signs alone
            return self._server.execute(query)
        return self._server.execute(query.replace("?", "%s"), parameters)

    def executemany(self, query: str, parameters: Iterable[Sequence[Any]]) -> Any:
        cursor = self._server.cursor()
        cursor.executemany(query.replace("?", "%s"), parameters)
        return cursor
