"""What a stage is, and how its rows, files and rejects are committed together."""

from __future__ import annotations

import errno
import logging
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvlm_data.errors import FvlmError, StoreError
from schemas import LedgerRow, Quarantined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from fvlm_data.identity.vault import Vault
    from fvlm_data.store.tables import Store

log = logging.getLogger(__name__)

NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass(frozen=True, slots=True)
class Item:
    """One unit of work: `key` hashes its input contents, the stage's settings and version."""

    id: str
    key: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Something set aside: `kind` is one of schemas.quarantine.KINDS, `reason` a snake_case code.

    `detail` says what was found, what was expected and what to do, without identities.
    """

    kind: str
    reason: str
    detail: str
    source_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage makes of one item.

    `rows` holds row dataclasses by table, `files` contents by path, `trees` local folders by
    path; all paths are relative to the store. `identities` go to the vault only: names, ids and
    dates by patient id. With `retry` the item is not settled: the next run tries it again.
    """

    item: str
    rows: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    trees: Mapping[str, Path] = field(default_factory=dict)
    rejects: tuple[Reject, ...] = ()
    identities: Mapping[str, Sequence[str]] = field(default_factory=dict)
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """Where a stage finds its inputs; stages read from it, only `settle` writes."""

    store: Store
    vault: Vault
    run_id: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the pipeline, as plain data and two functions.

    `plan` lists all items that exist now with their current keys. `run` turns a batch of them
    into outcomes, exactly one each, in any order. `tables` are those whose rows it owns (rows
    of an item are replaced together; `partition` narrows the replacement in a table to the rows
    with the given column values). `grouped` cuts what is to do into batches where their
    composition matters.
    Items of a `derived` stage that leave the plan lose their rows; items of a stage that reads
    outside sources stay.
    """

    name: str
    tables: tuple[str, ...]
    plan: Callable[[Context], list[Item]]
    run: Callable[[Context, Sequence[Item]], Iterator[Outcome]]
    batch_size: int
    derived: bool = True
    partition: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    grouped: Callable[[Context, Sequence[Item]], list[list[Item]]] | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What a stage has to do: batches to settle, and items whose rows must leave.

    `settled` items need nothing; `replaced` of those in batches were settled under another key.
    """

    batches: tuple[tuple[Item, ...], ...]
    obsolete: tuple[str, ...]
    settled: int
    replaced: int


def pending(context: Context, stage: Stage) -> Work:
    """Compare the stage's plan with the ledger; cut what is to do into batches."""
    planned = stage.plan(context)
    rows = context.store.read("ledger", ["item", "key"], [("stage", "=", stage.name)])
    ledger = dict(zip(rows["item"].to_pylist(), rows["key"].to_pylist(), strict=True))
    todo = sorted(
        (item for item in planned if ledger.get(item.id) != item.key), key=lambda item: item.id
    )
    obsolete = sorted(set(ledger) - {item.id for item in planned}) if stage.derived else []
    if stage.grouped is not None:
        batches = stage.grouped(context, todo)
    else:
        size = stage.batch_size
        batches = [todo[start : start + size] for start in range(0, len(todo), size)]
    return Work(
        tuple(tuple(batch) for batch in batches),
        tuple(obsolete),
        len(planned) - len(todo),
        sum(item.id in ledger for item in todo),
    )


def settle(context: Context, stage: Stage, items: Sequence[Item]) -> Counter[str]:
    """Run a stage on a batch and commit files, then rows, then the ledger.

    An item that another run settled meanwhile under the same key is left as it is. Returns
    counts of accepted, set-aside and already settled items and of rejects by `kind:reason`.

    Raises:
        StoreError: the store cannot be written; nothing of the batch is in the ledger.
        RuntimeError: the stage did not give exactly one outcome for each item, or an item was
            neither accepted nor set aside.
    """
    settled = _opened(context, stage, items)
    left = [item for item in items if item.id not in settled]
    counts = Counter({"already settled": len(settled)} if settled else {})
    if not left:
        return counts
    outcomes: list[Outcome] = []
    for outcome in stage.run(context, left):
        for path, folder in outcome.trees.items():
            context.store.put_tree(folder, path)
        for path, content in outcome.files.items():
            context.store.write_bytes(path, content)
        outcomes.append(_without_files(outcome))
    if Counter(o.item for o in outcomes) != Counter(item.id for item in left):
        raise RuntimeError(f"stage {stage.name}: outcomes and items of a batch do not match")
    for outcome in outcomes:
        if not (_accepted(outcome) or outcome.rejects):
            raise RuntimeError(
                f"stage {stage.name}: item {outcome.item} has neither rows nor a reject"
            )
    return counts + _commit(context, stage, left, outcomes)


