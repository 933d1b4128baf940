"""Batches that Prefect still calls running although their flow has ended: they crashed with it.

A process that is killed cannot say so of its tasks, and Prefect's server looks after flow runs only
(PrefectHQ/prefect issue 19594). So the worker that sees a flow die marks its batches, by the flow's
`on_crashed`; where the worker died too, the next run does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun, State
    from prefect.flows import Flow

ENDED = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED]
AT_WORK = [StateType.RUNNING, StateType.PENDING]
MESSAGE = "the flow that it was of has ended; what it had settled stays settled"


def batches_crashed(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Mark the batches of a run that crashed: the hook of flows."""
    _crash(FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id])), None)


def crash_left_over(flow: str) -> int:
    """Mark batches of earlier runs of a flow that have ended, and tell how many there were."""
    ended = FlowRunFilterState(type=FlowRunFilterStateType(any_=ENDED))
    named = FlowFilter(name=FlowFilterName(any_=[flow]))
    return _crash(FlowRunFilter(state=ended), named)


def _crash(of_runs: FlowRunFilter, of_flows: FlowFilter | None) -> int:
    running = TaskRunFilterState(type=TaskRunFilterStateType(any_=AT_WORK))
    seen: set[UUID] = set()
    with get_client(sync_client=True) as client:
        while True:
            found = client.read_task_runs(
                flow_filter=of_flows,
                flow_run_filter=of_runs,
                task_run_filter=TaskRunFilter(state=running),
            )
            new = [one.id for one in found if one.id not in seen]
            if not new:
                return len(seen)
            for task_run in new:
                # no rule of Prefect's is asked: a limit that the batch holds is given back
                client.set_task_run_state(task_run, Crashed(message=MESSAGE), force=True)
            seen.update(new)
