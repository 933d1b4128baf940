"""Runs whose processes are killed, on a real server: what it says of them and their batches."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.pipelines.test_flow import ROOT, asked, wait_for
from tests.servers import PATIENCE_S, free_port, started

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Shell

WITHIN_S = 180

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(900)]


def until(what: str, look: Callable[[], Any]) -> Any:
    """What `look` gives once it gives something."""
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.2)
    pytest.fail(f"no {what} within {WITHIN_S} s")


def processes(home: str, run: str) -> list[psutil.Process]:
    """Those of a flow run that a worker of ours started."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            told = one.environ()
            if told.get("PREFECT_HOME") == home and run in (
                told.get("PREFECT__FLOW_RUN_ID"), told.get("PREFECT_FLOW_RUN_ID")
            ):  # fmt: skip
                found.append(one)
    return found


def signalled(some: list[psutil.Process], number: signal.Signals) -> None:
    for one in some:
        with suppress(psutil.Error):
            one.send_signal(number)


def states(api: str, run: str) -> dict[str, str]:
    """State of each batch of a run."""
    tasks = asked(api, "task_runs")
    return {one["name"]: one["state_type"] for one in tasks if one["flow_run_id"] == run}


def stopped_at_a_batch(api: str, home: str) -> tuple[str, list[psutil.Process]]:
    """The run that is at work, stopped while the server says that a batch of it runs."""

    def caught() -> tuple[str, list[psutil.Process]] | None:
        running = [one["id"] for one in asked(api, "flow_runs") if one["state_type"] == "RUNNING"]
        if not running or "RUNNING" not in states(api, running[0]).values():
            return None
        some = processes(home, running[0])
        signalled(some, signal.SIGSTOP)
        time.sleep(1.5)  # what was sent before is in the server's tables then
        if some and "RUNNING" in states(api, running[0]).values():
            return running[0], some
        signalled(some, signal.SIGCONT)
        return None

    return until("batch at work", caught)  # type: ignore[no-any-return]


def state_of(api: str, run: str) -> str:
    return next(str(one["state_type"]) for one in asked(api, "flow_runs") if one["id"] == run)


@pytest.mark.full
def test_a_killed_batch_does_not_stay_running(configuration: Path, shell: Shell) -> None:
    folder = configuration.parent
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    environment = {
        **shell.environment,
        "DO_NOT_TRACK": "1",
        "PREFECT_API_URL": api,
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    home = environment["PREFECT_HOME"]

    def prefect(*arguments: str) -> None:
        command = ["prefect", "--no-prompt", *arguments]
        subprocess.run(
            command, cwd=ROOT, env={**environment, "PWD": str(ROOT)}, check=True,
            capture_output=True, timeout=PATIENCE_S,
        )  # fmt: skip

    def run(*more: str) -> None:
        prefect("deployment", "run", "curate/curate", "-p", f"config={configuration}", *more)

    worker = ["prefect", "worker", "start", "--pool", "curate", "--type", "process"]
    automations = folder / "automations.yaml"
    text = (ROOT / "prefect-automations.yaml").read_text()
    assert "within: 540" in text
    automations.write_text(text.replace("within: 540", "within: 65"))
    with ExitStack() as services:
        server = ["prefect", "server", "start", "--port", str(port)]
        services.enter_context(started(server, folder, environment))
        wait_for(f"{api}/health", "true")
        with started(worker, folder, environment):
            wait_for(f"{api}/work_pools/curate", "curate")
            prefect("deploy", "--all")
            prefect("automation", "create", "--from-file", str(automations))
            run()
            first, some = stopped_at_a_batch(api, home)
            signalled(some, signal.SIGKILL)
            until("crash", lambda: state_of(api, first) == "CRASHED")
            until("crash of its batch", lambda: "RUNNING" not in states(api, first).values())
            assert "CRASHED" in states(api, first).values()
            # the same with nobody left who could tell of it
            run()
            second, some = stopped_at_a_batch(api, home)
        signalled(some, signal.SIGKILL)
        until("crash by silence", lambda: state_of(api, second) == "CRASHED")
        assert "RUNNING" in states(api, second).values()
        services.enter_context(started(worker, folder, environment))
        run("--watch")
        assert "RUNNING" not in states(api, second).values()
        assert "CRASHED" in states(api, second).values()
    assert shell.off_loopback() == ""
    assert any((folder / "store" / "shards").iterdir())
