"""The flow `curate`: all stages, their batches as tasks on Dask."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
from distributed import KilledWorker, as_completed
from distributed.scheduler import NoValidWorkerError
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Failed

import fvlm_data.run.curate
from fvlm_data.errors import FvlmError, MachineError
from fvlm_data.run.config import load_config
from pipelines.workers import (
    check_resources,
    check_vaults,
    connect,
    neighbours,
    own_process,
    task_runner,
)

if TYPE_CHECKING:
    from distributed import Client
    from prefect.client.schemas.objects import State
    from prefect_dask import DaskTaskRunner

    from fvlm_data.isolation.limits import Ended, Limits
    from fvlm_data.run.config import Config
    from fvlm_data.run.mappers import Batch
    from fvlm_data.run.records import Summary

LINE_EVERY_S = 5.0
BATCHES_A_WORKER = 4


class UnforeseenError(FvlmError):
    """An error of another kind, reported by type and place only."""


class ConnectionLostError(UnforeseenError):
    """A network fault between a worker and the store: the batch is worth another try."""


@contextmanager
def texts_withheld() -> Iterator[None]:
    """Let our own errors pass; report only type and place of any other.

    Prefect sends the text of an exception to its server, and the text of a library's exception
    (pydicom's, say) may quote a header.

    Raises:
        UnforeseenError: any error that is not ours; ConnectionLostError for one of the network.
    """
    try:
        yield
    except FvlmError:
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        lost = isinstance(error, ConnectionError | TimeoutError)
        kind = ConnectionLostError if lost else UnforeseenError
        raise kind(
            f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}; expected "
            "none; what is settled stays settled: run again, and report it if it stays"
        ) from None


def worth_another_try(_task: Any, _task_run: Any, state: State[Any]) -> bool:
    """Whether a batch failed for a passing reason.

    The store itself retries a conflicting commit; a full disk, a damaged table or a wrong setting
    does not heal within a minute; replacing a worker that died is Dask's job.
    """
    return isinstance(state.data, ConnectionLostError)


@task(
    name="settle",
    task_run_name="{stage} {number}",
    # Prefect would hash the arguments and skip a batch that ran before; the ledger decides that
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=[10, 60],
    retry_condition_fn=worth_another_try,
)
def settle(
    store: str, run_id: str, stage: str, number: int, batch: Batch, limits: Limits
) -> dict[str, int] | Ended:
    """Settle batch `number` of a stage: ids and keys of its items, nothing else, travel.

    In a process of the Dask worker's own, so that this worker outlives what ends that one: Dask
    would hand the batch to one worker after the other until none is left.
    """

    def arguments(batch: Batch) -> tuple[Any, ...]:
        return store, run_id, stage, batch

    with texts_withheld(), own_process() as process:
        settle_batch = fvlm_data.run.curate.settle_batch
        ((_, result),) = process.run(settle_batch, [batch], arguments, limits)
        counts: dict[str, int] | Ended = result
        return counts


class DaskMapper:
    """Runs the batches of a stage as `settle` tasks on a started runner."""

    def __init__(
        self, runner: DaskTaskRunner, client: Client, resources: dict[str, dict[str, float]]
    ) -> None:
        """`resources` are those of `execution.resources`: what a stage needs of a worker."""
        self._runner = runner
        self._client = client
        self._resources = resources

    def __call__(
        self, store: str, run_id: str, stage: str, batches: Sequence[Batch], limits: Limits
    ) -> Iterator[tuple[Batch, dict[str, int] | Ended]]:
        """Yield the counts of each batch as it is done.

        A few batches a worker are with Dask at a time: a million studies are tens of thousands
        of tasks, and a full disk must not fail them all.

        Raises:
            FvlmError: a batch failed; those not begun are taken back.
        """
        if not batches:
            return
        needed = self._resources.get(stage, {})
        check_vaults(self._client, store, run_id)
        check_resources(self._client, stage, needed)
        if len(batches) > 1 or len(batches[0]) > 1:  # else none works beside it
            limits = replace(limits, shares=max(limits.shares, neighbours(self._client)))
        waiting = enumerate(batches, start=1)
        window = BATCHES_A_WORKER * sum(self._client.nthreads().values())
        running: dict[str, tuple[Batch, Any]] = {}
        done = as_completed(loop=self._client.loop)

        def submit(count: int) -> None:
            for number, batch in islice(waiting, count):
                with dask.annotate(resources=needed):
                    future = self._runner.submit(
                        settle,
                        parameters={
                            "store": store,
                            "run_id": run_id,
                            "stage": stage,
                            "number": number,
                            "batch": batch,
                            "limits": limits,
                        },
                    )
                running[future.wrapped_future.key] = batch, future
                done.add(future.wrapped_future)

        submit(window)
        try:
            for finished in done:
                batch, future = running.pop(finished.key)
                yield batch, _counts(future, stage)
                submit(1)
        finally:
            self._client.cancel([future.wrapped_future for _, future in running.values()])


def _counts(future: Any, stage: str) -> dict[str, int] | Ended:
    try:
        counts: dict[str, int] | Ended = future.result()
    except (KilledWorker, NoValidWorkerError) as error:
        # what ends a process ends that of its batch: something else was at the worker itself
        raise MachineError(
            f"stage {stage}: Dask has no worker left for a batch ({type(error).__name__}), most "
            "often because workers died for want of memory; give execution.workers a smaller "
            "number or the workers more memory, and run again: what is settled stays settled"
        ) from None
    return counts


@flow(name="curate", persist_result=False, log_prints=False)
def curate(config: str, stages: list[str] | None = None, retry: bool = False) -> Summary:
    """Run the stages of a configuration file, batches on Dask.

    Args:
        config: path of the YAML, as the flow's process sees it.
        stages: names of stages in the order of the data; default: all.
        retry: try again what crashed, ran out of time or of memory, whatever has changed.

    Raises:
        FvlmError: the run cannot start or go on; what is settled stays settled.
    """
    try:
        with texts_withheld():
            return _curate(load_config(Path(config).resolve()), stages, retry=retry)
    except FvlmError as error:
        return Failed(data=error, message=str(error))  # type: ignore[return-value]


def _curate(config: Config, stages: Sequence[str] | None, *, retry: bool) -> Summary:
    logger = get_run_logger()
    last: dict[str, float] = {}

    def progress(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if total and (done >= total or now - last.get(stage, -LINE_EVERY_S) >= LINE_EVERY_S):
            last[stage] = now
            logger.info("%s: %d of %d", stage, done, total)

    with _server_named(), task_runner(config.execution) as runner:
        mapper = DaskMapper(runner, connect(runner), config.execution.resources)
        summary = fvlm_data.run.curate.curate(
            config,
            stages,
            mapper=mapper,
            progress=progress,
            announce=lambda lines: logger.info("\n".join(lines)),
            retry=retry,
            isolate=True,
        )
    for title, counts in (
        ("set aside", summary.set_aside),
        ("cross-checks", summary.cross_checks),
        ("waiting", summary.waiting),
        ("in the tables", summary.tables),
    ):
        logger.info("%s: %s", title, counts or "nothing")
    logger.info("run %s: done in %.0f s", summary.run_id, summary.seconds)
    return summary


@contextmanager
def _server_named() -> Iterator[None]:
    """Give the workers the address of this flow's server.

    Without one in their settings, each would start a temporary server of its own.
    """
    with get_client(sync_client=True) as client:
        address = str(client.api_url)
    with temporary_settings(updates={PREFECT_API_URL: address}):
        yield
