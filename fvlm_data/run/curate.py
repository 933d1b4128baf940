"""All stages, one after the other; the same for one process, a pool, Dask and Prefect."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from fvlm_data.errors import ConfigError, FvlmError
from fvlm_data.run.records import (
    Summary,
    add_counts,
    begin,
    changed_versions,
    finish,
    open_context,
    read_run_config,
    tally,
)
from fvlm_data.run.registry import STAGES, build_stage, stage_entry, stage_names
from fvlm_data.run.vault_extent import check_vault_extent, record_vault_extent
from fvlm_data.store.commits import retire, settle, unsettle
from fvlm_data.store.declared import Context, Item
from fvlm_data.store.planning import pending
from fvlm_data.worker_process import worker_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fvlm_data.run.config import Config
    from fvlm_data.store.declared import Stage

CREATING = frozenset({"ingest", "versions"})
"""Stages that take something in, and so may make a store."""

TEXT_TABLES = frozenset({"reports", "sentences", "anatomy_texts", "samples"})
"""Tables with report text: a report is scrubbed again when its patient's header arrives, and its
former text must not live on in the tables' history."""

Batch = list[tuple[str, str, tuple[str, ...]]]
"""(item id, key, refs) of each item: all that travels to a worker."""


class Mapper(Protocol):
    """Runs `settle_batch(store, run_id, stage, batch)` for every batch, in any order."""

    def __call__(
        self, store: str, run_id: str, stage: str, batches: Sequence[Batch]
    ) -> Iterator[dict[str, int]]:
        """Yield the counts of each batch as it is done."""


def curate(
    config: Config,
    stages: Sequence[str] | None = None,
    mapper: Mapper | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    announce: Callable[[list[str]], None] | None = None,
) -> Summary:
    """Run `stages` (none given: all) in the order of the data and return the summary.

    Without a `mapper`, batches run in this process, or in `execution.workers` processes.
    `progress` is called with the stage, settled items and their total (0: not known); `announce`,
    before anything is done, with sentences on how the inputs are understood.

    Raises:
        FvlmError: the run cannot start or go on; what is settled stays settled.
    """
    started = time.monotonic()
    names = _in_order(config, stages)
    for name in names:
        # all checks before the store is opened: a typing error must not show after hours of work
        check = stage_entry(name).check
        if check is not None:
            with STAGES.named_in_errors(name):
                check(config)
    told = announced(config, names)
    context = open_context(config, create=not CREATING.isdisjoint(names))
    check_vault_extent(context)
    summary = Summary(context.run_id, context.store.url, announced=told)
    if announce is not None and told:
        announce(told)
    summary.changed_versions = changed_versions(context.store)
    summary.changed_settings = begin(context, config, told)
    report = progress or (lambda stage, done, total: None)
    # all of them, not only those asked for: a plan asks every stage whose rows it reads for damage
    built = {name: build_stage(name, config) for name in stage_names(config)}
    for name in names:
        _discover(context, config, name, report, summary)
        _run_stage(context, name, built, mapper or _mapper(config), report, summary)
    _conclude(context, config, names, summary)
    summary.seconds = round(time.monotonic() - started, 1)
    record_vault_extent(context)
    finish(context, config, summary)
    return summary


def announced(config: Config, names: Sequence[str]) -> list[str]:
    """How the inputs of the stages are understood, in sentences.

    Raises:
        FvlmError: an input cannot be read.
    """
    told: list[str] = []
    for name in names:
        tell = stage_entry(name).announce
        if tell is not None:
            with STAGES.named_in_errors(name):
                told += tell(config)
    return told


def _in_order(config: Config, stages: Sequence[str] | None) -> list[str]:
    """The requested stages in the order of the data: a stage needs what earlier ones make.

    Raises:
        ConfigError: a stage is not known, or the configuration has no section of its own for it.
    """
    known = stage_names(config)
    for name in stages or ():
        stage_entry(name)
        if name not in known:
            raise ConfigError(
                f"stage {name!r} is asked for and the configuration has no section of that name; "
                f"add `{name}: {{}}`"
            )
    return [name for name in known if stages is None or name in stages]


