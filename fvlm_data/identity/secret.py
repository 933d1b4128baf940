"""Files of the vault's keys: `key` makes all ids, `contents.key` encrypts what is kept."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from typing import TYPE_CHECKING

from fvlm_data.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES = 32
CONTENTS_KEY = "contents.key"
DERIVED = "derived"
"""In place of a key of contents: that which is derived from the key of ids, as without a file."""


def contents_keys(folder: Path) -> list[str]:
    """Keys of a vault's contents in hexadecimal or DERIVED: the first encrypts, all decrypt.

    Raises:
        StoreError: the file holds something else.
    """
    path = folder / CONTENTS_KEY
    if not path.is_file():
        return [DERIVED]
    keys = path.read_text(encoding="latin-1").split()
    if not keys or any(one != DERIVED and not is_key(one) for one in keys):
        raise StoreError(
            f"vault key {path}: expected lines of {2 * KEY_BYTES} hexadecimal digits; restore the "
            "file from a backup"
        )
    return keys


def write_contents_keys(folder: Path, keys: list[str]) -> None:
    """Exchange the file in one step.

    Raises:
        StoreError: it cannot be written.
    """
    draft = folder / f"{CONTENTS_KEY}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as handle:
            handle.write("".join(f"{one}\n" for one in keys))
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(folder / CONTENTS_KEY)
    except OSError as error:
        raise StoreError(
            f"vault {folder}: {CONTENTS_KEY} cannot be written ({type(error).__name__}); mend the "
            "folder and run again"
        ) from error


def secret_of(key: bytes, told: str) -> bytes:
    """32 bytes that encrypt contents, of a line of the file and the key of ids."""
    if told == DERIVED:
        # a key of its own for encryption, so that ids and contents do not share one
        return hmac.new(key, b"vault contents", hashlib.sha256).digest()
    return bytes.fromhex(told)


def is_key(text: str) -> bool:
    """Whether a text is a key in hexadecimal."""
    return len(text) == 2 * KEY_BYTES and set(text) <= set("0123456789abcdef")
