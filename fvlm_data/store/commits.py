"""Settling a batch: read inputs, make outcomes, then commit files, rows and ledger.

The order is what makes a killed run harmless: a file without a row is garbage, a row without a
ledger entry is replaced by the next run, and the ledger entry vouches for both.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import schemas
from fvlm_data.errors import DamagedError
from fvlm_data.identity.vault import Vault
from fvlm_data.store.content import contents_sql, digest, owned
from fvlm_data.store.declared import Batch, Item, Outcome
from fvlm_data.store.gathering import TRIED, gather
from fvlm_data.store.sql import quoted
from schemas import LedgerRow, Quarantined, StoredFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from fvlm_data.store.declared import Context, Inputs, Reject, Row, Stage


ASIDE_TOO = ("identity_marks",)
"""Tables in which even an item that is set aside has rows; such rows do not make it accepted."""


@dataclass(slots=True)
class _Made:
    """Outcomes of a batch without their contents, and the files that were written for them."""

    outcomes: list[Outcome] = field(default_factory=list)
    files: dict[str, list[StoredFile]] = field(default_factory=dict)
    trees: dict[str, list[StoredFile]] = field(default_factory=dict)


def settle(context: Context, stage: Stage, items: Sequence[Item]) -> Counter[str]:
    """Run a stage on a batch and commit files, then rows, then the ledger.

    An item that another run settled meanwhile under the same key is left as it is. Returns
    counts of accepted, set-aside, held and already settled items and of rejects by
    `kind:reason`.

    Raises:
        StoreError: the store cannot be written; nothing of the batch is in the ledger.
        RuntimeError: the stage did not give exactly one outcome for each item, or an item was
            neither accepted nor set aside.
    """
    settled, former = _opened(context, stage, items)
    left = [item for item in items if item.id not in settled]
    counts = Counter({"already settled": len(settled)} if settled else {})
    if not left:
        return counts
    inputs, parts = gather(context, stage, left)
    made = _made(context, stage, stage.make(_batch(context, stage, inputs)))
    # a Counter, not a set: two outcomes of one item would both be written
    if Counter(o.item for o in made.outcomes) != Counter(item.id for item in left):
        raise RuntimeError(f"stage {stage.name}: outcomes and items of a batch do not match")
    for outcome in made.outcomes:
        if not (_accepted(outcome) or outcome.rejects or outcome.held):
            raise RuntimeError(
                f"stage {stage.name}: item {outcome.item} has neither rows nor a reject"
            )
    # nothing above has written a row, so an exception up to here leaves only files without rows
    counts += _commit(context, stage, left, made, parts)
    held = {outcome.item for outcome in made.outcomes if outcome.held}
    _put_back(context, stage, [row for row in former if row.item in held])
    return counts


def set_aside(
    context: Context, stage: Stage, item: Item, refused: Reject, tried: str
) -> Counter[str]:
    """Settle an item as set aside without making it; `tried` says under what circumstances.

    The reject gets the source files that the item's inputs name.

    Raises:
        StoreError: the store cannot be read or written.
    """
    if _opened(context, stage, [item])[0]:
        return Counter({"already settled": 1})
    (inputs,), parts = gather(context, stage, [item])
    # of the first read that names files: others may name those that belong to no item
    named = ([row["token"] for row in rows if row.get("token")] for rows in inputs.rows.values())
    files = tuple(next(filter(None, named), ()))
    made = _Made([Outcome(item.id, rejects=(replace(refused, source_files=files),))])
    return _commit(context, stage, [item], made, {item.id: f"{parts[item.id]} {TRIED}={tried}"})


def told_names(
    context: Context, stage: Stage, items: Sequence[str]
) -> Iterator[tuple[str, Mapping[str, Sequence[str]]]]:
    """What the inputs of items tell the vault of their patients; nothing is committed.

    Raises:
        StoreError: a table is missing or damaged.
    """
    inputs, _ = gather(context, stage, [Item(one, "", ()) for one in items])
    for outcome in stage.make(_batch(context, stage, inputs)):
        yield outcome.item, outcome.identities


def retire(context: Context, stage: Stage, items: Sequence[str]) -> None:
    """Remove the rows and ledger entries of items that no longer exist."""
    if not items:
        return
    for table, also in owned(stage):
        context.store.replace(table, items, [], also)
    context.store.replace("ledger", items, [], {"stage": stage.name})


def unsettle(context: Context, stage: str, items: Sequence[str]) -> None:
    """Make the next plan remake the items; their rows stay until then."""
    if items:
        context.store.replace("ledger", items, [], {"stage": stage})


def stored_tree(stage: str, path: str, folder: Path) -> list[StoredFile]:
    """Rows of the files in a folder that will be put at `path` of the store."""
    return [
        StoredFile(
            path=f"{path}/{file.relative_to(folder).as_posix()}",
            stage=stage,
            item=path,
            size_bytes=file.stat().st_size,
            sha256=_sha256(file),
        )
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]


def _made(context: Context, stage: Stage, outcomes: Iterator[Outcome]) -> _Made:
    made = _Made()
    for outcome in outcomes:
        context.beat()
        for path, folder in outcome.trees.items():
            made.trees[path] = stored_tree(stage.name, path, folder)
            context.store.put_tree(folder, path)
        for path, content in outcome.files.items():
            context.store.write_bytes(path, content)
            made.files.setdefault(outcome.item, []).append(
                StoredFile(
                    path=path,
                    stage=stage.name,
                    item=outcome.item,
                    size_bytes=len(content),
                    sha256=hashlib.sha256(content).hexdigest(),
                )
            )
        for path, content in outcome.derived_files.items():
            context.store.write_bytes(path, content)
        made.outcomes.append(_without_files(outcome))
    return made


def _without_files(outcome: Outcome) -> Outcome:
    """The outcome without its written files, so that a batch keeps only rows in memory."""
    return Outcome(
        outcome.item,
        outcome.rows,
        rejects=outcome.rejects,
        identities=outcome.identities,
        retry=outcome.retry,
        held=outcome.held,
    )


def _batch(context: Context, stage: Stage, inputs: Sequence[Inputs]) -> Batch:
    keys = {one.item: one.key for one in inputs}

    def settled() -> set[str]:
        ledger = _ledger_keys(context, stage, keys)
        return {item for item, key in ledger.items() if keys[item] == key}

    def standing(table: str, column: str, values: Iterable[str]) -> list[Row]:
        return context.store.read_items(table, column, values)

    def stored(path: str) -> bytes | None:
        return context.store.read_bytes(path) if context.store.exists(path) else None

    # also where there is one, so that a stage that says it needs none is held to it everywhere
    vault = context.vault if stage.needs_vault else Vault.withheld()
    return Batch(
        inputs=inputs,
        secret=vault.key if stage.needs_vault else b"",
        file=_Files(context, inputs).read,
        paths=vault.file_paths,
        identities=vault.patient_identities,
        originals=vault.reports,
        standing=standing,
        settled=settled,
        stored=stored,
        forgotten=vault.forgotten,
    )


class _Files:
    """Files of the store; each is compared with what was written, at the time it is read.

    The rows of all files that the batch's inputs name are read together, at the first request.
    """

    def __init__(self, context: Context, inputs: Sequence[Inputs]) -> None:
        self._store = context.store
        self._named = {
            row["path"]
            for one in inputs
            for rows in one.rows.values()
            for row in rows
            if row.get("path")
        }
        self._told: dict[str, Row] | None = None

    def read(self, path: str) -> bytes:
        """The bytes of a file.

        Raises:
            DamagedError: it is missing, or its bytes are not those that were written.
            StoreError: the store cannot be read.
        """
        store = self._store
        told = self._row(path)
        if told is None or not store.exists(path):
            raise DamagedError(
                f"store {store.url}: file {path} is missing; `fvlm-data curate` makes it anew"
            )
        content = store.read_bytes(path)
        expected = told["sha256"]  # empty: written before hashes were kept
        if expected and hashlib.sha256(content).hexdigest() != expected:
            # without its ledger row, the stage that wrote it makes it again
            store.replace("ledger", [told["item"]], [], {"stage": told["stage"]})
            raise DamagedError(
                f"store {store.url}: file {path} is not what stage {told['stage']} wrote; the "
                "next `fvlm-data curate` makes it anew"
            )
        return content

    def _row(self, path: str) -> Row | None:
        if self._told is None or path not in self._named:
            self._named.add(path)
            rows = self._store.read_items("files", "path", self._named)
            self._told = {row["path"]: row for row in rows}
        return self._told.get(path)


def _commit(
    context: Context,
    stage: Stage,
    items: Sequence[Item],
    made: _Made,
    parts: Mapping[str, str],
) -> Counter[str]:
    keys = {item.id: item.key for item in items}
    held = {outcome.item for outcome in made.outcomes if outcome.held}
    ledger = _ledger_keys(context, stage, keys)
    # asked again: `make` may have taken minutes, and another run may have settled some meanwhile
    still_open = {item for item, key in keys.items() if ledger.get(item) != key} - held
    mine = [outcome for outcome in made.outcomes if outcome.item in still_open]
    for outcome in mine:
        # the vault before the tables: once a row names the patient, reports are scrubbed by these
        # names
        for patient, identities in outcome.identities.items():
            context.vault.remember_patient(patient, identities)
    rows = {
        table: [row for outcome in mine for row in outcome.rows.get(table, ())]
        for table in stage.tables
    }
    rows["quarantine"] = [row for o in mine for row in _quarantined(stage.name, o)]
    rows["files"] = [row for item in sorted(still_open) for row in made.files.get(item, ())]
    made_of: dict[str, pa.Table] = {}
    for table, also in owned(stage):
        replaced = set(still_open)
        written = rows[table]
        if table == "files":
            # rows of a shared tree belong to its path, not to one of the items that lie in it
            replaced |= made.trees.keys()
            written = [*written, *(row for files in made.trees.values() for row in files)]
        made_of[table] = schemas.TABLES[table].to_arrow(written)
        if written or _has_rows(context, table, replaced, also):
            context.store.replace(table, replaced, made_of[table], also)
    # without a ledger row the next plan finds the item due again
    settled = [outcome for outcome in mine if not outcome.retry]
    contents = _contents(context, stage, made_of, settled)
    context.store.replace(
        "ledger",
        [outcome.item for outcome in settled],
        [
            LedgerRow(
                stage=stage.name,
                item=outcome.item,
                key=keys[outcome.item],
                outcome=_ended(outcome),
                content=contents[outcome.item],
                parts=parts[outcome.item],
                run_id=context.run_id,
            )
            for outcome in settled
        ],
        {"stage": stage.name},
    )
    return _counts(made.outcomes)


def _has_rows(context: Context, table: str, items: Iterable[str], also: Mapping[str, str]) -> bool:
    """Whether there is anything to remove: most items are new, and an empty commit costs too."""
    column = schemas.TABLES[table].replaced_by
    wanted = [*((name, "=", value) for name, value in also.items()), (column, "in", sorted(items))]
    return bool(context.store.read(table, [column], wanted).num_rows)


def _contents(
    context: Context,
    stage: Stage,
    rows: Mapping[str, pa.Table],
    outcomes: Sequence[Outcome],
) -> dict[str, str]:
    """Content hash of each item, by the same SQL that checks it later."""
    connection = context.store.connect()
    try:
        for table, _ in owned(stage):
            connection.register(table, rows[table])
        connection.execute(f"CREATE TEMP TABLE _contents AS {contents_sql(stage)}")
        ended = ", ".join(f"({quoted(o.item)}, {quoted(_ended(o))})" for o in outcomes)
        if not ended:
            return {}
        found = connection.execute(
            f"SELECT e.item, {digest('e.outcome')} FROM (VALUES {ended}) e(item, outcome) "
            "LEFT JOIN _contents c ON c.item = e.item"
        ).fetchall()
    finally:
        connection.close()
    return dict(found)


def _opened(
    context: Context, stage: Stage, items: Sequence[Item]
) -> tuple[set[str], list[LedgerRow]]:
    """Items that are settled under their current key, and the ledger rows the others lose.

    The row of an older key must go before anything of the new key is written: a run killed in
    between would otherwise leave it vouching for contents that are no longer its own.
    """
    keys = {item.id: item.key for item in items}
    wanted = [("stage", "=", stage.name), ("item", "in", sorted(keys))]
    ledger = context.store.read("ledger", None, wanted).to_pylist()
    stale = [LedgerRow(**row) for row in ledger if row["key"] != keys[row["item"]]]
    unsettle(context, stage.name, [row.item for row in stale])
    return {row["item"] for row in ledger} - {row.item for row in stale}, stale


def _put_back(context: Context, stage: Stage, rows: Sequence[LedgerRow]) -> None:
    """Restore the ledger rows of held items, of which nothing was written."""
    if rows:
        items = [row.item for row in rows]
        context.store.replace("ledger", items, rows, {"stage": stage.name})


def _ledger_keys(context: Context, stage: Stage, items: Iterable[str]) -> dict[str, str]:
    wanted = [("stage", "=", stage.name), ("item", "in", sorted(items))]
    rows = context.store.read("ledger", ["item", "key"], wanted)
    return dict(zip(rows["item"].to_pylist(), rows["key"].to_pylist(), strict=True))


def _accepted(outcome: Outcome) -> bool:
    return any(rows for table, rows in outcome.rows.items() if table not in ASIDE_TOO)


def _ended(outcome: Outcome) -> str:
    return "accepted" if _accepted(outcome) else "set_aside"


def _quarantined(stage: str, outcome: Outcome) -> list[Quarantined]:
    """One row for each reason and detail; equal rejects share one row with all their files."""
    told: dict[tuple[str, str], Reject] = {}
    files: dict[tuple[str, str], dict[str, None]] = {}
    for one in outcome.rejects:
        told.setdefault((one.reason, one.detail), one)
        files.setdefault((one.reason, one.detail), {}).update(dict.fromkeys(one.source_files))
    return [
        Quarantined(
            kind=one.kind,
            stage=stage,
            item=outcome.item,
            reason=one.reason,
            detail=one.detail,
            source_files=tuple(files[name]),
        )
        for name, one in told.items()
    ]


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _counts(outcomes: Sequence[Outcome]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.held:
            counts["held"] += 1
            continue
        counts["accepted" if _accepted(outcome) else "set_aside"] += 1
        counts.update(f"{r.kind}:{r.reason}" for r in outcome.rejects)
    return counts