def settle_batch(store: str, run_id: str, stage: str, batch: Batch) -> dict[str, int]:
    """Settle one batch in a worker; everything else it needs it reads from store and vault."""
    config, context = _worker(store, run_id)
    items = [Item(item, key, tuple(refs)) for item, key, refs in batch]
    with STAGES.named_in_errors(stage):
        return dict(settle(context, build_stage(stage, config), items))


@lru_cache(maxsize=4)
def _worker(store: str, run_id: str) -> tuple[Config, Context]:
    config = read_run_config(store, run_id)
    context = open_context(config, run_id, create=False)
    check_vault_extent(context)
    return config, context


def _run_stage(
    context: Context,
    name: str,
    stages: Mapping[str, Stage],
    mapper: Mapper,
    report: Callable[[str, int, int], None],
    summary: Summary,
) -> None:
    entry = stage_entry(name)
    stage = stages[name]
    work = pending(context, stage, stages.values(), mend=True)
    if stage.rests_on_own_rows:
        retire(context, stage, work.mended)
    else:
        unsettle(context, stage.name, work.mended)
    retire(context, stage, work.obsolete)
    total = sum(len(batch) for batch in work.batches)
    counts: Counter[str] = Counter({"already settled": work.settled, "retired": len(work.obsolete)})
    told = {"damaged": len(work.mended), "held": work.held, "lost": len(work.lost)}
    counts.update({name: number for name, number in told.items() if number})
    report(name, 0, total)
    batches = [[(item.id, item.key, item.refs) for item in batch] for batch in work.batches]
    for done in mapper(context.store.url, context.run_id, name, batches):
        counts.update(done)
        elsewhere = counts["already settled"] - work.settled
        report(name, counts["accepted"] + counts["set_aside"] + elsewhere, total)
    # only then did text leave the tables; the first run, which removes nothing, is spared the
    # vacuum
    if work.replaced or work.obsolete:
        for table in sorted(TEXT_TABLES.intersection(stage.tables)):
            context.store.forget(table)
    if entry.finish is not None:
        entry.finish(context)
    add_counts(summary, name, counts)


def _discover(
    context: Context,
    config: Config,
    name: str,
    report: Callable[[str, int, int], None],
    summary: Summary,
) -> None:
    """Look at what the sources hold now, before the stage that takes it in is planned."""
    discover = stage_entry(name).discover
    if discover is not None:
        with STAGES.named_in_errors(name):
            counts = discover(context, config, lambda seen: report("discover", seen, 0))
        if counts:
            add_counts(summary, f"discover {name}", Counter(counts))


def _conclude(context: Context, config: Config, stages: Sequence[str], summary: Summary) -> None:
    from fvlm_data.pairing.waiting import derive_waiting

    derive_waiting(context)
    if config.qc.enabled and "shard" in stages:
        from fvlm_data.qc import write_qc

        write_qc(context, config.vocabulary.load())
    tally(context, summary)


def _mapper(config: Config) -> Mapper:
    if config.execution.workers == 1:
        return _map_here
    return _PoolMapper(config.execution.workers)


def _map_here(
    store: str, run_id: str, stage: str, batches: Sequence[Batch]
) -> Iterator[dict[str, int]]:
    for batch in batches:
        yield settle_batch(store, run_id, stage, batch)


class _PoolMapper:
    """A pool of spawned processes (the tables' runtime does not survive a fork)."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def __call__(
        self, store: str, run_id: str, stage: str, batches: Sequence[Batch]
    ) -> Iterator[dict[str, int]]:
        if len(batches) < 2:
            yield from _map_here(store, run_id, stage, batches)
            return
        try:
            yield from self._mapped(store, run_id, stage, batches)
        except BrokenProcessPool as error:
            raise FvlmError(
                f"stage {stage}: a worker process died, most often for want of memory; run "
                "again (finished work is kept) with fewer execution.workers"
            ) from error

    def _mapped(
        self, store: str, run_id: str, stage: str, batches: Sequence[Batch]
    ) -> Iterator[dict[str, int]]:
        with worker_pool(min(self._workers, len(batches))) as pool:
            futures = [pool.submit(settle_batch, store, run_id, stage, b) for b in batches]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:
                for future in futures:
                    # else leaving the pool would wait for every batch in the queue after one has
                    # failed
                    future.cancel()
