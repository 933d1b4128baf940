"""The flows `curate`, `ingest` and `reports`: stages, their batches as tasks on Dask."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

import fvlm_data.run.curate
from fvlm_data.errors import FvlmError
from fvlm_data.monitoring.logs import logged
from fvlm_data.monitoring.pace import pace
from fvlm_data.run.records import Summary  # at run time: Prefect reads annotations for its form
from fvlm_data.run.stages import stages_of
from pipelines import artifacts
from pipelines.batches import DaskMapper
from pipelines.flows import curation_flow
from pipelines.form import Settings, Stages, configured
from pipelines.left_over import crash_left_over
from pipelines.withheld import failed, texts_withheld
from pipelines.workers import connect, task_runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fvlm_data.run.config import Config

LINE_EVERY_S = 5.0


class RunLimitError(FvlmError):
    """A run took longer than `execution.run_limit_s`."""


@curation_flow
def curate(
    config: str,
    stages: Stages = None,
    retry: bool = False,
    settings: Settings = None,
) -> Summary:
    """Run the stages of a configuration file, batches on Dask.

    Args:
        config: path of the YAML, as the flow's process sees it.
        stages: names of stages in the order of the data; default: all.
        retry: try again what crashed, ran out of time or of memory, whatever has changed.
        settings: keys of the configuration, over those of the file.

    Raises:
        FvlmError: the run cannot start or go on; what is settled stays settled.
    """
    return _done("curate", lambda: configured(config, settings), lambda _: stages, retry=retry)


@curation_flow
def ingest(config: str, retry: bool = False, settings: Settings = None) -> Summary:
    """Take in the images of a configuration's sources, as `fvlm-data ingest` does.

    Args:
        config: path of the YAML, as the flow's process sees it.
        retry: try again what crashed, ran out of time or of memory, whatever has changed.
        settings: keys of the configuration, over those of the file.

    Raises:
        FvlmError: the run cannot start or go on; what is settled stays settled.
    """
    return _done("ingest", lambda: configured(config, settings), _of("ingest"), retry=retry)


@curation_flow
def reports(config: str, retry: bool = False, settings: Settings = None) -> Summary:
    """Take in the reports of a configuration, as `fvlm-data reports` does.

    Args:
        config: path of the YAML, as the flow's process sees it.
        retry: try again what crashed, ran out of time or of memory, whatever has changed.
        settings: keys of the configuration, over those of the file.

    Raises:
        FvlmError: the run cannot start or go on; what is settled stays settled.
    """
    return _done("reports", lambda: configured(config, settings), _of("reports"), retry=retry)


def _of(command: str) -> Callable[[Config], Sequence[str]]:
    return lambda config: stages_of(command, config)


def _done(
    name: str,
    configuration: Callable[[], Config],
    stages: Callable[[Config], Sequence[str] | None],
    *,
    retry: bool,
) -> Summary:
    try:
        with texts_withheld():
            config = configuration()
            return _run(name, config, stages(config), retry=retry)
    except FvlmError as error:
        return failed(error)  # type: ignore[no-any-return]


def _run(name: str, config: Config, stages: Sequence[str] | None, *, retry: bool) -> Summary:
    logger = get_run_logger()
    started = time.monotonic()
    last: dict[str, float] = {}
    begun: dict[str, float] = {}

    def progress(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        check_limit(config.execution.run_limit_s, now - started, stage, done, total)
        begun.setdefault(stage, now)
        if total and (done >= total or now - last.get(stage, -LINE_EVERY_S) >= LINE_EVERY_S):
            last[stage] = now
            logger.info("%s: %d of %d%s", stage, done, total, pace(done, total, now - begun[stage]))

    log = logged(config.monitoring.log, of="fvlm_data")  # the rest of this process's is Prefect's
    if left := crash_left_over(name):
        logger.info("%d batches of earlier runs that ended marked as crashed", left)
    with log, _server_named(), task_runner(config.execution) as runner:
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
    artifacts.of_summary(name, summary, config.monitoring.pages)
    for title, counts in (
        ("set aside", summary.set_aside),
        ("cross-checks", summary.cross_checks),
        ("waiting", summary.waiting),
        ("in the tables", summary.tables),
    ):
        logger.info("%s: %s", title, counts or "nothing")
    logger.info("run %s: done in %.0f s", summary.run_id, summary.seconds)
    return summary


def check_limit(limit_s: float | None, seconds: float, stage: str, done: int, total: int) -> None:
    """End a run that is beyond its limit, but for a stage that has just done all of its items.

    Raises:
        RunLimitError: it is.
    """
    if limit_s is None or seconds <= limit_s or (total and done >= total):
        return
    raise RunLimitError(
        f"stage {stage}: {done} of {total or 'an unknown number'} done when "
        f"execution.run_limit_s ({limit_s:g} s) was over; what is settled stays settled, and the "
        "next run goes on"
    )


@contextmanager
def _server_named() -> Iterator[None]:
    """Give the workers the address of this flow's server.

    Without one in their settings, each would start a temporary server of its own.
    """
    with get_client(sync_client=True) as client:
        address = str(client.api_url)
    with temporary_settings(updates={PREFECT_API_URL: address}):
        yield
