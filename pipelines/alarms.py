"""The hook of flows that failed or crashed: alarms to the places that the configuration names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.errors import FvlmError
from fvlm_data.monitoring.alarm import Alarm, sound
from pipelines.form import configured
from pipelines.names import named

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State
    from prefect.flows import Flow


def alarmed(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Send the alarms; a configuration that cannot be read names no place to send them to."""
    from prefect.logging.loggers import flow_run_logger

    logger = flow_run_logger(flow_run, flow)
    try:
        parameters = flow_run.parameters
        config = configured(str(parameters["config"]), parameters.get("settings"))
    except (FvlmError, KeyError) as error:
        logger.warning(
            "no alarm is sent: the configuration cannot be read (%s)", type(error).__name__
        )
        return
    # Of a process that was killed the worker calls this hook, which knows the run by the name that
    # Prefect gave it before it began.
    run = named(flow.name, parameters, flow_run.expected_start_time)
    alarm = Alarm(flow.name, run, state.name or "Failed", _kind(state))
    for fault in sound(alarm, config.monitoring):
        logger.error("an alarm was not sent; %s", fault)


def _kind(state: State[Any]) -> str:
    """The class of the error that a state holds."""
    error = getattr(state.data, "result", state.data)
    return type(error).__name__ if isinstance(error, BaseException) else ""
