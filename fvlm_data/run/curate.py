"""All stages, one after the other; the same for one process, a pool, Dask and Prefect."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from fvlm_data.errors import FvlmError
from fvlm_data.run.check_inputs import check_inputs
from fvlm_data.run.records import (
    Summary,
    add_counts,
    begin,
    finish,
    open_context,
    read_run_config,
    tally,
)
from fvlm_data.run.registry import STAGES, build_stage
from fvlm_data.store.stage import Context, Item, pending, retire, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fvlm_data.run.config import Config

TEXT_TABLES = frozenset({"reports", "sentences", "anatomy_texts", "samples"})
"""Tables with report text: a report is scrubbed again when its patient's header arrives, and what
it was before must not live on in the tables' history."""

Batch = list[tuple[str, str]]
"""(item id, key) of each item: all that travels to a worker."""


class Mapper(Protocol):
    """Runs `settle_batch(store, run_id, stage, batch)` for every batch, in any order."""

    def __call__(
        self, store: str, run_id: str, stage: str, batches: Sequence[Batch]
    ) -> Iterator[dict[str, int]]:
        """Yield the counts of each batch as it is done."""


def curate(
    config: Config,
    stages: Sequence[str] = STAGES,
    mapper: Mapper | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Summary:
    """Run `stages` in order and return the summary.

    Without a `mapper`, batches run in this process, or in `execution.workers` processes.
    `progress` is told stage, settled items and their number (0: not known).

    Raises:
        FvlmError: the run cannot start or go on; what is settled stays settled.
    """
    started = time.monotonic()
    check_inputs(config, stages)
    context = open_context(config, create=not {"ingest", "reports"}.isdisjoint(stages))
    summary = Summary(context.run_id, context.store.url)
    summary.changed_settings = begin(context, config)
    report = progress or (lambda stage, done, total: None)
    for stage in stages:
        if stage in ("ingest", "reports"):
            add_counts(summary, f"discover {stage}", _discover(context, config, stage, report))
        _before(context, stage)
        _run_stage(context, config, stage, mapper or _mapper(config), report, summary)
        _after(context, stage)
    _conclude(context, config, stages, summary)
    summary.seconds = round(time.monotonic() - started, 1)
    finish(context, config, summary)
    return summary


def settle_batch(store: str, run_id: str, stage: str, batch: Batch) -> dict[str, int]:
    """Settle one batch in a worker, which finds all else in the store and the vault."""
    config, context = _worker(store, run_id)
    items = [Item(item, key) for item, key in batch]
    return dict(settle(context, build_stage(stage, config), items))


@lru_cache(maxsize=4)
def _worker(store: str, run_id: str) -> tuple[Config, Context]:
    config = read_run_config(store, run_id)
    return config, open_context(config, run_id, create=False)


def _run_stage(
    context: Context,
    config: Config,
    name: str,
    mapper: Mapper,
    report: Callable[[str, int, int], None],
    summary: Summary,
) -> None:
    stage = build_stage(name, config)
    work = pending(context, stage)
    retire(context, stage, work.obsolete)
    total = sum(len(batch) for batch in work.batches)
    counts: Counter[str] = Counter({"already settled": work.settled, "retired": len(work.obsolete)})
    report(name, 0, total)
    batches = [[(item.id, item.key) for item in batch] for batch in work.batches]
    for done in mapper(context.store.url, context.run_id, name, batches):
        counts.update(done)
        elsewhere = counts["already settled"] - work.settled
        report(name, counts["accepted"] + counts["set_aside"] + elsewhere, total)
    if work.replaced or work.obsolete:
        for table in sorted(TEXT_TABLES.intersection(stage.tables)):
            context.store.forget(table)
    add_counts(summary, name, counts)


def _discover(
    context: Context, config: Config, stage: str, report: Callable[[str, int, int], None]
) -> Counter[str]:
    """Look what the sources hold now, before the stage that takes it in."""
    if stage == "ingest":
        from fvlm_data.ingest.discovery.discover import discover

        return discover(
            context,
            config.sources,
            config.identity.source_names,
            lambda seen: report("discover", seen, 0),
            config.execution.workers,
        )
    from fvlm_data.reports.stage import discover_reports

    return discover_reports(context, config.reports, config.identity.source_names)


def _before(context: Context, stage: str) -> None:
    if stage == "shard":
        from fvlm_data.shards.tidy import unsettle_lost

        unsettle_lost(context)


def _after(context: Context, stage: str) -> None:
    if stage == "shard":
        from fvlm_data.shards.tidy import tidy_shards

        tidy_shards(context)


def _conclude(context: Context, config: Config, stages: Sequence[str], summary: Summary) -> None:
    from fvlm_data.pairing.stage import derive_waiting

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
        spawn: Any = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(self._workers, len(batches)), mp_context=spawn) as pool:
            futures = [pool.submit(settle_batch, store, run_id, stage, b) for b in batches]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:
                for future in futures:
                    future.cancel()
