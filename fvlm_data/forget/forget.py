"""Forgetting from beginning to end: plan, journal, steps that may be repeated, record."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import schemas
from fvlm_data.errors import InputError
from fvlm_data.forget import journal as journals
from fvlm_data.forget.exports import exports_with, remove_exports
from fvlm_data.forget.extent import find_extent
from fvlm_data.forget.identities import narrowed
from fvlm_data.forget.journal import Journal
from fvlm_data.forget.leftovers import QC_FOLDER, remove_unnamed, unname
from fvlm_data.forget.record import write_record
from fvlm_data.forget.rows import find_rows
from fvlm_data.identity.forgotten import REASONS
from fvlm_data.ingest.discovery.listed import forget_listings
from fvlm_data.pairing.waiting import derive_waiting
from fvlm_data.qc import write_qc
from fvlm_data.run.stages import build_stage, build_stages
from fvlm_data.run.vault_extent import record_vault_extent
from fvlm_data.shards.apart import write_apart
from fvlm_data.shards.leaving import shards_of, take_out
from fvlm_data.shards.restricted import write_restricted
from fvlm_data.shards.sets import UNLABELLED
from fvlm_data.shards.unlabelled.config import UnlabelledConfig
from fvlm_data.store.commits import retire, settle
from fvlm_data.store.discovered import (
    DISCOVERIES,
    changed_sources,
    close_sources,
    open_sources,
)
from fvlm_data.store.file_sums import drop_sums
from fvlm_data.store.leases import alone
from fvlm_data.store.place import QC_PAGE
from fvlm_data.store.planning import pending
from fvlm_data.store.upkeep import erase_history

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fvlm_data.forget.extent import Extent
    from fvlm_data.forget.rows import Rows
    from fvlm_data.forget.targets import Target
    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Context, Stage

SELECT, SHARD = "select", "shard"
FIRST = ("ledger",)
"""Before all others: without it no row that is left by a kill is taken for settled."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went: the record's place, and ids of exports that hold it and are out of reach."""

    record: str
    journal: Journal
    exports_left: tuple[str, ...]


def plan(context: Context, config: Config, targets: Sequence[Target]) -> Journal:
    """What would go; nothing is changed.

    Raises:
        StoreError: the store or the vault cannot be read.
    """
    stages = build_stages(config)
    extent = find_extent(context, targets)
    rows = find_rows(context, extent, stages)
    samples = extent.samples | set(rows.affected.get(SHARD, ()))
    files = Counter(path.split("/", 1)[0] for path in rows.paths)
    shards = shards_of(context, samples)
    unlabelled = shards_of(context, extent.samples | _unlabelled_of(rows), UNLABELLED)
    return Journal(
        record=secrets.token_hex(8),
        later=config.forget.later,
        targets=dict(Counter(target.what for target in targets)),
        extent=extent,
        rows=rows,
        shards=shards,
        unlabelled_shards=unlabelled,
        groups=_groups(context, config, targets, extent),
        damaged={
            stage: sorted(changed_sources(context, stage, kind))
            for stage, kind in DISCOVERIES.items()
            if stage in rows.sources
        },
        narrowed=narrowed(context, extent),
        exports=exports_with(context, samples),
        files={**files, "shards": len(shards) + len(unlabelled)},
    )


def _groups(
    context: Context, config: Config, targets: Sequence[Target], extent: Extent
) -> list[list[str]]:
    """Ids that are kept out together: where they may be let in again, those of each target."""
    if config.forget.later != "wait" or len(targets) == 1:
        return [sorted(extent.ids)]
    return [sorted(find_extent(context, [target]).ids) for target in targets]


def forget(
    context: Context,
    config: Config,
    targets: Sequence[Target],
    progress: Callable[[str], None] | None = None,
) -> Forgotten:
    """Remove all that is of the targets from store and vault, and keep it out from now on.

    What an earlier call was killed in is finished first. Rows and arrays of others stay as they
    are; those that rested on what went are due. May be killed and repeated.

    Raises:
        StoreError: a run is at work, or the store or the vault cannot be read or written.
    """
    with alone(context.store, lambda: journals.unfinished(context.vault)):
        _finish_earlier(context, config, progress)
        journal = plan(context, config, targets)
        journals.write(context.vault, journal)
        return _carried_out(context, config, journal, progress)


def resume(
    context: Context, config: Config, progress: Callable[[str], None] | None = None
) -> Forgotten | None:
    """Finish what was interrupted; None if nothing was.

    Raises:
        StoreError: as `forget`.
    """
    with alone(context.store, lambda: journals.unfinished(context.vault)):
        return _finish_earlier(context, config, progress)


def lift(context: Context, targets: Sequence[Target]) -> None:
    """Let in again what `forget.later: wait` keeps out, and its other ids with it.

    Raises:
        InputError: a target was not forgotten, or under `refuse`.
        StoreError: a run is at work, or the store or the vault cannot be read or written.
    """
    with alone(context.store, lambda: journals.unfinished(context.vault)):
        for target in targets:
            kept = context.vault.forgotten((*target.ids, *target.hashes))
            if not kept:
                raise InputError(f"{target.place}: was not forgotten; nothing to lift")
            if "refuse" in kept.values():
                raise InputError(
                    f"{target.place}: was forgotten while forget.later was refuse, which is for "
                    "good; expected wait"
                )
        for target in targets:
            context.vault.lift((*target.ids, *target.hashes))
        forget_listings(context)
        _drop_waiting(context)


