"""The record of what went: numbers, no identity, and a mark that only the vault's key can make."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import schemas
from fvlm_data.forget.rows import OWNED_BY
from fvlm_data.identity.vault import RECORD
from fvlm_data.inspect.verify import Check
from fvlm_data.store.queries import open_tables, with_readable_tables
from fvlm_data.store.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fvlm_data.forget.journal import Journal
    from fvlm_data.store.declared import Context

FOLDER = "forgotten"
IDS_AT_ONCE = 100_000
NOTES = f"{RECORD}forgotten:"
"""Before the names of notes by which the vault knows which records there must be."""


def record_path(record: str) -> str:
    """Where a record lies in the store."""
    return f"{FOLDER}/{record}.json"


def write_record(context: Context, journal: Journal, done: Mapping[str, int]) -> str:
    """Write and sign the record of a forgetting; returns its path in the store.

    `done` are numbers that are known only afterwards. A record that stands is left as it is.
    """
    path = record_path(journal.record)
    if context.vault.note(NOTES + journal.record) is None:
        told = {
            "record": journal.record,
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "program": version("fvlm"),
            "asked": journal.targets,
            "later": journal.later,
            "rows": dict(sorted(journal.rows.counts.items())),
            "files": {**journal.files, **done},
            "made_anew": {k: len(items) for k, items in sorted(journal.rows.affected.items())},
            "exports": len(journal.exports),
        }
        signed = mark(context.vault.key, told)
        content = {"told": told, "mark": signed}
        context.store.write_bytes(path, json.dumps(content, indent=2).encode())
        context.vault.keep_note(NOTES + journal.record, signed)
    return path


def mark(key: bytes, told: Mapping[str, Any]) -> str:
    """HMAC-SHA-256, under a key derived from the vault's, of the record as canonical JSON."""
    own = hmac.new(key, b"record of forgetting", hashlib.sha256).digest()
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac.new(own, text.encode(), hashlib.sha256).hexdigest()


def checks(context: Context) -> list[Check]:
    """Whether all records stand as they were written, and nothing of what went is in the tables.

    Raises:
        StoreError: the store or the vault cannot be read.
    """
    expected = {
        name.removeprefix(NOTES): kept
        for name, kept in context.vault.notes().items()
        if name.startswith(NOTES)
    }
    paths = {record_path(record): kept for record, kept in expected.items()}
    there = [path for path in context.store.files(FOLDER) if path.endswith(".json")]
    wrong = sorted(paths.keys() - set(there))
    wrong += [path for path in there if not _stands(context, path, paths.get(path))]
    back = sorted(_forgotten_ids(context))
    return [
        Check(
            "the records of what was forgotten stand as they were signed",
            not wrong,
            f"{len(expected)} records",
            tuple(wrong[:5]),
            "bring them back from a backup of the store",
        ),
        Check(
            "nothing of what was forgotten is in the tables",
            not back,
            f"{len(back)} ids found",
            tuple(back[:5]),
            "run `fvlm-data forget` for it again",
        ),
    ]


def _stands(context: Context, path: str, kept: str | None) -> bool:
    try:
        content = json.loads(context.store.read_bytes(path))
        found = mark(context.vault.key, content["told"])
        return hmac.compare_digest(found, content["mark"]) and found == kept
    except (ValueError, KeyError, TypeError):
        return False


def _forgotten_ids(context: Context) -> set[str]:
    """Ids in the tables that were forgotten."""

    def work() -> set[str]:
        connection = context.store.connect()
        try:
            open_tables(context, connection, OWNED_BY)
            query = " UNION ".join(
                f"SELECT {identifier(column)} FROM {identifier(table)}"
                for table, columns in OWNED_BY.items()
                for column in columns
            )
            found: set[str] = set()
            result = connection.execute(query)
            while rows := result.fetchmany(IDS_AT_ONCE):
                found.update(context.vault.forgotten(one for (one,) in rows if one))
            return found
        finally:
            connection.close()

    return with_readable_tables(context, schemas.TABLES, work, mend=False)
