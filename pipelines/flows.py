"""What every flow has in common: Prefect keeps neither results nor prints, and failures alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar

from prefect import flow

from pipelines.alarms import alarmed
from pipelines.left_over import batches_crashed
from pipelines.names import run_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.flows import Flow

Given = ParamSpec("Given")
Done = TypeVar("Done")


def curation_flow(work: Callable[Given, Done]) -> Flow[Given, Done]:
    """Make a flow of a function, called after it."""
    return flow(
        name=work.__name__,
        flow_run_name=run_name,
        # results and prints may hold what only the store may
        persist_result=False,
        log_prints=False,
        on_failure=[alarmed],
        on_crashed=[batches_crashed, alarmed],
    )(work)