def _drop_waiting(context: Context) -> None:
    """Remove the rows that say what waits; the next run writes those that still do."""
    waits = [("reason", "=", REASONS["wait"])]
    rows = context.store.read("quarantine", ["stage", "item"], waits).to_pylist()
    for stage in sorted({row["stage"] for row in rows}):
        items = [row["item"] for row in rows if row["stage"] == stage]
        found = context.store.read_items("inputs", "token", items, ["source"])
        sources = {row["source"] for row in found}
        sources -= changed_sources(context, stage, DISCOVERIES[stage])
        open_sources(context, stage, sources)
        context.store.replace("quarantine", items, [], {"stage": stage})
        context.store.replace("inputs", items, [], {"kind": DISCOVERIES[stage]})
        close_sources(context, stage, DISCOVERIES[stage], sources)


def _finish_earlier(
    context: Context, config: Config, progress: Callable[[str], None] | None
) -> Forgotten | None:
    journal = journals.read(context.vault)
    return _carried_out(context, config, journal, progress) if journal is not None else None


def _carried_out(
    context: Context,
    config: Config,
    journal: Journal,
    progress: Callable[[str], None] | None,
) -> Forgotten:
    """All steps; each may have been done, in part or as a whole, by a call that was killed."""
    told = progress or (lambda step: None)
    extent, stages = journal.extent, {stage.name: stage for stage in build_stages(config)}
    # first: from now on nothing of it is taken in, whatever happens
    for number, ids in enumerate(journal.groups):
        context.vault.remember_forgotten(ids, journal.later, f"{journal.record}.{number}")
    told("shards")
    samples = extent.samples | set(journal.rows.affected.get(SHARD, ()))
    take_out(context, config.shard, stages[SHARD], samples, journal.shards)
    _take_out_unlabelled(context, config, journal)
    told("tables")
    _remove_rows(context, journal, stages)
    told("files")
    removed = remove_unnamed(context, journal.rows.paths)
    forget_listings(context)  # what is offered again has to be seen to be refused
    named = unname(context, extent.ids)
    _redraw(context, config)
    left = remove_exports(context, journal.exports)
    told("vault")
    for entry, names in journal.narrowed.items():
        context.vault.replace_identities(entry, names)
    gone = context.vault.erase(extent.ids | extent.erased)
    record_vault_extent(context)
    told("history")
    for table in schemas.TABLES:
        erase_history(context.store, table)
    drop_sums(context.store)  # they name items of files that went
    kept = {f"vault_{kind}": number for kind, number in gone.items()}
    done = {"files_of_items": removed, "records_of_runs": named, **kept}
    path = write_record(context, journal, done)
    journals.drop(context.vault)
    return Forgotten(path, journal, tuple(left))


def _unlabelled_of(rows: Rows) -> set[str]:
    """Unlabelled samples of others that rested on what goes."""
    return set(rows.affected.get(UNLABELLED.stage, ()))


def _take_out_unlabelled(context: Context, config: Config, journal: Journal) -> None:
    """As `take_out`, whether or not the configuration still asks for such samples."""
    samples = journal.extent.samples | _unlabelled_of(journal.rows)
    packed = (config.unlabelled or UnlabelledConfig()).packed(config.shard)
    stage = build_stage(UNLABELLED.stage, config)
    take_out(context, packed, stage, samples, journal.unlabelled_shards, UNLABELLED)


def _remove_rows(context: Context, journal: Journal, stages: Mapping[str, Stage]) -> None:
    rows, store = journal.rows, context.store
    touched = {
        stage: sorted(set(sources) - set(journal.damaged.get(stage, ())))
        for stage, sources in rows.sources.items()
    }
    for stage, sources in touched.items():
        open_sources(context, stage, sources)
    # shards have rows of their own, which `take_out` has left right
    for table in sorted(rows.replaced, key=lambda name: name not in FIRST):
        store.replace(table, rows.replaced[table], [])
    for name, items in rows.affected.items():
        if name in stages and name not in (SHARD, UNLABELLED.stage):
            retire(context, stages[name], items)
    for stage, sources in touched.items():
        close_sources(context, stage, DISCOVERIES[stage], sources)
    _select_anew(context, rows.affected.get(SELECT, ()), stages)
    derive_waiting(context)
    write_apart(context)
    write_restricted(context.store)


def _select_anew(context: Context, items: Sequence[str], stages: Mapping[str, Stage]) -> None:
    """Choose again among the volumes of studies that named what goes.

    At once: without a choice their volumes would be in no place.
    """
    if not items:
        return
    work = pending(context, stages[SELECT], stages.values())
    for batch in work.batches:
        mine = [item for item in batch if item.id in set(items)]
        if mine:
            settle(context, stages[SELECT], mine)


def _redraw(context: Context, config: Config) -> None:
    """The pages anew, if there are any: figures count, pictures and pages of studies show."""
    drawn = context.store.exists(QC_PAGE)
    context.store.remove(QC_FOLDER)  # a kill may have left pages without the first one
    if drawn:
        write_qc(context, config.vocabulary.load(), config.qc)
