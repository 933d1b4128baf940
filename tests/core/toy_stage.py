"""A small stage over two tables and a file; as a script it settles all that is to do.

    python toy_stage.py STORE VAULT RUN ITEMS SETTING

With TOY_DIE=before:TABLE, after:TABLE or after:file the process kills itself there.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fvlm_data.identity.vault import Vault
from fvlm_data.store.commits import retire, settle
from fvlm_data.store.declared import Batch, Context, Outcome, Read, Stage, guarded, reject
from fvlm_data.store.planning import pending
from fvlm_data.store.tables import Store
from schemas import Split, VolumeCheck, Waiting

TABLES = ("splits", "volume_checks", "quarantine", "ledger")


def make(item: str, setting: str) -> Outcome:
    """Every third item is set aside; the others have a row in each table and a file."""
    if int(item[1:]) % 3 == 2:
        return reject(item, "out_of_scope", "third", f"item {item}: every third is set aside")
    return Outcome(
        item,
        {
            "splits": [Split(patient_id=item, split="train", source="hash")],
            "volume_checks": [
                VolumeCheck(volume_id=item, body_region=setting, contrast="unknown", flags=())
            ],
        },
        files={f"toys/{item}.txt": f"{item} {setting}".encode()},
    )


def toy_stage(
    items: Sequence[str],
    setting: str = "chest",
    batch_size: int = 4,
    ran: list[str] | None = None,
    work: Any = make,
) -> Stage:
    def run(batch: Batch) -> Iterator[Outcome]:
        for one in batch.inputs:
            if ran is not None:
                ran.append(one.item)
            yield guarded(one.item, lambda item=one.item: work(item, setting))

    listed = ", ".join(f"('{item}')" for item in items)
    return Stage(
        name="toy",
        version=1,
        settings={"setting": setting},
        tables=("splits", "volume_checks"),
        items=f"SELECT * FROM (VALUES {listed}) v(item)",
        make=run,
        batch_size=batch_size,
    )


def reading_stage(items: Sequence[str], ran: list[str] | None = None) -> Stage:
    """The toy stage, made from what items wait for in table `waiting`."""
    waits = Read("waits", "waiting", "owner_id", ("waits_for",), carries=("since_run",))
    return replace(toy_stage(items, ran=ran), reads=(waits,))


def waits(item: str, what: str, since: str = "run") -> Waiting:
    return Waiting(owner_kind="study", owner_id=item, waits_for=what, since_run=since)


def settle_all(context: Context, stage: Stage) -> None:
    work = pending(context, stage)
    retire(context, stage, work.obsolete)
    for batch in work.batches:
        settle(context, stage, batch)


def contents(store: Store) -> dict[str, Any]:
    """All rows (less the run that wrote them) and files, in a fixed order."""
    found: dict[str, Any] = {path: store.read_bytes(path).decode() for path in store.files("toys")}
    for table in TABLES:
        rows = store.read(table).to_pylist()
        for row in rows:
            row.pop("run_id", None)
        found[table] = sorted(json.dumps(row, sort_keys=True) for row in rows)
    return found


class DyingStore(Store):
    """Kills its process at a given place, as `kill -9` or a power cut would."""

    place = ""
    calls = 0

    def write_bytes(self, path: str, content: bytes) -> None:
        super().write_bytes(path, content)
        self._die_at("after:file")

    def replace(
        self,
        table: str,
        items: Collection[str],
        rows: Sequence[Any],
        also: Mapping[str, str] | None = None,
    ) -> None:
        if rows:
            self._die_at(f"before:{table}")
        super().replace(table, items, rows, also)
        if rows:
            self._die_at(f"after:{table}")

    def _die_at(self, place: str) -> None:
        if place != self.place:
            return
        self.calls += 1
        if self.calls == 2:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    url, vault, run, count, setting = sys.argv[1:]
    DyingStore.place = os.environ.get("TOY_DIE", "")
    context = Context(DyingStore.open(url), Vault.open(Path(vault)), run)
    settle_all(context, toy_stage([f"i{n}" for n in range(int(count))], setting))


if __name__ == "__main__":
    main()
