"""All stages, one after the other; the same for one process, a pool, Dask and Prefect."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from fvlm_data.errors import ConfigError
from fvlm_data.isolation.limits import Ended, circumstances, detail
from fvlm_data.isolation.splitting import until_alone
from fvlm_data.isolation.workers import Workers
from fvlm_data.run.batch_sizes import by_time, settled_by_time
from fvlm_data.run.broken import due_again
from fvlm_data.run.compaction import join_small_files
from fvlm_data.run.mappers import here, in_the_end, isolated, patient
from fvlm_data.run.records import (
    Summary,
    add_counts,
    begin,
    changed_versions,
    finish,
    open_context,
    read_run_config,
    tally,
    versions_mark,
)
from fvlm_data.run.registry import STAGES, stage_entry
from fvlm_data.run.stages import build_stage, stage_names
from fvlm_data.run.vault_extent import check_vault_extent, record_vault_extent
from fvlm_data.run.watched import Watch
from fvlm_data.store.commits import retire, set_aside, settle, unsettle
from fvlm_data.store.content import owned
from fvlm_data.store.declared import NO_MEMORY, Context, Item, Reject
from fvlm_data.store.leases import at_work, check_not_alone
from fvlm_data.store.planning import pending
from fvlm_data.store.unchanged import (
    Nothing,
    nothing_to_do,
    opened_notes,
    save_notes,
    state_of,
)
from fvlm_data.store.upkeep import erase_superseded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from fvlm_data.isolation.limits import Limits
    from fvlm_data.run.config import Config
    from fvlm_data.run.mappers import Batch, Mapper
    from fvlm_data.store.declared import Stage
    from fvlm_data.store.unchanged import Notes

SHORT = f"fault:{NO_MEMORY}"
"""How rejects for want of memory are counted."""

DISCOVER = "discover"
"""The reading of headers, which has limits of its own."""

CREATING = frozenset({"ingest", "versions"})
"""Stages that take something in, and so may make a store."""

TEXT_TABLES = frozenset({"reports", "sentences", "anatomy_texts", "samples"})
"""Tables with report text: a report is scrubbed again when its patient's header arrives, and its
former text must not live on in the tables' history."""


def curate(
    config: Config,
    stages: Sequence[str] | None = None,
    mapper: Mapper | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    announce: Callable[[list[str]], None] | None = None,
    *,
    rehash: bool = False,
    retry: bool = False,
    isolate: bool | None = None,
    named: tuple[str, ...] | None = None,
) -> Summary:
    """Run `stages` (none given: all) in the order of the data and return the summary.

    With `isolate` files are read and batches run in `execution.workers` processes, each of which
    may die; by default only if these are more than one, as a debugger sees nothing of them. A
    `mapper` runs batches elsewhere (its `at_once()`: so many at a time). With `retry` is tried
    again what ended its process before. `progress` is called with the stage, settled items and
    their total (0: not known); `announce`, before anything is done, with sentences on how the
    inputs are understood. With `rehash` every known image file is read as a whole. With `named`,
    addresses of image files, no others are looked at.

    Raises:
        FvlmError: the run cannot start or go on; what is settled stays settled.
    """
    started = time.monotonic()
    names = checked_names(config, stages)
    told = announced(config, names)
    context = open_context(config, create=not CREATING.isdisjoint(names))
    with at_work(context.store, context.run_id), ExitStack() as stack:
        workers = None
        if isolate if isolate is not None else config.execution.workers > 1:
            workers = stack.enter_context(Workers(config.execution.workers))
        versions = versions_mark()
        context = replace(context, rehash=rehash, retry=retry, workers=workers, versions=versions)
        context = replace(context, named=named)
        if mapper is None:
            mapper = isolated(workers, settle_batch) if workers else here(settle_batch)
        at_once = getattr(mapper, "at_once", lambda: config.execution.workers)
        mapper = patient(mapper, config.execution.pauses_s)
        summary = Summary(context.run_id, context.store.url, announced=told)
        watch = Watch(context, config, summary, progress)
        check_vault_extent(context)
        if announce is not None and told:
            announce(told)
        summary.changed_versions = changed_versions(context.store)
        summary.changed_settings = begin(context, config, told)
        with watch.run(names):
            _curate(context, config, names, mapper, at_once, watch, summary)
            summary.seconds = round(time.monotonic() - started, 1)
            record_vault_extent(context)
            finish(context, config, summary)
    return summary