def retire(context: Context, stage: Stage, items: Sequence[str]) -> None:
    """Take the rows and ledger entries of items that no longer exist out of the tables."""
    if not items:
        return
    for table in stage.tables:
        context.store.replace(table, items, [], stage.partition.get(table))
    for table in ("quarantine", "ledger"):
        context.store.replace(table, items, [], {"stage": stage.name})


def guarded(item: Item, make: Callable[[], Outcome], files: Iterable[str] = ()) -> Outcome:
    """Run `make` for one item; an unforeseen fault of the item becomes a reject, to be retried.

    `files` are the source files that are set aside with the item, where it is made of some.

    The store's own errors, a full disk and want of memory are not faults of the item: they
    stop the batch. The reject names the exception's type and place, never its text, which may
    hold an identity.
    """
    try:
        return make()
    except (FvlmError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            raise StoreError(
                f"no space left for temporary files while working on {item.id}; free space "
                "and run again: finished work is kept"
            ) from error
        where = traceback.extract_tb(error.__traceback__)[-1]
        detail = (
            f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}; expected "
            "none; the item is tried again by the next run; report it if it stays"
        )
        log.warning("item %s: %s", item.id, detail)
        return Outcome(
            item.id, rejects=(Reject("fault", "unexpected", detail, tuple(files)),), retry=True
        )


def reject(item: str, kind: str, reason: str, detail: str, files: Iterable[str] = ()) -> Outcome:
    """The outcome of an item that is set aside as a whole."""
    return Outcome(item, rejects=(Reject(kind, reason, detail, tuple(files)),))


def _without_files(outcome: Outcome) -> Outcome:
    """The outcome less its written contents, so that a batch holds rows only in memory."""
    return Outcome(
        outcome.item, outcome.rows, {}, {}, outcome.rejects, outcome.identities, outcome.retry
    )


def _commit(
    context: Context, stage: Stage, items: Sequence[Item], outcomes: Sequence[Outcome]
) -> Counter[str]:
    keys = {item.id: item.key for item in items}
    ledger = _ledger_keys(context, stage, keys)
    open_items = {item for item, key in keys.items() if ledger.get(item) != key}
    mine = [outcome for outcome in outcomes if outcome.item in open_items]
    for outcome in mine:
        for patient, identities in outcome.identities.items():
            context.vault.remember_patient(patient, identities)
    for table in stage.tables:
        rows = [row for outcome in mine for row in outcome.rows.get(table, ())]
        context.store.replace(table, open_items, rows, stage.partition.get(table))
    context.store.replace(
        "quarantine",
        open_items,
        [_quarantined(stage.name, o.item, r) for o in mine for r in o.rejects],
        {"stage": stage.name},
    )
    settled = [outcome for outcome in mine if not outcome.retry]
    context.store.replace(
        "ledger",
        [outcome.item for outcome in settled],
        [
            LedgerRow(
                stage=stage.name,
                item=outcome.item,
                key=keys[outcome.item],
                outcome="accepted" if _accepted(outcome) else "set_aside",
                run_id=context.run_id,
            )
            for outcome in settled
        ],
        {"stage": stage.name},
    )
    return _counts(outcomes)


def _opened(context: Context, stage: Stage, items: Sequence[Item]) -> set[str]:
    """Items that are settled under their key; the others lose their ledger rows.

    A row of an older key must go before the first file or row of the new one is written: a run
    that is killed between would leave it standing for contents that are no longer its own.
    """
    ledger = _ledger_keys(context, stage, [item.id for item in items])
    stale = [item.id for item in items if ledger.get(item.id, item.key) != item.key]
    context.store.replace("ledger", stale, [], {"stage": stage.name})
    return ledger.keys() - set(stale)


def _ledger_keys(context: Context, stage: Stage, items: Iterable[str]) -> dict[str, str]:
    rows = context.store.read_items("ledger", "item", items, ["stage", "item", "key"])
    return {row["item"]: row["key"] for row in rows if row["stage"] == stage.name}


def _accepted(outcome: Outcome) -> bool:
    return any(outcome.rows.values())


def _quarantined(stage: str, item: str, rejected: Reject) -> Quarantined:
    return Quarantined(
        kind=rejected.kind,
        stage=stage,
        item=item,
        reason=rejected.reason,
        detail=rejected.detail,
        source_files=rejected.source_files,
    )


def _counts(outcomes: Sequence[Outcome]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts["accepted" if _accepted(outcome) else "set_aside"] += 1
        counts.update(f"{r.kind}:{r.reason}" for r in outcome.rejects)
    return counts
