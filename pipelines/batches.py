"""Batches of a stage as Prefect's tasks on Dask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import dask
from distributed import KilledWorker, as_completed
from distributed.scheduler import NoValidWorkerError
from prefect import tags, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

import fvlm_data.run.curate
from fvlm_data.errors import MachineError
from fvlm_data.isolation.limits import Ended
from pipelines.withheld import ConnectionLostError, texts_withheld
from pipelines.workers import check_resources, fit_for, neighbours, own_process

if TYPE_CHECKING:
    from distributed import Client
    from prefect.client.schemas.objects import State
    from prefect_dask import DaskTaskRunner

    from fvlm_data.isolation.limits import Limits
    from fvlm_data.run.mappers import Batch

BATCHES_A_WORKER = 4


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
) -> State[Any]:
    """Settle batch `number` of a stage: ids and keys of its items, nothing else, travel.

    In a process of the Dask worker's own, so that this worker outlives what ends that one: Dask
    would hand the batch to one worker after the other until none is left.
    """

    def arguments(batch: Batch) -> tuple[Any, ...]:
        return store, run_id, stage, batch

    with texts_withheld(), own_process() as process:
        settle_batch = fvlm_data.run.curate.settle_batch
        ((_, result),) = process.run(settle_batch, [batch], arguments, limits)
    return Completed(message=_told(result), data=result)


def _told(result: dict[str, int] | Ended) -> str:
    """Counts of a batch as its task's page shows them."""
    if isinstance(result, Ended):
        return f"its process ended ({result.reason}); the batch is split, or the item set aside"
    return ", ".join(f"{number} {name}" for name, number in result.items() if number) or "nothing"


class DaskMapper:
    """Runs the batches of a stage as `settle` tasks on a started runner."""

    def __init__(
        self, runner: DaskTaskRunner, client: Client, resources: dict[str, dict[str, float]]
    ) -> None:
        """`resources` are those of `execution.resources`: what a stage needs of a worker."""
        self._runner = runner
        self._client = client
        self._resources = resources

    def at_once(self) -> int:
        """How many batches the workers take at a time."""
        return sum(self._client.nthreads().values())

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
        fit = fit_for(self._client, store, run_id, stage)
        places = {"resources": needed, **({"workers": fit} if fit is not None else {})}
        check_resources(self._client, stage, needed)
        if len(batches) > 1 or len(batches[0]) > 1:  # else none works beside it
            limits = replace(limits, shares=max(limits.shares, neighbours(self._client)))
        waiting = enumerate(batches, start=1)
        window = BATCHES_A_WORKER * self.at_once()
        running: dict[str, tuple[Batch, Any]] = {}
        done = as_completed(loop=self._client.loop)

        def submit(count: int) -> None:
            for number, batch in islice(waiting, count):
                with dask.annotate(**places), tags(f"stage:{stage}"):
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