def _curate(
    context: Context,
    config: Config,
    names: Sequence[str],
    mapper: Mapper,
    at_once: Callable[[], int],
    watch: Watch,
    summary: Summary,
) -> None:
    # all of them, not only those asked for: a plan asks every stage whose rows it reads for damage
    built = {name: build_stage(name, config) for name in stage_names(config)}
    notes = opened_notes(context, built.values())
    for name in names:
        _discover(context, config, name, watch, summary)
        line = _Line(context, built[name], name, mapper, config, watch, at_once)
        with watch.stage(name):
            _run_stage(line, built, notes, summary)
    _conclude(context, config, names, watch.report, summary)
    save_notes(context, notes)


def checked_names(config: Config, stages: Sequence[str] | None) -> list[str]:
    """The requested stages in the order of the data, whose inputs and settings can be used.

    Raises:
        FvlmError: a stage is not known, or what it needs is not there.
    """
    names = _in_order(config, stages)
    _check_limits(config)
    for name in names:
        # all checks before the store is opened: a typing error must not show after hours of work
        check = stage_entry(name).check
        if check is not None:
            with STAGES.named_in_errors(name):
                check(config)
    return names


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


def _check_limits(config: Config) -> None:
    """Refuse limits of a stage that does not exist: the typing error would mean no limit.

    Raises:
        ConfigError: there is no such stage.
    """
    for name in config.execution.limits:
        try:
            if name != DISCOVER:
                stage_entry(name)
        except ConfigError as error:
            raise ConfigError(f"execution.limits: {error}") from None


def settle_batch(
    store: str,
    run_id: str,
    stage: str,
    batch: Batch,
    *,
    beat: Callable[[], None] | None = None,
) -> dict[str, int]:
    """Settle one batch in a worker; everything else it needs it reads from store and vault.

    `beat` is called whenever an item of it is done.
    """
    with STAGES.named_in_errors(stage):
        made = build_stage(stage, _run_config(store, run_id))
    context = _worker(store, run_id, made.needs_vault)
    # a worker whose run was killed goes on for a while, and must not bring back what goes now
    check_not_alone(context.store)
    context = replace(context, beat=beat) if beat is not None else context
    items = [Item(item, key, tuple(refs)) for item, key, refs in batch]
    with STAGES.named_in_errors(stage):
        return dict(settle(context, made, items))


@lru_cache(maxsize=4)
def _run_config(store: str, run_id: str) -> Config:
    return read_run_config(store, run_id)


@lru_cache(maxsize=4)
def _worker(store: str, run_id: str, needs_vault: bool) -> Context:
    context = open_context(_run_config(store, run_id), run_id, create=False, vault=needs_vault)
    if needs_vault:
        check_vault_extent(context)
    return context


@dataclass(frozen=True, slots=True)
class _Line:
    """A stage and what works through its batches."""

    context: Context
    stage: Stage
    name: str
    mapper: Mapper
    config: Config
    watch: Watch
    at_once: Callable[[], int]

    @property
    def limits(self) -> Limits:
        return self.config.execution.limits_of(self.name, stage_entry(self.name).seconds)

    def settled(self, batches: Sequence[Batch], before: Collection[str]) -> Iterator[Counter[str]]:
        """Counts of each batch, or of a part of it, when it is done.

        Items of `before` ended their process in an earlier run.
        """
        known = {one for batch in batches for one in batch if one[0] in before}
        run = partial(self.mapper, self.context.store.url, self.context.run_id, self.name)

        def settle_all(batches: Sequence[Batch]) -> Iterator[Counter[str]]:
            for batch, result in until_alone(batches, run, self.limits, known):
                yield self._counted(batch, result)

        minutes = by_time(self.config, self.stage)
        if minutes is None:
            return settle_all(batches)
        return settled_by_time(batches, settle_all, 60 * minutes, self.at_once())

    def settled_alone(self, item: Item) -> Counter[str]:
        """Counts of an item when no worker is busy."""
        run = partial(self.mapper, self.context.store.url, self.context.run_id, self.name)
        ((batch, result),) = run([_batch([item])], self.limits.alone())
        return self._counted(batch, result)

    def _counted(self, batch: Batch, result: Mapping[str, int] | Ended) -> Counter[str]:
        self.watch.batch(self.name, batch, result)
        if not isinstance(result, Ended):
            return Counter(result)
        ((item, key, refs),) = batch
        refused = Reject("fault", result.reason, detail(result, self.name, self.limits))
        return set_aside(
            self.context, self.stage, Item(item, key, refs), refused, self.circumstances()
        )

    def circumstances(self) -> str:
        """What items are tried under now."""
        return circumstances(self.context.versions, self.limits)


