"""A store and a vault of its own for each check, and a stage run on it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fvlm_data.identity.vault import Vault
from fvlm_data.store.commits import retire, settle
from fvlm_data.store.declared import Context
from fvlm_data.store.planning import pending
from fvlm_data.store.tables import Store
from fvlm_data.testing.statements import check_reject

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fvlm_data.store.declared import Stage


@contextmanager
def world(key: bytes = b"\0" * 32) -> Iterator[Context]:
    """An empty store with a vault of the given key, gone after the block."""
    with TemporaryDirectory() as folder:
        vault = Path(folder, "vault")
        vault.mkdir(mode=0o700)
        # a fixed key, so that two worlds give the same ids
        (vault / "key").write_bytes(key.hex().encode())
        (vault / "key").chmod(0o600)
        yield Context(Store.create(str(Path(folder, "store"))), Vault.open(vault), "check")


def settle_all(context: Context, stage: Stage) -> int:
    """Settle all that a stage has to do; the number of items.

    Raises:
        RuntimeError: the stage did not give one outcome for each item.
    """
    work = pending(context, stage)
    retire(context, stage, work.obsolete)
    for batch in work.batches:
        settle(context, stage, batch)
    return sum(len(batch) for batch in work.batches)


def contents(context: Context, tables: Sequence[str]) -> dict[str, list[str]]:
    """All rows of tables in a fixed order."""
    return {
        table: sorted(
            json.dumps(row, sort_keys=True, default=str)
            for row in context.store.read(table).to_pylist()
        )
        for table in tables
    }


def check_rejects(context: Context) -> None:
    """Rejects have codes and no identities (names, ids, paths of files)."""
    rows = context.store.read("quarantine").to_pylist()
    tokens = context.store.read("inputs", ["token"])["token"].to_pylist()
    paths = context.vault.file_paths(tokens).values()
    private = {part for path in paths for part in (Path(path).stem, *Path(path).parent.parts)}
    patients = set(context.store.read("candidates", ["patient_id"])["patient_id"].to_pylist())
    for known in context.vault.patient_identities(patients).values():
        private.update(known)
    for row in rows:
        check_reject(row["kind"], row["reason"], row["detail"], private)
