"""The vault: the key of all ids, and what only its keeper may look up again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from fvlm_data.errors import StoreError
from fvlm_data.identity.contents import WITHHELD, Withheld, contents_of
from fvlm_data.identity.secret import KEY_BYTES, contents_keys, is_key, secret_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryptography.fernet import MultiFernet

    from fvlm_data.identity.contents import Connection

ENVIRONMENT_VARIABLE = "FVLM_VAULT"
CONTENTS = ("files", "patients", "reports")
RECORD = "record:"
"""Before the names of notes that a backup brings back; others are of work that is under way."""

REPLACING = "ON CONFLICT (id) DO UPDATE SET value = excluded.value"
IDS_AT_ONCE = 500
"""Ids in one statement: SQLite takes some thousand."""


class Vault:
    """A folder (0700) outside the store with the key (0600) and an encrypted look-up table.

    The table lies there too, or on a PostgreSQL server (`identity.contents`).

    It holds the key of all ids, the relative path behind each file token, the names, ids and
    dates of each patient's headers, by which reports are scrubbed, and the reports as they
    came. Losing it means that a later run makes other ids; nobody can turn the ids of the store
    back without it. Of what was forgotten it holds a keyed hash of each id, and takes none of
    these in again.
    """

    def __init__(self, folder: Path, key: bytes) -> None:
        """Use `Vault.open`; `key` is the secret of this vault."""
        self.folder = folder
        self.contents = contents_of(folder, key) if key else Withheld()
        self._key = key
        self._cipher: MultiFernet | None = None

    @classmethod
    def withheld(cls) -> Vault:
        """A vault that opens nothing and refuses to be asked, for work that needs none."""
        return cls(Path(), b"")

    @property
    def key(self) -> bytes:
        """The key of all ids.

        Raises:
            StoreError: the vault is kept from this process.
        """
        if not self._key:
            raise StoreError(WITHHELD)
        return self._key

    @classmethod
    def open(cls, folder: Path) -> Vault:
        """Open the vault in `folder`; if there is none, make one with a fresh key.

        Raises:
            StoreError: the folder cannot be made or read, or its key file is damaged.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            vault = cls(folder, _read_or_make_key(folder / "key"))
            vault.contents.create()
        except OSError as error:
            raise StoreError(
                f"vault {folder}: cannot be opened ({type(error).__name__}); expected a folder "
                f"that this user may write; set identity.vault or {ENVIRONMENT_VARIABLE}"
            ) from error
        return vault

    def remember_files(self, paths: Mapping[str, str]) -> None:
        """Keep the relative path behind each file token."""
        self._put("files", ((token, path) for token, path in paths.items()))

    def file_paths(self, tokens: Iterable[str]) -> dict[str, str]:
        """Relative paths behind `tokens`; unknown tokens are left out."""
        return self._get("files", tokens)

    def unknown_files(self, tokens: Iterable[str]) -> set[str]:
        """Those of `tokens` behind which no path is kept."""
        return self._lacking("files", tokens)

    def remember_patient(self, patient_id: str, identities: Iterable[str]) -> None:
        """Add names, ids and dates found in a patient's headers to what is known of them."""
        # the write lock before the read: two workers with headers of one patient must not lose
        # each other's names
        with self.contents.connection(alone=True) as connection:
            if self._forgotten(connection, [patient_id]):
                return
            row = connection.execute(
                "SELECT value FROM patients WHERE id = ?", (patient_id,)
            ).fetchone()
            known = set(json.loads(self._decrypt(row[0]))) if row else set()
            merged = sorted(known | {value for value in identities if value.strip()})
            connection.execute(
                f"INSERT INTO patients VALUES (?, ?) {REPLACING}",
                (patient_id, self._encrypt(json.dumps(merged))),
            )

    def patient_identities(self, patient_ids: Iterable[str]) -> dict[str, list[str]]:
        """Names, ids and dates by patient id; unknown patients are left out."""
        found = self._get("patients", patient_ids)
        return {patient: json.loads(value) for patient, value in found.items()}

    def unknown_patients(self, patient_ids: Iterable[str]) -> set[str]:
        """Those of the patients of whom nothing is known; none is decrypted to tell."""
        return self._lacking("patients", patient_ids)

    def extent(self) -> dict[str, int]:
        """How much the vault holds: patients, bytes of their names, files, reports.

        None of the numbers falls while a vault is in use: one that is lower tells of a loss.
        """
        query = (
            "SELECT (SELECT count(*) FROM patients), "
            "(SELECT coalesce(sum(length(value)), 0) FROM patients), "
            "(SELECT count(*) FROM files), (SELECT count(*) FROM reports)"
        )
        with self.contents.connection() as connection:
            counts = connection.execute(query).fetchone()
        # PostgreSQL sums to a Decimal
        numbers = [int(number) for number in counts]
        return dict(zip(("patients", "name_bytes", "files", "reports"), numbers, strict=True))

    def remember_reports(self, originals: Mapping[str, Mapping[str, str]]) -> None:
        """Keep the original text columns of reports, by report id."""
        self._put("reports", ((i, json.dumps(columns)) for i, columns in originals.items()))

    def reports(self, report_ids: Iterable[str]) -> dict[str, dict[str, str]]:
        """Original text columns of reports; unknown reports are left out."""
        return {i: json.loads(value) for i, value in self._get("reports", report_ids).items()}

    def unknown_reports(self, report_ids: Iterable[str]) -> set[str]:
        """Those of the reports that are not kept; none is decrypted to tell."""
        return self._lacking("reports", report_ids)

    def add_from(self, other: Vault) -> None:
        """Take in what another vault of the same key holds; what stands here stays.

        What either of them has forgotten is not brought back.
        """
        with other.contents.connection() as theirs:
            with self.contents.connection() as ours:
                for table, some in (("forgotten", ""), ("notes", f" WHERE id LIKE '{RECORD}%'")):
                    ours.executemany(
                        f"INSERT INTO {table} VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
                        (
                            # the two may encrypt under different keys
                            (one, self._encrypt(other._decrypt(value)))
                            for one, value in theirs.execute(f"SELECT id, value FROM {table}{some}")
                        ),
                    )
            for identifier, value in theirs.execute("SELECT id, value FROM patients"):
                self.remember_patient(identifier, json.loads(other._decrypt(value)))
            for table in ("files", "reports"):
                with self.contents.connection() as ours:
                    rows = theirs.execute(f"SELECT id, value FROM {table}")
                    while part := rows.fetchmany(IDS_AT_ONCE):
                        gone = self._forgotten(ours, [identifier for identifier, _ in part])
                        ours.executemany(
                            f"INSERT INTO {table} VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
                            [
                                (one, self._encrypt(other._decrypt(value)))
                                for one, value in part
                                if one not in gone
                            ],
                        )

    def forgotten(self, identifiers: Iterable[str]) -> dict[str, str]:
        """Those of the ids that were forgotten, with what is to become of what comes later."""
        with self.contents.connection() as connection:
            return self._forgotten(connection, identifiers)

    def remember_forgotten(self, identifiers: Iterable[str], later: str, group: str) -> None:
        """Keep a keyed hash of each id, and `later`: what is to become of what comes under it.

        Ids of one `group` are let in again together.
        """
        told = json.dumps([later, group])
        rows = [(self._mark(one), self._encrypt(told)) for one in sorted(set(identifiers))]
        with self.contents.connection() as connection:
            connection.executemany(f"INSERT INTO forgotten VALUES (?, ?) {REPLACING}", rows)

    def lift(self, identifiers: Iterable[str]) -> None:
        """Take in again what comes under the ids, or under others of their groups."""
        wanted = {self._mark(one) for one in identifiers}
        with self.contents.connection() as connection:
            groups = {
                mark: json.loads(self._decrypt(value))[1]
                for mark, value in connection.execute("SELECT id, value FROM forgotten")
            }
            lifted = {groups[mark] for mark in wanted if mark in groups}
            connection.executemany(
                "DELETE FROM forgotten WHERE id = ?",
                [(mark,) for mark, group in groups.items() if group in lifted],
            )

    def erase(self, identifiers: Iterable[str]) -> dict[str, int]:
        """Remove all that is kept under the ids, so that no byte of it stays in the file.

        Returns how many entries of each kind went.
        """
        wanted = [(one,) for one in sorted(set(identifiers))]
        gone = {}
        with self.contents.connection() as connection:
            for table in CONTENTS:
                done = connection.executemany(f"DELETE FROM {table} WHERE id = ?", wanted)
                gone[table] = max(0, done.rowcount)  # -1 where nothing was wanted
        self.contents.rewrite()
        return gone

    def replace_identities(self, patient_id: str, identities: Iterable[str]) -> None:
        """Have a patient's entry hold just these names, ids and dates."""
        with self.contents.connection() as connection:
            connection.execute(
                f"INSERT INTO patients VALUES (?, ?) {REPLACING}",
                (patient_id, self._encrypt(json.dumps(sorted(set(identities))))),
            )

    def note(self, name: str) -> str | None:
        """A note that was kept under a name."""
        with self.contents.connection() as connection:
            row = connection.execute("SELECT value FROM notes WHERE id = ?", (name,)).fetchone()
        return self._decrypt(row[0]) if row else None

    def notes(self) -> dict[str, str]:
        """All notes by name."""
        with self.contents.connection() as connection:
            rows = connection.execute("SELECT id, value FROM notes ORDER BY id").fetchall()
        return {name: self._decrypt(value) for name, value in rows}

    def keep_note(self, name: str, text: str) -> None:
        """Keep a note, encrypted, under a name, which is in the clear."""
        with self.contents.connection() as connection:
            connection.execute(
                f"INSERT INTO notes VALUES (?, ?) {REPLACING}", (name, self._encrypt(text))
            )

    def drop_note(self, name: str) -> None:
        """Remove a note, so that no byte of it stays in the file."""
        with self.contents.connection() as connection:
            connection.execute("DELETE FROM notes WHERE id = ?", (name,))
        self.contents.rewrite()

    def _mark(self, identifier: str) -> str:
        message = b"forgotten\x1f" + identifier.encode(errors="surrogatepass")
        return hmac.new(self.key, message, hashlib.sha256).hexdigest()

    def _forgotten(self, connection: Connection, identifiers: Iterable[str]) -> dict[str, str]:
        if connection.execute("SELECT 1 FROM forgotten LIMIT 1").fetchone() is None:
            return {}
        marks = {self._mark(one): one for one in identifiers}
        names = list(marks)
        found: dict[str, str] = {}
        for start in range(0, len(names), IDS_AT_ONCE):
            part = names[start : start + IDS_AT_ONCE]
            places = ", ".join("?" * len(part))
            rows = connection.execute(
                f"SELECT id, value FROM forgotten WHERE id IN ({places})", part
            )
            for mark, value in rows:
                found[marks[mark]] = json.loads(self._decrypt(value))[0]
        return found

    def _put(self, table: str, rows: Iterable[tuple[str, str]]) -> None:
        given = list(rows)
        with self.contents.connection() as connection:
            gone = self._forgotten(connection, [identifier for identifier, _ in given])
            connection.executemany(
                f"INSERT INTO {table} VALUES (?, ?) {REPLACING}",
                ((one, self._encrypt(value)) for one, value in given if one not in gone),
            )

    def _get(self, table: str, identifiers: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        with self.contents.connection() as connection:
            for identifier in identifiers:
                row = connection.execute(
                    f"SELECT value FROM {table} WHERE id = ?",
                    (identifier,),
                ).fetchone()
                if row:
                    found[identifier] = self._decrypt(row[0])
        return found

    def _lacking(self, table: str, identifiers: Iterable[str]) -> set[str]:
        query = f"SELECT 1 FROM {table} WHERE id = ?"
        with self.contents.connection() as connection:
            return {one for one in identifiers if not connection.execute(query, (one,)).fetchone()}

    def forget_cipher(self) -> None:
        """Read the keys of the contents again when they are needed next."""
        self._cipher = None

    def encrypted_anew(self, value: bytes) -> bytes:
        """An encrypted value under the key that encrypts now; raises StoreError as reading does."""
        return self._encrypt(self._decrypt(value))

    def _fernet(self) -> MultiFernet:
        if self._cipher is None:
            from cryptography.fernet import Fernet, MultiFernet

            found = [secret_of(self.key, told) for told in contents_keys(self.folder)]
            self._cipher = MultiFernet([Fernet(base64.urlsafe_b64encode(one)) for one in found])
        return self._cipher

    def _encrypt(self, value: str) -> bytes:
        return self._fernet().encrypt(value.encode(errors="surrogatepass"))

    def _decrypt(self, value: bytes) -> str:
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet().decrypt(value).decode(errors="surrogatepass")
        except InvalidToken as error:
            raise StoreError(
                f"vault {self.folder}: its contents were written under another key; restore "
                "the files `key` and `contents.key` that belong to it"
            ) from error


def default_vault_folder(store_id: str) -> Path:
    """The user's data folder, one vault a store; FVLM_VAULT comes before it."""
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "fvlm" / "vaults" / store_id


def _read_or_make_key(path: Path) -> bytes:
    """Read the key; make it so that two processes starting at once end with the same one."""
    if not path.exists():
        draft = path.with_name(f"key.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as handle:
            handle.write(secrets.token_hex(KEY_BYTES))
        try:
            # fails if the key exists, and never shows a half-written one; a rename would replace it
            path.hardlink_to(draft)
        except FileExistsError:
            pass  # another process made the key first: its key is the vault's
        finally:
            draft.unlink()
    return read_key(path)


def read_key(path: Path) -> bytes:
    """The key in a file.

    Raises:
        StoreError: the file holds no key.
    """
    text = path.read_text(encoding="latin-1").strip()
    if not is_key(text):
        raise StoreError(
            f"vault key {path}: expected {2 * KEY_BYTES} hexadecimal digits, found {len(text)} "
            "characters of another kind; restore the file from a backup"
        )
    return bytes.fromhex(text)
