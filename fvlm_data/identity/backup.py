"""A vault written to another folder, and brought back from there without losing what it has."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from fvlm_data.errors import StoreError
from fvlm_data.identity.contents import SQLITE, TABLES
from fvlm_data.identity.secret import contents_keys, write_contents_keys
from fvlm_data.identity.vault import Vault, read_key

if TYPE_CHECKING:
    from pathlib import Path

    from fvlm_data.identity.contents import Contents


def back_up(vault: Vault, folder: Path) -> dict[str, int]:
    """Write key and contents of a vault to a new folder (0700, files 0600); returns what it holds.

    The contents become a SQLite file, wherever they lie.

    May be done while runs write: the copy is the state of one moment.

    Raises:
        StoreError: the folder is not empty, or cannot be written.
    """
    try:
        check_empty(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        _private(folder / "key")
        shutil.copyfile(vault.folder / "key", folder / "key")
        write_contents_keys(folder, contents_keys(vault.folder))
        _copy(vault.contents, Vault.open(folder).contents)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"backup {folder}: cannot be written ({type(error).__name__}); expected a folder that "
            "this user may write, with room for the vault"
        ) from error
    return Vault.open(folder).extent()


def _copy(source: Contents, target: Contents) -> None:
    """All rows as they are, encrypted, at one moment."""
    with source.connection(one_moment=True) as rows, target.connection() as copy:
        for table in TABLES:
            copy.executemany(
                f"INSERT INTO {table} VALUES (?, ?)", rows.execute(f"SELECT id, value FROM {table}")
            )


def check_empty(folder: Path) -> None:
    """Refuse (StoreError) a folder that holds something."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(
            f"backup {folder}: the folder is not empty, expected a new one; name another"
        )


def foresee_restore(backup: Path, folder: Path) -> tuple[dict[str, int], dict[str, int]]:
    """What a backup holds, and what the vault in `folder` does (nothing where there is none).

    Raises:
        StoreError: there is no backup, or it has another key than the vault.
    """
    _check_backup(backup)
    if not (folder / "key").is_file():
        return Vault.open(backup).extent(), {}
    _check_key(backup, folder)
    return Vault.open(backup).extent(), Vault.open(folder).extent()


def restore(backup: Path, folder: Path) -> dict[str, int]:
    """Bring what a backup holds to the vault in `folder`; returns what the vault then holds.

    What the vault has already stays: names are joined, paths and reports added where they lack. A
    database that cannot be read is put aside as `vault.sqlite.damaged`.

    Raises:
        StoreError: there is no backup, it has another key than the vault, or cannot be read.
    """
    _check_backup(backup)
    kept = Vault.open(backup)
    if (folder / "key").is_file():
        _check_key(backup, folder)
    else:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _private(folder / "key")
        shutil.copyfile(backup / "key", folder / "key")
        write_contents_keys(folder, contents_keys(backup))
    _put_damaged_aside(folder / SQLITE)
    vault = Vault.open(folder)
    vault.add_from(kept)
    return vault.extent()


def _check_backup(backup: Path) -> None:
    if not (backup / "key").is_file() or not (backup / SQLITE).is_file():
        raise StoreError(
            f"backup {backup}: no key and {SQLITE} found, expected what `fvlm-data vault backup` "
            "wrote; name its folder"
        )


def _check_key(backup: Path, folder: Path) -> None:
    if read_key(folder / "key") != read_key(backup / "key"):
        raise StoreError(
            f"backup {backup}: its key is not that of vault {folder}; expected a backup of "
            "this vault"
        )


def _put_damaged_aside(database: Path) -> None:
    if not database.exists():
        return
    with contextlib.suppress(sqlite3.DatabaseError):
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
        return
    database.rename(database.with_name(f"{database.name}.damaged"))


def _private(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    path.chmod(0o600)
