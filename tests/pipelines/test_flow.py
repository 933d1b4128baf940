from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import schemas
from fvlm_data.run.config import load_config
from fvlm_data.run.curate import curate
from fvlm_data.store.tables import Store
from tests.servers import PATIENCE_S, free_port, postgres, started

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .conftest import Shell

ROOT = Path(__file__).resolve().parents[2]
OF_A_RUN = {"ledger": "run_id", "waiting": "since_run"}
SECRETS = (b"Doe_John", b"zebra")

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(420)]


def rows(store: Path) -> dict[str, list[str]]:
    """All rows of all tables, less what is of the run."""
    opened = Store.open(store)
    return {
        table: sorted(
            json.dumps({k: v for k, v in row.items() if k != OF_A_RUN.get(table)}, default=str)
            for row in opened.read(table).to_pylist()
            if row.get("stage") != "tidy_shards"  # when indexes were written
        )
        for table in schemas.TABLES
    }


def rows_in_this_process(
    configuration: Path, stages: Sequence[str] | None = None
) -> dict[str, list[str]]:
    alone = configuration.parent / "alone"
    config = load_config(configuration, values={"store": str(alone), "execution": {"workers": 1}})
    curate(config, stages)
    return rows(alone)


def assert_same(found: dict[str, list[str]], expected: dict[str, list[str]]) -> None:
    differing = {
        table: sorted(set(found[table]) ^ set(expected[table]))
        for table in expected
        if found[table] != expected[table]
    }
    assert differing == {}


def assert_prefect_keeps_no_secret(home: Path) -> None:
    kept = [file for file in home.rglob("*") if file.is_file()]
    assert kept
    for file in kept:
        content = file.read_bytes()
        assert not [secret for secret in SECRETS if secret in content], file


@pytest.mark.full
def test_the_flow_settles_what_one_process_does(configuration: Path, shell: Shell) -> None:
    stages = ["ingest", "select", "segment"]
    options = [part for stage in stages for part in ("--stage", stage)]
    done = subprocess.run(
        ["fvlm-flow", "run", configuration.name, "--json", *options],
        cwd=configuration.parent,
        env=shell.environment,
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr.decode()
    summary = json.loads(done.stdout[done.stdout.index(b"{") :])
    assert summary["stages"]["segment"]["accepted"] == 4

    assert_same(rows(configuration.parent / "store"), rows_in_this_process(configuration, stages))
    assert shell.off_loopback() == ""
    assert not [secret for secret in SECRETS if secret in done.stderr]
    assert_prefect_keeps_no_secret(Path(shell.environment["PREFECT_HOME"]))


def wait_for(address: str, wanted: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                if wanted in answer.read().decode():
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass  # not up yet
        time.sleep(0.5)
    pytest.fail(f"{address} did not answer {wanted!r} within {PATIENCE_S} s")


OTHER_RUNS = (
    (["verify/verify"], "Completed"),
    (["compact/compact", "-p", "keep_hours=1"], "Completed"),
    (["ingest/ingest"], "Completed"),
    (["reports/reports"], "Completed"),
    (["forget/forget", "-p", "resume=true"], "Completed"),
    (["forget/forget", "-p", f'ids=["p_{"0" * 20}"]'], "Failed"),
)
"""Flows beside `curate`, and how they end on a store that is whole."""


def asked(api: str, what: str) -> list[dict[str, Any]]:
    """All that the server keeps of a kind."""
    request = urllib.request.Request(
        f"{api}/{what}/filter", data=b"{}", headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return list(json.load(answer))


def assert_the_page_tells_the_run(api: str) -> None:
    """Run names, counts of batches and artifacts, as Prefect's page shows them."""
    (run,) = asked(api, "flow_runs")
    assert re.fullmatch(r"curate store \d{4}-\d\d-\d\d", run["name"])
    assert {"fvlm", "data"} <= set(run["tags"])
    batches = [one for one in asked(api, "task_runs") if one["name"].startswith("segment ")]
    assert len(batches) == 4
    for one in batches:
        assert one["tags"] == ["stage:segment"]
        assert one["state"]["message"] == "1 accepted"
    told = {one["key"]: one for one in asked(api, "artifacts")}
    rows = {row["stage"]: row for row in json.loads(told["curate-store-stages"]["data"])}
    assert rows["segment"]["accepted"] == 4
    assert rows["segment"]["items a minute"] > 0
    assert "| anatomy_texts |" in told["curate-store"]["data"]


@pytest.mark.parametrize(
    "database",
    [
        pytest.param("sqlite", marks=pytest.mark.full),
        pytest.param("postgresql", marks=[pytest.mark.full, pytest.mark.timeout(900)]),
    ],
)
def test_a_deployment_runs_on_a_server_from_a_folder_with_our_names(
    configuration: Path, shell: Shell, database: str
) -> None:
    folder = configuration.parent / "mine"
    folder.mkdir()
    (folder / "schemas.py").write_text("raise SystemExit('the wrong module ran')\n")
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    environment = {
        **shell.environment,
        "DO_NOT_TRACK": "1",
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }

    def prefect(*arguments: str, cwd: Path, fails: bool = False) -> str:
        done = subprocess.run(
            ["prefect", "--no-prompt", *arguments],
            cwd=cwd,
            env={**environment, "PWD": str(cwd)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    server = ["prefect", "server", "start", "--port", str(port)]
    worker = ["prefect", "worker", "start", "--pool", "curate", "--type", "process"]
    with ExitStack() as services:
        if database == "postgresql":
            url = f"postgresql+asyncpg:{services.enter_context(postgres(configuration.parent))}"
            environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = url
        services.enter_context(started(server, configuration.parent, environment))
        wait_for(f"{api}/health", "true")
        log = services.enter_context(started(worker, folder, environment))
        wait_for(f"{api}/work_pools/curate", "curate")
        prefect("deploy", "--all", cwd=ROOT)
        told = prefect(
            "deployment", "run", "curate/curate", "-p", f"config={configuration}", "--watch",
            cwd=folder,
        )  # fmt: skip
        assert "Completed" in told, log.read_text()
        assert_the_page_tells_the_run(api)
        if database == "postgresql":
            for arguments, ended in OTHER_RUNS:
                told = prefect(
                    "deployment", "run", *arguments, "-p", f"config={configuration}", "--watch",
                    cwd=folder, fails=ended == "Failed",
                )  # fmt: skip
                assert ended in told, log.read_text()
            keys = {one["key"] for one in asked(api, "artifacts")}
            assert {"verify-store", "compact-store", "ingest-store", "reports-store"} <= keys
    assert_same(rows(configuration.parent / "store"), rows_in_this_process(configuration))
    assert shell.off_loopback() == ""
    assert not [secret for secret in SECRETS if secret in log.read_bytes()]
    assert_prefect_keeps_no_secret(Path(environment["PREFECT_HOME"]))
