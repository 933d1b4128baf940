"""A new key for the vault's contents; the key of ids stays, and with it every id."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from fvlm_data.identity.contents import TABLES
from fvlm_data.identity.secret import KEY_BYTES, contents_keys, write_contents_keys

if TYPE_CHECKING:
    from fvlm_data.identity.vault import Vault

ROWS_AT_ONCE = 500


def rotate(vault: Vault) -> int:
    """Encrypt all contents anew under a fresh key; returns the number of entries.

    May be killed and repeated: the old keys are kept until nothing needs them. Nobody else may
    write to the vault meanwhile, or what they write is lost.

    Raises:
        StoreError: the vault cannot be read or written, or an entry is under an unknown key.
    """
    fresh = secrets.token_hex(KEY_BYTES)
    write_contents_keys(vault.folder, [fresh, *contents_keys(vault.folder)])
    vault.forget_cipher()
    count = sum(_anew(vault, table) for table in TABLES)
    vault.contents.rewrite()
    write_contents_keys(vault.folder, [fresh])
    vault.forget_cipher()
    return count


def _anew(vault: Vault, table: str) -> int:
    count, last = 0, ""
    while True:
        with vault.contents.connection(alone=True) as connection:
            rows = connection.execute(
                f"SELECT id, value FROM {table} WHERE id > ? ORDER BY id LIMIT {ROWS_AT_ONCE}",
                (last,),
            ).fetchall()
            if not rows:
                return count
            connection.executemany(
                f"UPDATE {table} SET value = ? WHERE id = ?",
                [(vault.encrypted_anew(value), one) for one, value in rows],
            )
        count, last = count + len(rows), rows[-1][0]