def _batch(items: Sequence[Item]) -> Batch:
    return [(item.id, item.key, item.refs) for item in items]


def _run_stage(line: _Line, stages: Mapping[str, Stage], notes: Notes, summary: Summary) -> None:
    context, name = line.context, line.name
    state = state_of(context, notes, line.circumstances())
    known = nothing_to_do(context, notes, name, state)
    counts = _nothing(known) if known is not None else _worked_off(line, stages, notes, state)
    finish_stage = stage_entry(name).finish
    if finish_stage is not None:
        finish_stage(context)
    add_counts(summary, name, counts)


def _nothing(known: Nothing) -> Counter[str]:
    counts = Counter({"already settled": known.settled, "retired": 0})
    if known.waiting:
        counts["waiting"] = known.waiting
    return counts


def _worked_off(line: _Line, stages: Mapping[str, Stage], notes: Notes, state: str) -> Counter[str]:
    """Plan the stage and settle what is due."""
    context, stage, name, report = line.context, line.stage, line.name, line.watch.report
    before = due_again(context, stage, line.circumstances())
    work = pending(context, stage, stages.values(), mend=True)
    if stage.rests_on_own_rows:
        retire(context, stage, work.mended)
    else:
        unsettle(context, stage.name, work.mended)
    retire(context, stage, work.obsolete)
    total = sum(len(batch) for batch in work.batches)
    counts: Counter[str] = Counter({"already settled": work.settled, "retired": len(work.obsolete)})
    told = {"damaged": len(work.mended), "held": work.held, "lost": len(work.lost)}
    told["waiting"] = work.waiting
    counts.update({name: number for name, number in told.items() if number})
    report(name, 0, total)
    batches = [_batch(batch) for batch in work.batches]
    written = {table for table, _ in owned(stage)} | {"ledger"}
    for done in line.settled(batches, before):
        counts.update(done)
        elsewhere = counts["already settled"] - work.settled
        report(name, counts["accepted"] + counts["set_aside"] + elsewhere, total)
        join_small_files(context, written)
    if counts[SHORT]:
        _again_alone(line, stages, counts)
    # only then did text leave the tables; asked of each run, as a killed one may have left some
    for table in sorted(TEXT_TABLES.intersection(stage.tables)):
        erase_superseded(context.store, table)
    if work.nothing:
        notes.found[name] = Nothing(state, work.settled, work.waiting)
    return counts


def _again_alone(line: _Line, stages: Mapping[str, Stage], counts: Counter[str]) -> None:
    """Try what lacked memory once more, one item after the other, when no worker is busy."""
    context, stage = line.context, line.stage
    short = [("stage", "=", stage.name), ("reason", "=", NO_MEMORY)]
    among = set(context.store.read("quarantine", ["item"], short)["item"].to_pylist())
    due = pending(context, stage, stages.values()).batches
    for item in (item for batch in due for item in batch if item.id in among):
        counts.update(line.settled_alone(item))
        counts.subtract({"set_aside": 1, SHORT: 1})
    if not counts[SHORT]:
        del counts[SHORT]


def _discover(
    context: Context,
    config: Config,
    name: str,
    watch: Watch,
    summary: Summary,
) -> None:
    """Look at what the sources hold now, before the stage that takes it in is planned."""
    discover = stage_entry(name).discover
    if discover is not None:
        told = f"discover {name}"
        with STAGES.named_in_errors(name), watch.stage(told):
            counts = in_the_end(
                name,
                lambda: discover(context, config, lambda seen: watch.report("discover", seen, 0)),
                config.execution.pauses_s,
            )
            if counts:
                add_counts(summary, told, Counter(counts))


def _conclude(
    context: Context,
    config: Config,
    stages: Sequence[str],
    report: Callable[[str, int, int], None],
    summary: Summary,
) -> None:
    from fvlm_data.pairing.waiting import derive_waiting

    derive_waiting(context)
    if config.qc.enabled and "shard" in stages:
        from fvlm_data.qc import write_qc

        write_qc(context, config.vocabulary.load(), config.qc, report)
    tally(context, summary)
